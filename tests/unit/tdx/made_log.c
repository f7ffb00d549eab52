#include "tests/unit/tdx/made_log.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

void made_bytes(struct made_log *m, const void *data, size_t len)
{
    if (len > sizeof m->bytes - m->len)
        abort();
    memcpy(m->bytes + m->len, data, len);
    m->len += len;
}

void made_number(struct made_log *m, uint32_t value, size_t width)
{
    uint8_t raw[4];
    put_le32(raw, value);
    made_bytes(m, raw, width);
}

void made_header(struct made_log *m, const uint16_t (*algorithm)[2], size_t count)
{
    static const uint8_t zeros[20];
    made_number(m, 0, 4);
    made_number(m, TDX_EV_NO_ACTION, 4);
    made_bytes(m, zeros, 20);
    made_number(m, (uint32_t)(28 + 4 * count + 1), 4);
    made_bytes(m, "Spec ID Event03", 16);
    made_bytes(m, "\0\0\0\0\0\2\0\2", 8);
    made_number(m, (uint32_t)count, 4);
    for (size_t i = 0; i < count; i++) {
        made_number(m, algorithm[i][0], 2);
        made_number(m, algorithm[i][1], 2);
    }
    made_number(m, 0, 1);
}

const uint16_t made_sha384[1][2] = {{0xc, 48}};

void made_digest(uint8_t out[48], const void *data, size_t len)
{
    if (EVP_Digest(data, len, out, NULL, EVP_sha384(), NULL) != 1)
        abort();
}

void made_event(struct made_log *m, uint32_t mr, uint32_t type, const void *data, size_t len,
                const void *measured, size_t measured_len)
{
    uint8_t digest[48];
    made_digest(digest, measured, measured_len);
    made_number(m, mr, 4);
    made_number(m, type, 4);
    made_number(m, 1, 4);
    made_number(m, 0xc, 2);
    made_bytes(m, digest, 48);
    made_number(m, (uint32_t)len, 4);
    made_bytes(m, data, len);
}

struct view made_view(const struct made_log *m)
{
    return (struct view){m->bytes, m->len};
}
