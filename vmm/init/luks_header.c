#include "vmm/init/luks_header.h"

#include <string.h>

#include "vmm/base/json.h"

/* Of an object's member: an exact text or number, or what is a value of its own and chosen by lot. */
struct rule {
    const char *member;
    enum { TEXT, NUMBER, ANY_TEXT, OBJECT } kind;
    const char *text;
    json_int_t number;
    const struct rule *object;
};

static const struct rule af[] = {{"type", TEXT, .text = "luks1"},
                                 {"stripes", NUMBER, .number = 4000},
                                 {"hash", TEXT, .text = LUKS_HASH},
                                 {0}};
static const struct rule area[] = {{"type", TEXT, .text = "raw"},
                                   {.member = "offset", .kind = ANY_TEXT},
                                   {.member = "size", .kind = ANY_TEXT},
                                   {"encryption", TEXT, .text = LUKS_CIPHER "-" LUKS_MODE},
                                   {"key_size", NUMBER, .number = LUKS_CIPHER_KEY_SIZE},
                                   {0}};
static const struct rule kdf[] = {{"type", TEXT, .text = "pbkdf2"},
                                  {"hash", TEXT, .text = LUKS_HASH},
                                  {"iterations", NUMBER, .number = LUKS_ITERATIONS},
                                  {.member = "salt", .kind = ANY_TEXT},
                                  {0}};
static const struct rule plain_slot[] = {
    {"type", TEXT, .text = "luks2"}, {"key_size", NUMBER, .number = LUKS_CIPHER_KEY_SIZE},
    {"af", OBJECT, .object = af},    {"area", OBJECT, .object = area},
    {"kdf", OBJECT, .object = kdf},  {0}};
static const struct rule integrity_slot[] = {
    {"type", TEXT, .text = "luks2"}, {"key_size", NUMBER, .number = LUKS_VOLUME_KEY_MAX},
    {"af", OBJECT, .object = af},    {"area", OBJECT, .object = area},
    {"kdf", OBJECT, .object = kdf},  {0}};
static const struct rule plain_segment[] = {{"type", TEXT, .text = "crypt"},
                                            {"offset", TEXT, .text = "16777216"},
                                            {"size", TEXT, .text = "dynamic"},
                                            {"iv_tweak", TEXT, .text = "0"},
                                            {"encryption", TEXT, .text = LUKS_CIPHER "-" LUKS_MODE},
                                            {"sector_size", NUMBER, .number = LUKS_SECTOR_SIZE},
                                            {0}};
/* The journal holds sectors as the disk does, encrypted and with their tags: there is nothing in it to encrypt again. */
static const struct rule tags[] = {{"type", TEXT, .text = LUKS_INTEGRITY},
                                   {"journal_encryption", TEXT, .text = "none"},
                                   {"journal_integrity", TEXT, .text = "none"},
                                   {0}};
static const struct rule integrity_segment[] = {
    {"type", TEXT, .text = "crypt"},
    {"offset", TEXT, .text = "16777216"},
    {"size", TEXT, .text = "dynamic"},
    {"iv_tweak", TEXT, .text = "0"},
    {"encryption", TEXT, .text = LUKS_CIPHER "-" LUKS_INTEGRITY_MODE},
    {"sector_size", NUMBER, .number = LUKS_SECTOR_SIZE},
    {"integrity", OBJECT, .object = tags},
    {0}};
_Static_assert(LUKS_DATA_OFFSET == 16777216, "the segments' offset as text");

/* By whether there is integrity. */
static const struct form {
    const struct rule *segment, *keyslot;
} forms[] = {{plain_segment, plain_slot}, {integrity_segment, integrity_slot}};

static int refuse(const char *what, const char *member, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_NEGATIVE,
                      "the disk's header is not as it was made: %s%s%s is another; the disk is not opened",
                      what, *member ? ": " : "", member);
}

static bool holds(const struct rule *rule, const json_t *value)
{
    switch (rule->kind) {
    case TEXT:
        return json_is_string(value) && strcmp(json_string_value(value), rule->text) == 0;
    case NUMBER:
        return json_is_integer(value) && json_integer_value(value) == rule->number;
    case ANY_TEXT:
        return json_is_string(value);
    case OBJECT:
        return json_is_object(value);
    }
    return false;
}

/* All members that the rules name, and no others. */
static int check_object(const json_t *object, const struct rule *rules, const char *what,
                        struct cofre_err *err)
{
    size_t count = 0;
    for (const struct rule *rule = rules; rule->member; rule++, count++) {
        const json_t *value = json_object_get(object, rule->member);
        if (!holds(rule, value))
            return refuse(what, rule->member, err);
        int rc = rule->kind == OBJECT ? check_object(value, rule->object, what, err) : 0;
        if (rc < 0)
            return rc;
    }
    return json_object_size(object) == count ? 0 : refuse(what, "what is in it", err);
}

static int check_keyslots(json_t *keyslots, const struct form *form, struct cofre_err *err)
{
    const char *name;
    json_t *one;
    if (!json_object_size(keyslots))
        return refuse("key slots", "", err);
    json_object_foreach(keyslots, name, one)
    {
        int rc = check_object(one, form->keyslot, "a key slot", err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The digest says nothing that matters beside the rest: it is compared, and by whose work is no matter. But there is one, for all. */
static int check_digests(const json_t *digests, struct cofre_err *err)
{
    const json_t *digest = json_object_get(digests, "0"), *segments = json_object_get(digest, "segments");
    if (json_object_size(digests) != 1 || json_array_size(segments) != 1 ||
        !json_is_string(json_array_get(segments, 0)) ||
        strcmp(json_string_value(json_array_get(segments, 0)), "0") != 0)
        return refuse("digest", "", err);
    const char *type = json_string_value(json_object_get(digest, "type"));
    return type && strcmp(type, "pbkdf2") == 0 ? 0 : refuse("digest", "type", err);
}

/* The one that a host is likely to try: the disk of an image that was made without. */
static int check_segment(const json_t *segment, bool integrity, struct cofre_err *err)
{
    if (integrity && !json_object_get(segment, "integrity"))
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "the disk is encrypted without integrity, which cofre.root demands; it is not opened");
    return check_object(segment, forms[integrity].segment, "the segment", err);
}

int luks_header_check(struct view text, bool integrity, struct cofre_err *err)
{
    static const char *const known[] = {"config", "digests", "keyslots", "segments", "tokens"};
    CLEAN_JSON *header = NULL;
    if (json_read(&header, text, COFRE_NEGATIVE, err) < 0)
        return refuse("JSON", "", err);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!json_is_object(json_object_get(header, known[i])))
            return refuse(known[i], "", err);
    if (json_object_size(header) != sizeof known / sizeof *known)
        return refuse("what is in it", "", err);
    const json_t *config = json_object_get(header, "config"), *segments = json_object_get(header, "segments");
    if (json_object_size(config) != 2 || !json_object_get(config, "json_size") ||
        !json_object_get(config, "keyslots_size"))
        return refuse("config", "", err);
    if (json_object_size(json_object_get(header, "tokens")) != 0)
        return refuse("tokens", "", err);
    if (json_object_size(segments) != 1)
        return refuse("segments", "", err);
    int rc = check_segment(json_object_get(segments, "0"), integrity, err);
    if (rc == 0)
        rc = check_keyslots(json_object_get(header, "keyslots"), &forms[integrity], err);
    return rc < 0 ? rc : check_digests(json_object_get(header, "digests"), err);
}
