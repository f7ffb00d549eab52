#include "attest/claims.h"

#include <inttypes.h>
#include <stdio.h>

int claim_hex(json_t *object, const char *name, const void *data, size_t len)
{
    char text[2 * 64 + 1];
    hex_encode(text, data, len);
    return json_object_set_new(object, name, json_string(text));
}

json_t *claim_number(uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "0x%" PRIx64, value);
    return json_string(text);
}

json_t *claim_bits(uint64_t value, const struct policy_named_bit *bits, size_t count)
{
    json_t *object = json_object();
    json_object_set_new(object, "raw", claim_number(value));
    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, bits[i].name, json_boolean(value & bits[i].mask));
    return object;
}
