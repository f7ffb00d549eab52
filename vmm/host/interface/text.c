/* What a text must be, beyond being one. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/timestamp.h"
#include "vmm/host/interface/operation.h"
#include "vmm/host/interface/schema_parts.h"

#define CPUS_MAX 8192
#define DIGEST   "sha256:"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_hex_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_digit(text[i]) && !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
    return true;
}

static bool is_text(const char *text, size_t len, const struct schema_shape *shape)
{
    (void)shape;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_lines(const char *text, size_t len, const struct schema_shape *shape)
{
    (void)shape;
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\n' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_name(const char *text, size_t len, const struct schema_shape *shape)
{
    (void)shape;
    for (size_t i = 0; i < len; i++)
        if (!is_digit(text[i]) && !is_small(text[i]) && (text[i] != '-' || i == 0 || i == len - 1))
            return false;
    return len > 0 && len <= SCHEMA_NAME_MAX;
}

static bool is_digest(const char *text, size_t len, const struct schema_shape *shape)
{
    const size_t head = strlen(DIGEST);
    (void)shape;
    return len == head + 64 && memcmp(text, DIGEST, head) == 0 && is_hex_digits(text + head, 64);
}

static bool is_image(const char *text, size_t len, const struct schema_shape *shape)
{
    return is_digest(text, len, shape) || is_name(text, len, shape);
}

static bool is_hex(const char *text, size_t len, const struct schema_shape *shape)
{
    return len % 2 == 0 && len / 2 >= shape->min && is_hex_digits(text, len);
}

/* The number that begins at *at, in its shortest form; false: none below the bound. */
static bool take_number(uint64_t *out, const char *text, size_t len, size_t *at, uint64_t bound)
{
    const size_t from = *at;
    for (*out = 0; *at < len && is_digit(text[*at]) && *out < bound; ++*at)
        *out = *out * 10 + (uint64_t)(text[*at] - '0');
    return *at > from && *out < bound && (text[from] != '0' || *at == from + 1);
}

static bool is_cpus(const char *text, size_t len, const struct schema_shape *shape)
{
    uint64_t first, last, next = 0;
    size_t at = 0;
    (void)shape;
    do {
        if (!take_number(&first, text, len, &at, CPUS_MAX) || first < next)
            return false;
        last = first;
        if (at < len && text[at] == '-' &&
            (++at, !take_number(&last, text, len, &at, CPUS_MAX) || last <= first))
            return false;
        next = last + 1;
    } while (at < len && text[at] == ',' && ++at);
    return at == len;
}

/* What base64_decode takes, and no byte of it: whoever only checks texts has no need of libcrypto. */
static bool is_base64(const char *text, size_t len, const struct schema_shape *shape)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t padding =
        len && len % 4 == 0 ? (text[len - 1] == '=') + (text[len - 1] == '=' && text[len - 2] == '=') : 0;
    const size_t size = len / 4 * 3 - padding;
    const char *digit = digits;
    if (len % 4 || size > shape->max || size < shape->min)
        return false;
    for (size_t i = 0; i < len - padding && digit; i++)
        digit = memchr(digits, text[i], sizeof digits - 1);
    /* the last digit's bits that no byte has */
    return digit && (digit - digits) % (padding == 2 ? 16 : padding == 1 ? 4 : 1) == 0;
}

static bool is_time(const char *text, size_t len, const struct schema_shape *shape)
{
    int64_t seconds;
    (void)len, (void)shape;
    return time_parse(&seconds, text, "", NULL) == 0;
}

static bool is_number(const char *text, size_t len, const struct schema_shape *shape)
{
    uint64_t number;
    size_t at = 0;
    (void)shape;
    return len <= 19 && take_number(&number, text, len, &at, (uint64_t)INT64_MAX + 1) && at == len;
}

static bool is_bits(const char *text, size_t len, const struct schema_shape *shape)
{
    (void)shape;
    return len >= 3 && len <= 18 && memcmp(text, "0x", 2) == 0 && is_hex_digits(text + 2, len - 2);
}

static bool is_operation(const char *text, size_t len, const struct schema_shape *shape)
{
    (void)shape;
    if (strcmp(text, "*") == 0 || operation_find(text))
        return true;
    for (size_t i = 0; len > 2 && strcmp(text + len - 2, ".*") == 0 && i < OPERATIONS; i++)
        if (strncmp(operations[i].name, text, len - 1) == 0)
            return true;
    return false;
}

static const struct {
    bool (*is)(const char *text, size_t len, const struct schema_shape *shape);
    size_t max; /* bytes, where the shape says none */
    const char *what, *pattern;
} checks[SCHEMA_CHECKS] = {
    [SCHEMA_IS_TEXT] = {is_text, 1024, "it must be one line of text", "^[^\\u0000-\\u001f\\u007f]*$"},
    [SCHEMA_IS_LINES] = {is_lines, 4096, "it must be lines of text", NULL},
    [SCHEMA_IS_NAME] = {is_name, SCHEMA_NAME_MAX,
                        "it must be a name: 1 to 63 of a-z, 0-9 and -, which is neither first nor last",
                        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
    [SCHEMA_IS_DIGEST] = {is_digest, 71, "it must be sha256: and 64 lower-case hexadecimal digits",
                          "^sha256:[0-9a-f]{64}$"},
    [SCHEMA_IS_IMAGE] = {is_image, 71,
                         "it must be a digest (sha256: and 64 lower-case hexadecimal digits) or a tag",
                         "^(sha256:[0-9a-f]{64}|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$"},
    [SCHEMA_IS_HEX] = {is_hex, 0, "it must be lower-case hexadecimal digits, two a byte", "^([0-9a-f]{2})*$"},
    [SCHEMA_IS_CPUS] = {is_cpus, 256, "it must be CPUs in ascending order, as 0-3,6",
                        "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"},
    [SCHEMA_IS_BASE64] = {is_base64, 0, "it must be base64 in its canonical form", "^[A-Za-z0-9+/]*={0,2}$"},
    [SCHEMA_IS_TIME] = {is_time, 32, "it must be a time, as 2026-01-31T12:00:00Z", NULL},
    [SCHEMA_IS_NUMBER] = {is_number, 19, "it must be a number without leading zeros",
                          "^(0|[1-9][0-9]{0,18})$"},
    [SCHEMA_IS_BITS] = {is_bits, 18, "it must be 0x and 1 to 16 lower-case hexadecimal digits",
                        "^0x[0-9a-f]{1,16}$"},
    [SCHEMA_IS_OPERATION] = {is_operation, 64, "it must be an operation, as guest.start, guest.* or *",
                             "^([a-z]+\\.([a-z]+|\\*)|\\*)$"},
};

size_t text_max(const struct schema_shape *shape)
{
    const size_t max = shape->max ? shape->max : checks[shape->check].max;
    return shape->check == SCHEMA_IS_HEX      ? 2 * max
           : shape->check == SCHEMA_IS_BASE64 ? (max + 2) / 3 * 4
                                              : max;
}

const char *text_pattern(enum schema_check check)
{
    return checks[check].pattern;
}

int text_check(struct view text, const struct schema_shape *shape, struct cofre_err *err)
{
    const char *bytes = (const char *)text.data;
    const bool digits = shape->check == SCHEMA_IS_HEX || shape->check == SCHEMA_IS_BASE64;
    if (text.len > text_max(shape))
        return cofre_fail(err, COFRE_MALFORMED, "it has %zu bytes, and may have %zu", text.len,
                          text_max(shape));
    if (!digits && text.len < shape->min)
        return cofre_fail(err, COFRE_MALFORMED, "it has %zu bytes, and must have %" PRIu64, text.len,
                          shape->min);
    if (memchr(bytes, 0, text.len) || !checks[shape->check].is(bytes, text.len, shape))
        return cofre_fail(err, COFRE_MALFORMED, "%s", checks[shape->check].what);
    return 0;
}
