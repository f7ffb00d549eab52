#include "vmm/cli/verify_files.h"

#include "attest/corim/corim.h"
#include "vmm/base/file.h"

#define CERT_FILE_MAX (1u << 20)

void verify_files_free(struct verify_files *files)
{
    x509_certs_free(&files->certs);
    x509_certs_free(&files->roots);
    x509_crls_free(&files->crls);
    for (size_t i = 0; i < files->collaterals; i++)
        tdx_collateral_free(&files->collateral[i]);
    references_free(&files->references);
    cose_keys_free(&files->reference_keys);
}

int verify_read_evidence(struct evidence *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, EVIDENCE_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = evidence_parse(out, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int verify_read_policy(struct policy *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, POLICY_FILE_MAX, err);
    if (rc < 0)
        return rc == -COFRE_MALFORMED ? -COFRE_USAGE : rc;
    rc = policy_parse(out, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int verify_read_certs(struct x509_certs *to, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, CERT_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = x509_certs_add(to, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int verify_read_crls(struct x509_crls *to, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, CERT_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = x509_crls_add(to, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int verify_read_collateral(struct verify_files *to, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = to->collaterals == VERIFY_COLLATERALS_MAX
                 ? cofre_fail(err, COFRE_USAGE, "--collateral: at most %d files", VERIFY_COLLATERALS_MAX)
                 : file_read(&file, path, TDX_COLLATERAL_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = tdx_collateral_parse(&to->collateral[to->collaterals], bytes_view(&file), err);
    to->collaterals += rc == 0;
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int verify_note_reference(struct verify_files *to, const char *path, struct cofre_err *err)
{
    if (to->reference_files == VERIFY_REFERENCES_MAX)
        return cofre_fail(err, COFRE_USAGE, "--reference: at most %d files", VERIFY_REFERENCES_MAX);
    to->reference[to->reference_files++] = path;
    return 0;
}

static int read_reference(struct verify_files *to, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    CLEAN_CORIM corim = {0};
    uint8_t signer[COSE_THUMBPRINT_SIZE];
    int rc = file_read(&file, path, CORIM_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = to->reference_keys.count ? corim_verify(&corim, signer, bytes_view(&file), &to->reference_keys, err)
                                  : corim_read(&corim, bytes_view(&file), err);
    for (size_t i = 0; rc == 0 && i < corim.values.count; i++)
        rc = references_append(&to->references, &corim.values.item[i], err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int verify_read_references(struct verify_files *to, struct cofre_err *err)
{
    int rc = to->reference_keys.count && !to->reference_files
                 ? cofre_fail(err, COFRE_USAGE, "--reference-keys is for --reference")
                 : 0;
    for (size_t i = 0; rc == 0 && i < to->reference_files; i++)
        rc = read_reference(to, to->reference[i], err);
    return rc;
}
