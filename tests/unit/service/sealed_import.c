#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keys/hpke.h"
#include "tests/unit/service/sealed_import.h"

json_t *sealed_import(const json_t *answer, const char *name, struct view value)
{
    struct hpke_public enc;
    uint8_t to[32], *sealed = malloc(value.len + HPKE_OVERHEAD);
    char enc_hex[2 * HPKE_PUBLIC_MAX + 1], *sealed_hex = malloc(2 * (value.len + HPKE_OVERHEAD) + 1);
    const struct hpke_about about = {{HPKE_X25519, HPKE_AES_256_GCM},
                                     {(const uint8_t *)"cofre key import 1", 18},
                                     {(const uint8_t *)name, strlen(name)}};
    assert_true(hex_decode(to, 32, json_string_value(json_object_get(answer, "public"))));
    assert_int_equal(hpke_seal(&enc, sealed, &about, (struct view){to, 32}, value, NULL), 0);
    hex_encode(enc_hex, enc.data, enc.len);
    hex_encode(sealed_hex, sealed, value.len + HPKE_OVERHEAD);
    json_t *import = json_pack("{s:s, s:s}", "enc", enc_hex, "sealed", sealed_hex);
    assert_non_null(import);
    free(sealed_hex);
    free(sealed);
    return import;
}
