/* LUKS2 headers of a host's: what is taken has the one cipher, wherever a cipher is named. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/init/header.h"
#include "vmm/base/json.h"
#include "vmm/init/luks_header.h"

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

static void check_taken(json_t *header, bool integrity)
{
    const char *name;
    json_t *keyslot, *segments = json_object_get(header, "segments");
    FUZZ_CHECK(json_object_size(segments) == 1);
    const json_t *tags = json_object_get(json_object_get(segments, "0"), "integrity");
    FUZZ_CHECK(strcmp(text_of(json_object_get(segments, "0"), "encryption"),
                      integrity ? "aes-xts-random" : "aes-xts-plain64") == 0);
    FUZZ_CHECK(integrity ? strcmp(text_of(tags, "type"), "hmac(sha256)") == 0 : !tags);
    FUZZ_CHECK(json_object_size(json_object_get(header, "tokens")) == 0);
    json_object_foreach(json_object_get(header, "keyslots"), name, keyslot)
        FUZZ_CHECK(strcmp(text_of(json_object_get(keyslot, "area"), "encryption"), "aes-xts-plain64") == 0);
}

/* Whether it is taken. */
static bool check(const uint8_t *data, size_t size, bool integrity)
{
    struct cofre_err err = {""};
    int rc = luks_header_check((struct view){data, size}, integrity, &err);
    FUZZ_CHECK(rc == 0 || (rc == -COFRE_NEGATIVE && *err.text));
    if (rc == 0) {
        CLEAN_JSON *header = json_loadb((const char *)data, size, 0, NULL);
        FUZZ_CHECK(header);
        check_taken(header, integrity);
    }
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bool without = check(data, size, false), with = check(data, size, true);
    FUZZ_CHECK(!(without && with));
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char *const headers[] = {header_of_an_image, header_with_integrity};
    if (index == sizeof headers / sizeof *headers)
        return 0;
    memcpy(out, headers[index], strlen(headers[index]));
    return strlen(headers[index]);
}
