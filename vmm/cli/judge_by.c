#include "vmm/cli/judge_by.h"

#include <string.h>

#include "vmm/base/file.h"

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
}

static int read_policy(struct judge_by *by, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, POLICY_FILE_MAX, err);
    if (rc < 0)
        return rc == -COFRE_MALFORMED ? -COFRE_USAGE : rc;
    by->has_policy = true;
    rc = policy_parse(&by->policy, bytes_view(&file), err);
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

int judge_by_take(struct judge_by *by, int letter, const char *value, struct cofre_err *err)
{
    switch (letter) {
    case 'c':
        return read_certs(&by->certs, value, err);
    case 'l':
        return read_crls(&by->crls, value, err);
    case 't':
        return read_certs(&by->roots, value, err);
    case 'p':
        return read_policy(by, value, err);
    case 'm':
        return option_hex(&by->measurement, value, "--measurement", 48, 48, err);
    default:
        return read_collateral(by, value, err);
    }
}

void judge_by_finish(struct judge_by *by, struct appraisal *out)
{
    if (!by->has_policy)
        policy_init(&by->policy);
    out->policy = &by->policy;
    out->certs = &by->certs;
    out->crls = &by->crls;
    out->collateral = by->has_collateral ? &by->collateral : NULL;
    out->roots = &by->roots;
    out->measurement = bytes_view(&by->measurement);
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
