#include "tdx/attributes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/number.h"

const struct tdx_named_bits tdx_attribute_names[] = {
    {"debug", TDX_ATTR_DEBUG},
    {"lass", TDX_ATTR_LASS},
    {"sept-ve-disable", TDX_ATTR_SEPT_VE_DISABLE},
    {"migratable", TDX_ATTR_MIGRATABLE},
    {"pks", TDX_ATTR_PKS},
    {"kl", TDX_ATTR_KL},
    {"tpa", TDX_ATTR_TPA},
    {"perfmon", TDX_ATTR_PERFMON},
    {0},
};

/* Bits of XCR0 and IA32_XSS: Intel 64 manual, volume 1, section 13.1. */
const struct tdx_named_bits tdx_xfam_names[] = {
    {"x87", 1u << 0},    {"sse", 1u << 1},
    {"avx", 1u << 2},    {"avx512", 7u << 5},
    {"pt", 1u << 8},     {"pku", 1u << 9},
    {"pasid", 1u << 10}, {"cet", 3u << 11},
    {"uintr", 1u << 14}, {"lbr", 1u << 15},
    {"hwp", 1u << 16},   {"amx", 3u << 17},
    {"apx", 1u << 19},   {0},
};

static int parse_name(uint64_t *out, const struct tdx_named_bits *names, const char *name,
                      struct cofre_err *err)
{
    for (const struct tdx_named_bits *n = names; n->name; n++)
        if (strcmp(name, n->name) == 0) {
            *out |= n->bits;
            return 0;
        }
    char known[TDX_BITS_TEXT_SIZE];
    tdx_bits_format(known, names, UINT64_MAX);
    known[strcspn(known, " ")] = 0;
    return cofre_fail(err, COFRE_USAGE, "nothing is called \"%s\" (%s or none)", name, known);
}

int tdx_bits_parse(uint64_t *out, const struct tdx_named_bits *names, const char *text, struct cofre_err *err)
{
    char copy[TDX_BITS_TEXT_SIZE];
    if (*text >= '0' && *text <= '9')
        return number_parse(out, text, "bits", 0, UINT64_MAX, err);
    if (strlen(text) >= sizeof copy)
        return cofre_fail(err, COFRE_USAGE, "%zu characters are more than all names together have",
                          strlen(text));
    memcpy(copy, text, strlen(text) + 1);
    uint64_t bits = 0;
    char *rest = strcmp(copy, "none") == 0 ? NULL : copy;
    for (char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
        int rc = parse_name(&bits, names, name, err);
        if (rc)
            return rc;
    }
    *out = bits;
    return 0;
}

void tdx_bits_format(char out[TDX_BITS_TEXT_SIZE], const struct tdx_named_bits *names, uint64_t bits)
{
    size_t used = 0;
    out[0] = 0;
    for (const struct tdx_named_bits *n = names; n->name; n++)
        if ((bits & n->bits) == n->bits) {
            used += (size_t)snprintf(out + used, TDX_BITS_TEXT_SIZE - used, "%s%s", used ? "," : "", n->name);
            bits &= ~n->bits;
        }
    if (bits)
        (void)snprintf(out + used, TDX_BITS_TEXT_SIZE - used, "%s%#" PRIx64, used ? " and " : "", bits);
    else if (!used)
        memcpy(out, "none", sizeof "none");
}
