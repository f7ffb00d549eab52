/* A header that says anything but what an image's does is refused: by name, whatever member it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/init/header.h"
#include "vmm/base/json.h"
#include "vmm/init/luks_header.h"

static const char *const headers[] = {header_of_an_image, header_with_integrity};

static int check_text(const char *text, bool integrity, struct cofre_err *err)
{
    return luks_header_check((struct view){(const uint8_t *)text, strlen(text)}, integrity, err);
}

static json_t *header(bool integrity)
{
    json_t *header = json_loads(headers[integrity], 0, NULL);
    assert_non_null(header);
    return header;
}

/* The object at "keyslots/0/kdf". */
static json_t *at(json_t *object, const char *path)
{
    char *own = strdup(path), *rest = own;
    for (const char *name; object && (name = strsep(&rest, "/"));)
        object = json_object_get(object, name);
    free(own);
    return object;
}

static void refused(json_t *changed, bool integrity, const char *what)
{
    struct cofre_err err;
    char *text = json_dumps(changed, 0);
    if (check_text(text, integrity, &err) != -COFRE_NEGATIVE || !strstr(err.text, "is not opened"))
        fail_msg("%s is taken: %s", what, text);
    free(text);
    json_decref(changed);
}

static void takes_the_header_of_an_image(void **state)
{
    (void)state;
    struct cofre_err err;
    for (int integrity = 0; integrity < 2; integrity++) {
        if (check_text(headers[integrity], integrity, &err) < 0)
            fail_msg("%s", err.text);
        /* And one with a second key, as while a key is changed for another. */
        json_t *two = header(integrity);
        json_object_set_new(at(two, "keyslots"), "1", json_deep_copy(at(two, "keyslots/0")));
        char *text = json_dumps(two, 0);
        assert_int_equal(check_text(text, integrity, NULL), 0);
        free(text);
        json_decref(two);
    }
}

static void refuses_the_form_that_was_not_asked_for(void **state)
{
    (void)state;
    struct cofre_err err;
    assert_int_equal(check_text(header_of_an_image, true, &err), -COFRE_NEGATIVE);
    assert_string_equal(
        err.text, "the disk is encrypted without integrity, which cofre.root demands; it is not opened");
    assert_int_equal(check_text(header_with_integrity, false, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "the disk's header is not as it was made: the segment: encryption is "
                                  "another; the disk is not opened");
}

/* Tags that the kernel keeps, and that nobody checks. */
static void refuses_integrity_that_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *path, *member, *value;
    } bad[] = {
        {"segments/0/integrity", "type", "\"none\""},
        {"segments/0/integrity", "type", "\"crc32c\""},
        {"segments/0/integrity", "journal_encryption", "\"ctr(aes)\""},
        {"segments/0/integrity", "more", "1"},
        {"segments/0", "encryption", "\"aes-xts-plain64\""},
        {"segments/0", "encryption", "\"cipher_null-random\""},
        {"segments/0", "sector_size", "512"},
        {"keyslots/0", "key_size", "64"},
        {"keyslots/0/area", "key_size", "96"},
        {"config", "flags", "[\"no-journal\"]"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *changed = header(true);
        json_object_set_new(at(changed, bad[i].path), bad[i].member,
                            json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        refused(changed, true, bad[i].value);
    }
}

/* What each known attack by a header changes. */
static void refuses_other_values(void **state)
{
    (void)state;
    static const struct {
        const char *path, *member, *value;
    } bad[] = {
        {"segments/0", "encryption", "\"cipher_null-ecb\""},
        {"segments/0", "encryption", "\"aes-cbc-plain\""},
        {"segments/0", "type", "\"linear\""},
        {"segments/0", "offset", "\"4096\""},
        {"segments/0", "size", "\"4096\""},
        {"segments/0", "iv_tweak", "\"8\""},
        {"segments/0", "sector_size", "512"},
        {"segments/0", "flags", "[\"in-reencryption\"]"},
        {"segments/0", "integrity", "{\"type\": \"none\"}"},
        {"segments", "1", "{}"},
        {"keyslots/0/area", "encryption", "\"cipher_null-ecb\""},
        {"keyslots/0/area", "key_size", "32"},
        {"keyslots/0/area", "type", "\"datashift\""},
        {"keyslots/0", "type", "\"reencrypt\""},
        {"keyslots/0", "key_size", "16"},
        {"keyslots/0", "priority", "2"},
        {"keyslots/0/kdf", "type", "\"argon2id\""},
        {"keyslots/0/kdf", "iterations", "4000000000"},
        {"keyslots/0/kdf", "hash", "\"md5\""},
        {"keyslots/0/af", "stripes", "1"},
        {"keyslots", "1", "{}"},
        {"digests", "1", "{}"},
        {"digests/0", "type", "\"none\""},
        {"digests/0", "segments", "[\"1\"]"},
        {"digests/0", "segments", "[\"0\", \"1\"]"},
        {"digests/0", "segments", "[0]"},
        {"tokens", "0", "{\"type\": \"luks2-keyring\", \"keyslots\": [\"0\"], \"key_description\": \"x\"}"},
        {"config", "requirements", "{\"mandatory\": [\"online-reencrypt-v2\"]}"},
        {"config", "flags", "[\"allow-discards\"]"},
        {"", "more", "{}"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *changed = header(false), *object = *bad[i].path ? at(changed, bad[i].path) : changed;
        assert_non_null(object);
        json_object_set_new(object, bad[i].member, json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        refused(changed, false, bad[i].value);
    }
}

/* Each member, wherever it is, left out, or of another type. */
static void leave_out(json_t *top, json_t *object, const char *path, bool integrity)
{
    static const char *const free_to_be[] = {"digest", "salt", "hash", "iterations", "keyslots"};
    const char *name;
    json_t *value;
    json_t *names = json_deep_copy(object);
    json_object_foreach(names, name, value)
    {
        char inner[128];
        bool is_free = false;
        (void)snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "/" : "", name);
        for (size_t i = 0; strncmp(path, "digests/0", 9) == 0 && i < sizeof free_to_be / sizeof *free_to_be;
             i++)
            is_free |= strcmp(name, free_to_be[i]) == 0;
        if (is_free || strcmp(inner, "config/json_size") == 0 || strcmp(inner, "config/keyslots_size") == 0)
            continue;
        json_t *changed = json_deep_copy(top), *inside = *path ? at(changed, path) : changed;
        json_object_del(inside, name);
        refused(changed, integrity, inner);
        changed = json_deep_copy(top);
        json_object_set_new(*path ? at(changed, path) : changed, name, json_integer(-1));
        refused(changed, integrity, inner);
        if (json_is_object(value))
            leave_out(top, value, inner, integrity);
    }
    json_decref(names);
}

static void refuses_what_is_left_out(void **state)
{
    (void)state;
    for (int integrity = 0; integrity < 2; integrity++) {
        json_t *top = header(integrity);
        leave_out(top, top, "", integrity);
        json_decref(top);
    }
}

static void refuses_what_is_no_header(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{}", "[]", "{\"keyslots\": 1}", "\"x\"", "{"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int integrity = 0; integrity < 2; integrity++)
            assert_int_equal(check_text(bad[i], integrity, NULL), -COFRE_NEGATIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_header_of_an_image),
        cmocka_unit_test(refuses_the_form_that_was_not_asked_for),
        cmocka_unit_test(refuses_integrity_that_is_none),
        cmocka_unit_test(refuses_other_values),
        cmocka_unit_test(refuses_what_is_left_out),
        cmocka_unit_test(refuses_what_is_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
