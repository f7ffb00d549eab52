/* What a guest keeps of its root's key lies as one token of the disk's header, which is taken in that form alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/init/header.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/image/luks.h"
#include "vmm/init/luks_kept.h"

static const struct root root = {.kind = ROOT_LUKS, .uuid = "01234567-89ab-cdef-0123-456789abcdef"};
static const char kept[] = "{\n \"kept\": 1,\n \"secrets\": []\n}";
static char folder[64], disk[96], file[96];

static struct view view_of(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

static int make_disk(void **state)
{
    char plain[96];
    static const uint8_t nothing[16 * LUKS_SECTOR_SIZE], key[LUKS_KEY_SIZE] = {7};
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/cofre-luks-kept-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(plain, sizeof plain, "%s/plain", folder);
    (void)snprintf(disk, sizeof disk, "%s/disk", folder);
    (void)snprintf(file, sizeof file, "%s/kept", folder);
    assert_int_equal(file_write(plain, (struct view){nothing, sizeof nothing}, 0600, NULL), 0);
    assert_int_equal(luks_make(disk, plain, &root, key, NULL), 0);
    (void)unlink(plain);
    return crypt_metadata_locking(NULL, 0);
}

static int remove_disk(void **state)
{
    (void)state;
    (void)unlink(disk);
    (void)unlink(file);
    return rmdir(folder);
}

/* As a guest finds it when it starts: the header is as it was made. */
static struct crypt_device *start(void)
{
    struct crypt_device *cd = NULL;
    struct cofre_err err;
    const char *json;
    (void)unlink(file);
    assert_int_equal(crypt_init(&cd, disk), 0);
    assert_int_equal(crypt_load(cd, CRYPT_LUKS2, NULL), 0);
    assert_int_equal(crypt_dump_json(cd, &json, 0), 0);
    if (luks_header_check(view_of(json), false, &err) < 0)
        fail_msg("%s", err.text);
    return cd;
}

static void file_has(const char *text)
{
    CLEAN_BYTES is = {0};
    assert_int_equal(file_read(&is, file, 1 << 20, NULL), 0);
    assert_int_equal(is.len, strlen(text));
    assert_memory_equal(is.data, text, is.len);
}

static void what_is_kept_is_there_at_the_next_start(void **state)
{
    (void)state;
    struct crypt_device *cd = start();
    assert_int_equal(luks_kept_take(cd, file, NULL), 0);
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(luks_kept_put(cd, file, NULL), 0); /* nothing is nothing */
    assert_int_equal(file_write(file, view_of(kept), 0600, NULL), 0);
    assert_int_equal(luks_kept_put(cd, file, NULL), 1);
    crypt_free(cd);
    cd = start();
    assert_int_equal(luks_kept_take(cd, file, NULL), 0);
    file_has(kept);
    assert_int_equal(luks_kept_put(cd, file, NULL), 0); /* it is there already */
    assert_int_equal(file_write(file, view_of("another"), 0600, NULL), 0);
    assert_int_equal(luks_kept_put(cd, file, NULL), 1);
    crypt_free(cd);
    cd = start();
    assert_int_equal(luks_kept_take(cd, file, NULL), 0);
    file_has("another");
    crypt_free(cd);
}

/* The agent has deleted it: the service refused, or lets nobody keep it any more. */
static void what_is_kept_no_more_leaves_the_disk(void **state)
{
    (void)state;
    struct crypt_device *cd = start();
    assert_int_equal(file_write(file, view_of(kept), 0600, NULL), 0);
    assert_true(luks_kept_put(cd, file, NULL) >= 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(luks_kept_put(cd, file, NULL), 1);
    crypt_free(cd);
    cd = start();
    assert_int_equal(luks_kept_take(cd, file, NULL), 0);
    assert_int_equal(access(file, F_OK), -1);
    crypt_free(cd);
}

static void what_is_no_text_or_too_long_is_not_kept(void **state)
{
    static char longer[LUKS_TOKEN_KEPT_MAX + 2];
    struct cofre_err err;
    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    struct crypt_device *cd = start();
    assert_int_equal(file_write(file, view_of(longer), 0600, NULL), 0);
    assert_true(luks_kept_put(cd, file, &err) < 0);
    assert_int_equal(file_write(file, view_of("\xff"), 0600, NULL), 0);
    assert_true(luks_kept_put(cd, file, &err) < 0);
    longer[LUKS_TOKEN_KEPT_MAX] = '\0';
    assert_int_equal(file_write(file, view_of(longer), 0600, NULL), 0);
    assert_int_equal(luks_kept_put(cd, file, NULL), 1);
    crypt_free(cd);
    crypt_free(start());
}

/* Of a host's header. */

static int check_with(const char *tokens, struct cofre_err *err)
{
    CLEAN_JSON *header = json_loads(header_of_an_image, 0, NULL);
    assert_int_equal(json_object_set_new(header, "tokens", json_loads(tokens, 0, NULL)), 0);
    char *text = json_dumps(header, 0);
    int rc = luks_header_check(view_of(text), false, err);
    free(text);
    return rc;
}

#define TOKEN(members) "{\"0\": {" members "}}"

static void one_form_of_token_is_taken(void **state)
{
    static const char *const bad[] = {
        TOKEN("\"type\": \"luks2-keyring\", \"keyslots\": [], \"kept\": \"x\""),
        TOKEN("\"type\": \"cofre\", \"keyslots\": [\"0\"], \"kept\": \"x\""),
        TOKEN("\"type\": \"cofre\", \"keyslots\": {}, \"kept\": \"x\""),
        TOKEN("\"type\": \"cofre\", \"keyslots\": []"),
        TOKEN("\"type\": \"cofre\", \"keyslots\": [], \"kept\": 1"),
        TOKEN("\"type\": \"cofre\", \"keyslots\": [], \"kept\": \"x\", \"more\": 1"),
        "{\"1\": {\"type\": \"cofre\", \"keyslots\": [], \"kept\": \"x\"}}",
        "{\"0\": {\"type\": \"cofre\", \"keyslots\": [], \"kept\": \"x\"}, \"1\": {}}",
        "{\"0\": \"cofre\"}",
        "{\"0\": null}",
    };
    struct cofre_err err;
    (void)state;
    assert_int_equal(check_with(TOKEN("\"type\": \"cofre\", \"keyslots\": [], \"kept\": \"x\""), &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (check_with(bad[i], &err) != -COFRE_NEGATIVE || !strstr(err.text, "the disk is not opened"))
            fail_msg("%s is taken", bad[i]);
}

static void a_longer_token_is_refused(void **state)
{
    struct cofre_err err;
    char tokens[LUKS_TOKEN_KEPT_MAX + 100];
    (void)state;
    for (int more = 0; more < 2; more++) {
        (void)snprintf(tokens, sizeof tokens,
                       TOKEN("\"type\": \"cofre\", \"keyslots\": [], \"kept\": \"%0*d\""),
                       LUKS_TOKEN_KEPT_MAX + more, 0);
        assert_int_equal(check_with(tokens, &err), more ? -COFRE_NEGATIVE : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_there_at_the_next_start),
        cmocka_unit_test(what_is_kept_no_more_leaves_the_disk),
        cmocka_unit_test(what_is_no_text_or_too_long_is_not_kept),
        cmocka_unit_test(one_form_of_token_is_taken),
        cmocka_unit_test(a_longer_token_is_refused),
    };
    return cmocka_run_group_tests(tests, make_disk, remove_disk);
}
