#include "vmm/base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* strtoull takes spaces and signs; a command line does not. */
static bool read_digits(uint64_t *out, const char **text)
{
    bool hex = strncmp(*text, "0x", 2) == 0;
    const char *digits = *text + (hex ? 2 : 0);
    if (!strchr(hex ? "0123456789abcdefABCDEF" : "0123456789", *digits) || *digits == '\0')
        return false;
    char *end;
    errno = 0;
    *out = strtoull(digits, &end, hex ? 16 : 10);
    *text = end;
    return errno == 0;
}

int number_parse(uint64_t *out, const char *text, const char *what, uint64_t min, uint64_t max,
                 struct cofre_err *err)
{
    const char *end = text;
    uint64_t value = 0;
    if (!read_digits(&value, &end) || *end != '\0' || value < min || value > max)
        return cofre_fail(err, COFRE_USAGE, "%s: \"%s\" is not a number from %" PRIu64 " to %" PRIu64, what,
                          text, min, max);
    *out = value;
    return 0;
}

int size_parse(uint64_t *out, const char *text, const char *what, struct cofre_err *err)
{
    static const char units[] = "KMG";
    const char *end = text;
    uint64_t value = 0;
    unsigned shift = 0;
    bool good = strncmp(text, "0x", 2) != 0 && read_digits(&value, &end);
    const char *unit = good && *end ? strchr(units, *end) : NULL;
    if (unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    if (!good || *end != '\0' || value > UINT64_MAX >> shift)
        return cofre_fail(err, COFRE_USAGE, "%s: \"%s\" is not a size, as in 4096, 64K, 512M or 2G", what,
                          text);
    *out = value << shift;
    return 0;
}
