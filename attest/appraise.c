#include "attest/appraise.h"

#include <string.h>

#include "attest/snp.h"
#include "attest/tdx.h"

static const struct {
    const char *tee;
    int (*appraise)(struct verdict *out, const struct appraisal *in, struct cofre_err *err);
} tees[] = {
    {"snp", snp_appraise},
    {"tdx", tdx_appraise},
};

int appraise(struct verdict *out, const struct appraisal *in, struct cofre_err *err)
{
    *out = (struct verdict){0};
    if (in->service && strcmp(in->evidence->tee, "snp") != 0)
        return cofre_fail(err, COFRE_USAGE,
                          "a manifest of services is an SVSM's, in an SEV-SNP guest; TDX evidence has none");
    for (size_t i = 0; i < sizeof tees / sizeof *tees; i++)
        if (strcmp(tees[i].tee, in->evidence->tee) == 0)
            return tees[i].appraise(out, in, err);
    return cofre_fail(err, COFRE_MALFORMED, "evidence of TEE \"%s\" cannot be judged here",
                      in->evidence->tee);
}
