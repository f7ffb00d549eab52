#include "vmm/cli/judge_by.h"

#include <string.h>

#include "attest/corim/corim.h"
#include "sev/cert_table.h"
#include "sev/certs.h"
#include "vmm/base/file.h"
#include "vmm/cli/log.h"

#define CERT_FILE_MAX (1u << 20)

void judge_by_free(struct judge_by *by)
{
    policy_free(&by->policy);
    x509_certs_free(&by->certs);
    x509_certs_free(&by->roots);
    x509_crls_free(&by->crls);
    if (by->has_collateral)
        tdx_collateral_free(&by->collateral);
    bytes_free(&by->measurement);
    references_free(&by->references);
    cose_keys_free(&by->reference_keys);
}

int judge_by_read_policy(struct policy *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, POLICY_FILE_MAX, err);
    if (rc < 0)
        return rc == -COFRE_MALFORMED ? -COFRE_USAGE : rc;
    rc = policy_parse(out, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int read_certs(struct x509_certs *to, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, CERT_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = x509_certs_add(to, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

/* Or SEV-SNP's table of them, as a guest has it from its host (auxblob of configfs-tsm). */
static int read_endorsements(struct x509_certs *to, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    struct snp_cert_table table;
    int rc = file_read(&file, path, CERT_FILE_MAX, err);
    if (rc < 0)
        return rc;
    if (!snp_cert_table_recognises(bytes_view(&file)))
        rc = x509_certs_add(to, bytes_view(&file), err);
    else if ((rc = snp_cert_table_parse(&table, bytes_view(&file), err)) == 0)
        rc = snp_certs_add_table(to, &table, NULL, err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int read_crls(struct x509_crls *to, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, CERT_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = x509_crls_add(to, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int read_collateral(struct judge_by *by, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, TDX_COLLATERAL_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = tdx_collateral_parse(&by->collateral, bytes_view(&file), err);
    by->has_collateral = rc == 0;
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int note_reference(struct judge_by *by, const char *path, struct cofre_err *err)
{
    if (by->reference_files == JUDGE_BY_REFERENCES_MAX)
        return cofre_fail(err, COFRE_USAGE, "--reference: at most %d files", JUDGE_BY_REFERENCES_MAX);
    by->reference[by->reference_files++] = path;
    return 0;
}

static int read_reference(struct judge_by *by, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    CLEAN_CORIM corim = {0};
    uint8_t signer[COSE_THUMBPRINT_SIZE];
    int rc = file_read(&file, path, CORIM_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = by->reference_keys.count ? corim_verify(&corim, signer, bytes_view(&file), &by->reference_keys, err)
                                  : corim_read(&corim, bytes_view(&file), err);
    for (size_t i = 0; rc == 0 && i < corim.values.count; i++)
        rc = references_append(&by->references, &corim.values.item[i], err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static int read_references(struct judge_by *by, struct cofre_err *err)
{
    int rc = by->reference_keys.count && !by->reference_files
                 ? cofre_fail(err, COFRE_USAGE, "--reference-keys is for --reference")
                 : 0;
    for (size_t i = 0; rc == 0 && i < by->reference_files; i++)
        rc = read_reference(by, by->reference[i], err);
    return rc;
}

int judge_by_take(struct judge_by *by, int letter, const char *value, struct cofre_err *err)
{
    switch (letter) {
    case 'c':
        return read_endorsements(&by->certs, value, err);
    case 'l':
        return read_crls(&by->crls, value, err);
    case 't':
        return read_certs(&by->roots, value, err);
    case 'p':
        by->has_policy = true;
        return judge_by_read_policy(&by->policy, value, err);
    case 'm':
        return option_hex(&by->measurement, value, "--measurement", 48, 48, err);
    case 'r':
        return note_reference(by, value, err);
    case 's':
        return log_read_keys(&by->reference_keys, value, err);
    default:
        return read_collateral(by, value, err);
    }
}

int judge_by_finish(struct judge_by *by, struct appraisal *out, struct cofre_err *err)
{
    if (!by->has_policy)
        policy_init(&by->policy);
    out->policy = &by->policy;
    out->certs = &by->certs;
    out->crls = &by->crls;
    out->collateral = by->has_collateral ? &by->collateral : NULL;
    out->roots = &by->roots;
    out->references = &by->references;
    out->measurement = bytes_view(&by->measurement);
    return read_references(by, err);
}

int option_once(uint32_t *given, const char *letters, int letter, const char *name, struct cofre_err *err)
{
    const uint32_t bit = strchr(letters, letter) ? 1u << (letter - 'a') : 0;
    if (*given & bit)
        return cofre_fail(err, COFRE_USAGE, "--%s is given twice; only one can decide", name);
    *given |= bit;
    return 0;
}

int option_hex(struct bytes *out, const char *text, const char *option, size_t min, size_t max,
               struct cofre_err *err)
{
    int rc = hex_decode_some(out, max, text, err);
    if (rc == 0 && out->len < min)
        rc = cofre_fail(err, COFRE_USAGE, "%zu bytes where %zu are due", out->len, min);
    return rc < 0 ? cofre_within(err, -COFRE_USAGE, "%s", option) : 0;
}
