#include "attest/policy.h"

#include <ctype.h>
#include <string.h>

#include "attest/policy_read.h"
#include "vmm/base/json.h"

static int read_snp(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    (void)m;
    return policy_snp_read(to, value, where, err);
}

static int read_tdx(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    (void)m;
    return policy_tdx_read(to, value, where, err);
}

static const struct member policy_members[] = {
    {"snp", read_snp, offsetof(struct policy, snp), 0, NULL},
    {"tdx", read_tdx, offsetof(struct policy, tdx), 0, NULL},
};

void policy_init(struct policy *out)
{
    policy_snp_init(&out->snp);
    policy_tdx_init(&out->tdx);
}

void policy_free(struct policy *policy)
{
    policy_snp_free(&policy->snp);
    policy_tdx_free(&policy->tdx);
}

bool policy_recognises(struct view file)
{
    size_t i = 0;
    while (i < file.len && isspace(file.data[i]))
        i++;
    return file.data && i < file.len && file.data[i] == '{' &&
           (memmem(file.data, file.len, "\"snp\"", 5) || memmem(file.data, file.len, "\"tdx\"", 5)) &&
           !memmem(file.data, file.len, "\"cofre_evidence\"", 16);
}

int policy_parse(struct policy *out, struct view file, struct cofre_err *err)
{
    policy_init(out);
    if (file.len > POLICY_FILE_MAX)
        return cofre_fail(err, COFRE_USAGE, "policy: %zu bytes are too many", file.len);
    CLEAN_JSON *object = NULL;
    int rc = json_read(&object, file, COFRE_USAGE, err);
    if (rc < 0)
        return cofre_within(err, rc, "policy");
    rc = policy_read_object(policy_members, sizeof policy_members / sizeof *policy_members, object, "", out,
                            err);
    if (rc < 0)
        policy_free(out);
    return rc;
}
