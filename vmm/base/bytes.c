#include "vmm/base/bytes.h"

#include <stdlib.h>
#include <string.h>

void bytes_free(struct bytes *b)
{
    if (b->data)
        explicit_bzero(b->data, b->len);
    free(b->data);
    *b = (struct bytes){0};
}

int bytes_alloc(struct bytes *out, size_t len, struct cofre_err *err)
{
    *out = (struct bytes){calloc(1, len ? len : 1), len};
    if (!out->data)
        return cofre_fail(err, COFRE_FAILED, "no memory for %zu bytes", len);
    return 0;
}

int bytes_alloc_pages(struct bytes *out, size_t len, struct cofre_err *err)
{
    *out = (struct bytes){0};
    void *data;
    if (posix_memalign(&data, 4096, len ? len : 1))
        return cofre_fail(err, COFRE_FAILED, "no memory for %zu bytes", len);
    *out = (struct bytes){memset(data, 0, len), len};
    return 0;
}

int bytes_copy(struct bytes *out, struct view in, struct cofre_err *err)
{
    int rc = bytes_alloc(out, in.len, err);
    if (rc == 0 && in.len)
        memcpy(out->data, in.data, in.len);
    return rc;
}

bool view_sub(struct view v, uint64_t offset, uint64_t len, struct view *out)
{
    *out = (struct view){0};
    if (offset > v.len || len > v.len - offset)
        return false;
    *out = (struct view){v.data + offset, len};
    return true;
}

bool view_equal(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool bytes_are_zero(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= p[i];
    return any == 0;
}

uint16_t le16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

uint32_t le32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)le16(b) | (uint32_t)le16(b + 2) << 16;
}

uint64_t le64(const void *p)
{
    const uint8_t *b = p;
    return (uint64_t)le32(b) | (uint64_t)le32(b + 4) << 32;
}

void put_le16(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

void put_le32(void *p, uint32_t v)
{
    uint8_t *b = p;
    put_le16(b, (uint16_t)v);
    put_le16(b + 2, (uint16_t)(v >> 16));
}

void put_le64(void *p, uint64_t v)
{
    uint8_t *b = p;
    put_le32(b, (uint32_t)v);
    put_le32(b + 4, (uint32_t)(v >> 32));
}

void hex_encode(char *out, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(void *out, size_t len, const char *text)
{
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        p[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * len] == 0;
}

int hex_decode_some(struct bytes *out, size_t max, const char *text, struct cofre_err *err)
{
    *out = (struct bytes){0};
    size_t digits = strlen(text);
    if (digits % 2)
        return cofre_fail(err, COFRE_MALFORMED, "an odd number of hexadecimal digits (%zu)", digits);
    if (digits / 2 > max)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes where at most %zu fit", digits / 2, max);
    int rc = bytes_alloc(out, digits / 2, err);
    if (rc < 0)
        return rc;
    if (!hex_decode(out->data, out->len, text)) {
        bytes_free(out);
        return cofre_fail(err, COFRE_MALFORMED, "not hexadecimal digits");
    }
    return 0;
}
