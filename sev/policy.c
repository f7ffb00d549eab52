#include "sev/policy.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/number.h"

/* In the order of the bits; also the order in which they are written. */
static const struct {
    const char *name;
    uint64_t bit;
} flags[] = {
    {"smt", SNP_POLICY_SMT},
    {"migrate-ma", SNP_POLICY_MIGRATE_MA},
    {"debug", SNP_POLICY_DEBUG},
    {"single-socket", SNP_POLICY_SINGLE_SOCKET},
    {"cxl", SNP_POLICY_CXL_ALLOW},
    {"aes-256-xts", SNP_POLICY_MEM_AES_256_XTS},
    {"rapl-disable", SNP_POLICY_RAPL_DIS},
    {"ciphertext-hiding", SNP_POLICY_CIPHERTEXT_HIDING},
    {"page-swap-disable", SNP_POLICY_PAGE_SWAP_DISABLE},
};
#define FLAG_COUNT (sizeof flags / sizeof flags[0])

#define ABI_MASK 0xffffull
#define RESERVED (~((SNP_POLICY_PAGE_SWAP_DISABLE << 1) - 1))

int snp_policy_check(uint64_t policy, struct cofre_err *err)
{
    if (!(policy & SNP_POLICY_RESERVED_ONE))
        return cofre_fail(err, COFRE_USAGE, "guest policy 0x%" PRIx64 ": bit 17 must be one (0x%" PRIx64 ")",
                          policy, policy | (uint64_t)SNP_POLICY_RESERVED_ONE);
    if (policy & RESERVED)
        return cofre_fail(err, COFRE_USAGE, "guest policy 0x%" PRIx64 ": bits above 25 are reserved", policy);
    return 0;
}

/* "MAJOR.MINOR", decimal, each at most 255, nothing else. */
static bool parse_abi(const char *text, uint64_t *out)
{
    unsigned part[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        int digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 4; text++, digits++)
            part[i] = part[i] * 10 + (unsigned)(*text - '0');
        if (digits == 0 || part[i] > 255 || *text != (i == 0 ? '.' : '\0'))
            return false;
        text++;
    }
    *out = (uint64_t)part[0] << 8 | part[1];
    return true;
}

static int parse_name(uint64_t *policy, const char *name, struct cofre_err *err)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (strcmp(name, flags[i].name) == 0) {
            *policy |= flags[i].bit;
            return 0;
        }
    if (strncmp(name, "abi=", 4) == 0) {
        uint64_t abi;
        if (!parse_abi(name + 4, &abi))
            return cofre_fail(err, COFRE_USAGE, "guest policy: \"%s\" is not abi=MAJOR.MINOR, as in abi=1.55",
                              name);
        *policy = (*policy & ~ABI_MASK) | abi;
        return 0;
    }
    return cofre_fail(
        err, COFRE_USAGE,
        "guest policy: no flag is called \"%s\" (smt, migrate-ma, debug, single-socket, cxl, "
        "aes-256-xts, rapl-disable, ciphertext-hiding, page-swap-disable, abi=MAJOR.MINOR, or none)",
        name);
}

static int parse_number(uint64_t *out, const char *text, struct cofre_err *err)
{
    uint64_t value;
    int rc = number_parse(&value, text, "guest policy", 0, UINT64_MAX, err);
    if (rc == 0)
        rc = snp_policy_check(value, err);
    if (rc == 0)
        *out = value;
    return rc;
}

int snp_policy_parse(uint64_t *out, const char *text, struct cofre_err *err)
{
    char copy[SNP_POLICY_TEXT_SIZE];
    if (*text >= '0' && *text <= '9')
        return parse_number(out, text, err);
    if (strlen(text) >= sizeof copy)
        return cofre_fail(err, COFRE_USAGE,
                          "guest policy: %zu characters are more than all flags together have", strlen(text));
    memcpy(copy, text, strlen(text) + 1);
    uint64_t policy = SNP_POLICY_RESERVED_ONE;
    if (strcmp(copy, "none") != 0) {
        char *rest = copy;
        for (char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
            int rc = parse_name(&policy, name, err);
            if (rc < 0)
                return rc;
        }
    }
    *out = policy;
    return 0;
}

void snp_policy_format(char out[SNP_POLICY_TEXT_SIZE], uint64_t policy)
{
    if (snp_policy_check(policy, NULL) < 0) {
        (void)snprintf(out, SNP_POLICY_TEXT_SIZE, "0x%" PRIx64, policy);
        return;
    }
    size_t used = 0;
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (policy & flags[i].bit)
            used += (size_t)snprintf(out + used, SNP_POLICY_TEXT_SIZE - used, "%s%s", used ? "," : "",
                                     flags[i].name);
    if (policy & ABI_MASK)
        used += (size_t)snprintf(out + used, SNP_POLICY_TEXT_SIZE - used, "%sabi=%u.%u", used ? "," : "",
                                 (unsigned)(policy >> 8 & 0xff), (unsigned)(policy & 0xff));
    if (used == 0)
        memcpy(out, "none", sizeof "none");
}
