/* Images that come in, are found, opened and go, each tenant's apart. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/images/fixture.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

static struct fixture f;

static int set_up(void **state)
{
    (void)state;
    fixture_make(&f, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_remove(&f);
    return 0;
}

static struct view text_of(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

static int add(const char *tenant, const char *text)
{
    struct cofre_err err = {""};
    int rc = fixture_add(&f, tenant, text_of(text), PLENTY, &err);
    if (rc < 0)
        fail_msg("%s", err.text);
    return rc;
}

static void path_of(char out[static 256], const char *tenant, const struct image_digest *digest)
{
    char name[2 * IMAGE_DIGEST_SIZE + 1];
    hex_encode(name, digest->sha256, IMAGE_DIGEST_SIZE);
    (void)snprintf(out, 256, "%s/store/images/%s/%s", f.folder, tenant, name);
}

static uint64_t used(const char *tenant)
{
    uint64_t bytes;
    assert_int_equal(images_used(&bytes, f.images, f.db, tenant, NULL), 0);
    return bytes;
}

/* FIPS 180-2, appendix B.1. */
#define ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void keeps_a_file_under_its_known_digest(void **state)
{
    (void)state;
    struct image_digest digest;
    struct stat st;
    char path[256], read_back[8];
    assert_int_equal(image_digest_parse(&digest, ABC, NULL), 0);
    assert_int_equal(add("web", "abc"), 0);
    path_of(path, "web", &digest);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400);
    CLEAN_FD fd = -1;
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &digest, NULL), 0);
    assert_int_equal(read(fd, read_back, sizeof read_back), 3);
    assert_memory_equal(read_back, "abc", 3);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(add("web", "abc"), 1); /* it is there */
    assert_int_equal(used("web"), 4096);
}

/* In pieces of every size, with zeros that begin and end anywhere. */
static void zeros_become_holes_and_the_bytes_stay(void **state)
{
    (void)state;
    enum { SIZE = 3 << 20 };
    CLEAN_BYTES bytes = {0};
    struct image_upload *upload;
    struct stat st;
    char path[256];
    assert_int_equal(bytes_alloc(&bytes, SIZE, NULL), 0);
    for (size_t i = 0; i < 3000; i++) {
        bytes.data[100 + i] = 1;
        bytes.data[(1 << 20) + 4096 * 7 - 1500 + i] = 2;
    }
    const struct image_digest digest = fixture_digest(bytes_view(&bytes));
    assert_int_equal(image_upload_begin(&upload, f.images, f.db, "web", &digest, SIZE, PLENTY, NULL), 0);
    srandom(7);
    for (size_t at = 0; at < SIZE;) {
        size_t n = (size_t)random() % 20000 + 1;
        n = n < SIZE - at ? n : SIZE - at;
        assert_int_equal(image_upload_write(upload, (struct view){bytes.data + at, n}, NULL), 0);
        at += n;
    }
    assert_int_equal(image_upload_finish(upload, NULL), 0);
    assert_int_equal(fixture_keep(&f, upload, NULL), 0);
    image_upload_free(upload);
    path_of(path, "web", &digest);
    CLEAN_BYTES file = {0};
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 <= 65536);
    assert_int_equal(file_read(&file, path, SIZE, NULL), 0);
    assert_true(view_equal(bytes_view(&file), bytes_view(&bytes)));
    assert_int_equal(used("web"), SIZE);
}

static void what_is_not_as_announced_leaves_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *came;
        uint64_t size;
        const char *why;
    } cases[] = {
        {"abd", 3,
         "the bytes that came are sha256:a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9, "
         "not what they were announced as"},
        {"ab", 3, "2 bytes came of the 3 that were announced"},
        {"abc", 2, "more bytes came than the 2 that were announced"},
        {"abc", 4, "3 bytes came of the 4 that were announced"},
    };
    struct image_digest digest;
    assert_int_equal(image_digest_parse(&digest, ABC, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        struct image_upload *upload;
        assert_int_equal(
            image_upload_begin(&upload, f.images, f.db, "web", &digest, cases[i].size, PLENTY, &err), 0);
        int rc = image_upload_write(upload, text_of(cases[i].came), &err);
        if (rc == 0)
            rc = image_upload_finish(upload, &err);
        assert_int_equal(rc, -COFRE_MALFORMED);
        assert_string_equal(err.text, cases[i].why);
        assert_int_equal(image_upload_finish(upload, &err), -COFRE_FAILED);
        assert_int_equal(fixture_keep(&f, upload, &err), -COFRE_FAILED);
        image_upload_free(upload);
        assert_int_equal(fixture_files(&f), 0);
        assert_int_equal(used("web"), 0);
    }
}

static int begin(struct image_upload **out, const char *tenant, unsigned which, uint64_t size, uint64_t quota,
                 struct cofre_err *err)
{
    const struct image_digest digest = {{(uint8_t)which, (uint8_t)(which >> 8), 1}};
    return image_upload_begin(out, f.images, f.db, tenant, &digest, size, quota, err);
}

static void a_quota_holds_for_uploads_that_race(void **state)
{
    (void)state;
    struct image_upload *first, *second, *other;
    struct cofre_err err = {""};
    assert_int_equal(add("web", "abc"), 0);
    assert_int_equal(begin(&first, "web", 1, 5000, 5 * 4096, &err), 0); /* two blocks of the four left */
    assert_int_equal(begin(&second, "web", 2, 8193, 5 * 4096, &err), -COFRE_LACKING);
    assert_null(second);
    assert_string_equal(err.text,
                        "the tenant's storage has room for 8192 bytes, of 20480, and this needs 12288: "
                        "delete images or guests, or ask for more");
    assert_int_equal(begin(&other, "mail", 2, 8193, 5 * 4096, &err), 0); /* another's does not count */
    image_upload_free(other);
    assert_int_equal(begin(&second, "web", 2, 8192, 5 * 4096, &err), 0);
    assert_int_equal(begin(&other, "web", 3, 1, 5 * 4096, &err), -COFRE_LACKING);
    image_upload_free(first); /* what was not kept gives its room back */
    assert_int_equal(begin(&first, "web", 3, 1, 5 * 4096, &err), 0);
    image_upload_free(first);
    image_upload_free(second);
    assert_int_equal(used("web"), 4096);
    static const uint64_t huge[] = {INT64_MAX, UINT64_MAX, UINT64_MAX - 4095};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++)
        assert_int_equal(begin(&first, "web", 4, huge[i], UINT64_MAX, &err), -COFRE_LACKING);
}

static void one_tenants_uploads_do_not_keep_anothers_out(void **state)
{
    (void)state;
    struct image_upload *upload[8], *more;
    struct cofre_err err = {""};
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(begin(&upload[i], "web", i, 1, PLENTY, &err), 0);
    assert_int_equal(begin(&more, "web", 9, 1, PLENTY, &err), -COFRE_LACKING);
    assert_string_equal(err.text, "the tenant has 8 uploads going on: wait for one to end");
    assert_int_equal(begin(&more, "mail", 9, 1, PLENTY, &err), 0);
    image_upload_free(more);
    for (unsigned i = 0; i < 8; i++)
        image_upload_free(upload[i]);
    assert_int_equal(fixture_files(&f), 0);
}

static void of_two_uploads_of_the_same_one_is_kept(void **state)
{
    (void)state;
    const struct image_digest digest = fixture_digest(text_of("abc"));
    struct image_upload *upload[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(image_upload_begin(&upload[i], f.images, f.db, "web", &digest, 3, PLENTY, NULL), 0);
        assert_int_equal(image_upload_write(upload[i], text_of("abc"), NULL), 0);
        assert_int_equal(image_upload_finish(upload[i], NULL), 0);
    }
    assert_int_equal(fixture_keep(&f, upload[1], NULL), 0);
    assert_int_equal(fixture_keep(&f, upload[0], NULL), 1);
    image_upload_free(upload[0]);
    image_upload_free(upload[1]);
    assert_int_equal(used("web"), 4096);
    assert_int_equal(fixture_files(&f), 1);
}

static int delete (const char *tenant, const char *text, struct cofre_err *err)
{
    const struct image_digest digest = fixture_digest(text_of(text));
    int rc = image_delete(f.images, f.db, tenant, &digest, err);
    assert_int_equal(images_settle(f.images, f.db, NULL), 0);
    return rc;
}

/* The same bytes are announced, written, counted and removed as if nobody else had them. */
static void a_tenant_cannot_tell_what_another_has(void **state)
{
    (void)state;
    struct image_digest digest, found;
    struct cofre_err err = {""}, nobodys = {""};
    struct stat one, two;
    char path[256];
    int fd = -1;
    assert_int_equal(image_digest_parse(&digest, ABC, NULL), 0);
    assert_int_equal(image_resolve(&found, f.db, "mail", ABC, &nobodys), -COFRE_NEGATIVE);
    assert_int_equal(add("web", "abc"), 0);
    assert_int_equal(image_tag(f.db, "web", "stable", &digest, 1, NULL), 0);
    assert_int_equal(image_resolve(&found, f.db, "mail", ABC, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, nobodys.text);
    assert_int_equal(image_resolve(&found, f.db, "mail", "stable", NULL), -COFRE_NEGATIVE);
    assert_int_equal(image_open(&fd, f.images, f.db, "mail", &digest, NULL), -COFRE_NEGATIVE);
    assert_int_equal(image_tag(f.db, "mail", "mine", &digest, 1, NULL), -COFRE_NEGATIVE);
    assert_int_equal(images_use(f.db, "mail", 7, "mx", &digest, 1, NULL), -COFRE_NEGATIVE);
    assert_int_equal(delete ("mail", "abc", NULL), -COFRE_NEGATIVE);
    assert_int_equal(used("mail"), 0);
    assert_int_equal(add("mail", "abc"), 0);
    assert_int_equal(used("mail"), 4096);
    path_of(path, "web", &digest);
    assert_int_equal(stat(path, &one), 0);
    path_of(path, "mail", &digest);
    assert_int_equal(stat(path, &two), 0);
    assert_true(one.st_ino != two.st_ino && one.st_nlink == 1 && two.st_nlink == 1);
    assert_int_equal(delete ("web", "abc", NULL), 0);
    assert_int_equal(image_open(&fd, f.images, f.db, "mail", &digest, NULL), 0);
    close(fd);
}

static void a_name_is_a_digest_or_nothing(void **state)
{
    (void)state;
    static const char *const digests[] = {
        "",
        "sha256:",
        "sha256:../../../db",
        ABC "0",
        " " ABC,
        ABC " ",
        "/" ABC,
        "SHA256"
        "x",
        "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a/",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015",
    };
    static const char *const tenants[] = {
        "",
        ".",
        "..",
        "../web",
        "a/b",
        "/etc",
        "Web",
        "-web",
        "web-",
        "w b",
        "web\n",
        "w\xc3\xa9"
        "b",
        "a123456789012345678901234567890123456789012345678901234567890123",
    };
    struct image_digest digest;
    struct image_upload *upload;
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
        assert_int_equal(image_digest_parse(&digest, digests[i], NULL), -COFRE_USAGE);
        assert_int_equal(image_resolve(&digest, f.db, "web", digests[i], NULL), -COFRE_NEGATIVE);
    }
    assert_int_equal(add("web", "abc"), 0);
    digest = fixture_digest(text_of("abc"));
    for (size_t i = 0; i < sizeof tenants / sizeof *tenants; i++) {
        assert_int_equal(begin(&upload, tenants[i], 1, 1, PLENTY, NULL), -COFRE_NEGATIVE);
        assert_int_equal(guest_disk_plan(f.images, f.db, tenants[i], 1, 0, NULL, 1, PLENTY, NULL),
                         -COFRE_NEGATIVE);
        assert_int_equal(image_tag(f.db, "web", tenants[i], &digest, 1, NULL), -COFRE_USAGE);
    }
    assert_int_equal(begin(&upload, "a-2", 1, 1, PLENTY, NULL), 0);
    image_upload_free(upload);
}

/* Somebody who can write in the folder does not have another file opened. */
static void opens_nothing_that_lies_elsewhere(void **state)
{
    (void)state;
    const struct image_digest digest = fixture_digest(text_of("abc"));
    struct cofre_err err = {""};
    char path[256], away[256];
    int fd = -1;
    assert_int_equal(add("web", "abc"), 0);
    path_of(path, "web", &digest);
    (void)snprintf(away, sizeof away, "%s/away", f.folder);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &digest, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, ABC ": its file cannot be opened: No such file or directory"));
    assert_int_equal(symlink(away, path), 0);
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &digest, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "Too many levels of symbolic links"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &digest, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "is not the one that was added"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(file_write(path, text_of("abcd"), 0400, NULL), 0);
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &digest, &err), -COFRE_FAILED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(away, path), 0);
    *strrchr(path, '/') = 0; /* the tenant's folder is elsewhere */
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink(away, path), 0);
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &digest, &err), -COFRE_FAILED);
    assert_int_equal(fixture_add(&f, "web", text_of("abd"), PLENTY, &err), -COFRE_FAILED);
    assert_int_equal(fd, -1);
}

static int take_length(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(int64_t *)context = column[0].integer;
    return 0;
}

/* Where the file system has fs-verity not even root writes to it, and another file in its place is told by the kernel's digest. */
static void the_kernel_vouches_for_it_where_it_can(void **state)
{
    (void)state;
    const struct image_digest one = fixture_digest(text_of("abc")), two = fixture_digest(text_of("abd"));
    struct cofre_err err = {""};
    int64_t length = 0;
    char path[256], other[256];
    int fd = -1;
    assert_int_equal(add("web", "abc"), 0);
    assert_int_equal(add("web", "abd"), 0);
    assert_int_equal(
        db_run(f.db, "SELECT MIN(length(verity)) FROM image", NULL, 0, take_length, &length, NULL), 1);
    if (length == 0)
        skip();
    path_of(path, "web", &one);
    path_of(other, "web", &two);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(open(path, O_WRONLY), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &one, &err), 0);
    close(fd);
    assert_int_equal(rename(other, path), 0); /* as long, and under fs-verity */
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &one, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "image " ABC ": its file is not the one that was added, as fs-verity says");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(file_write(path, text_of("abc"), 0400, NULL),
                     0); /* the same bytes, which it does not vouch for */
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &one, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "image " ABC ": fs-verity: No data available");
}

static void an_image_that_a_guest_uses_stays(void **state)
{
    (void)state;
    const struct image_digest used_one[] = {fixture_digest(text_of("abc")), fixture_digest(text_of("abd"))};
    struct cofre_err err = {""};
    assert_int_equal(add("web", "abc"), 0);
    assert_int_equal(add("web", "abd"), 0);
    assert_int_equal(images_use(f.db, "web", 7, "shop", used_one, 2, NULL), 0);
    assert_int_equal(images_use(f.db, "web", 8, "blog", used_one, 1, NULL), 0);
    assert_int_equal(delete ("web", "abc", &err), -COFRE_USAGE);
    assert_string_equal(err.text,
                        "image " ABC " is used by guest blog: delete the guest first, or have it use "
                        "another");
    assert_int_equal(images_use(f.db, "web", 8, "blog", NULL, 0, NULL), 0);
    assert_int_equal(delete ("web", "abc", &err), -COFRE_USAGE);
    assert_int_equal(images_use(f.db, "web", 7, "shop", used_one + 1, 1, NULL), 0); /* a new definition */
    assert_int_equal(delete ("web", "abc", &err), 0);
    assert_int_equal(guest_images_drop(f.images, f.db, 7, NULL), 0);
    assert_int_equal(delete ("web", "abd", &err), 0);
    assert_int_equal(fixture_files(&f), 0);
    assert_int_equal(delete ("web", "abd", &err), -COFRE_NEGATIVE);
}

static void a_tag_moves_and_goes_with_its_image(void **state)
{
    (void)state;
    const struct image_digest one = fixture_digest(text_of("abc")), two = fixture_digest(text_of("abd"));
    struct image_digest found;
    assert_int_equal(add("web", "abc"), 0);
    assert_int_equal(add("web", "abd"), 0);
    assert_int_equal(image_tag(f.db, "web", "stable", &one, 1, NULL), 0);
    assert_int_equal(image_resolve(&found, f.db, "web", "stable", NULL), 0);
    assert_memory_equal(&found, &one, sizeof one);
    assert_int_equal(image_tag(f.db, "web", "stable", &two, 2, NULL), 0);
    assert_int_equal(image_resolve(&found, f.db, "web", "stable", NULL), 0);
    assert_memory_equal(&found, &two, sizeof two);
    CLEAN_JSON *shown = NULL;
    assert_int_equal(image_show(&shown, f.db, "web", &two, NULL), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(shown, "tags"), 0)), "stable");
    assert_int_equal(delete ("web", "abd", NULL), 0);
    assert_int_equal(image_resolve(&found, f.db, "web", "stable", NULL), -COFRE_NEGATIVE);
    assert_int_equal(image_tag(f.db, "web", "stable", &one, 1, NULL), 0);
    assert_int_equal(image_untag(f.db, "web", "stable", NULL), 0);
    assert_int_equal(image_untag(f.db, "web", "stable", NULL), -COFRE_NEGATIVE);
}

static void lists_in_pages_what_a_tenant_has(void **state)
{
    (void)state;
    struct image_digest after;
    size_t seen = 0;
    for (int i = 0; i < 7; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "image %d", i);
        assert_int_equal(add("web", text), 0);
    }
    assert_int_equal(add("mail", "abc"), 0);
    for (int page = 0; page < 4; page++) {
        CLEAN_JSON *list = NULL;
        assert_int_equal(image_list(&list, f.db, "web", page ? &after : NULL, 3, NULL), 0);
        const size_t n = json_array_size(list);
        assert_int_equal(n, seen == 6 ? 1 : seen == 7 ? 0 : 3);
        for (size_t i = 0; i < n; i++) {
            const json_t *one = json_array_get(list, i);
            struct image_digest digest;
            assert_int_equal(
                image_digest_parse(&digest, json_string_value(json_object_get(one, "digest")), NULL), 0);
            assert_true((i == 0 && page == 0) || memcmp(&after, &digest, sizeof after) < 0);
            assert_int_equal(json_integer_value(json_object_get(one, "size")), 7);
            assert_string_equal(json_string_value(json_object_get(one, "created")), "2023-11-14T22:13:20Z");
            assert_string_equal(json_string_value(json_object_get(one, "created_by")), "ann");
            after = digest;
        }
        seen += n;
    }
    assert_int_equal(seen, 7);
}

static int give_up(struct db *db, void *context, struct cofre_err *err)
{
    assert_int_equal(image_upload_keep(context, db, 1, "ann", err), 0);
    return cofre_fail(err, COFRE_FAILED, "something else failed");
}

static void a_transaction_that_fails_leaves_no_file(void **state)
{
    (void)state;
    const struct image_digest digest = fixture_digest(text_of("abc"));
    struct image_upload *upload;
    struct cofre_err err;
    assert_int_equal(image_upload_begin(&upload, f.images, f.db, "web", &digest, 3, PLENTY, NULL), 0);
    assert_int_equal(image_upload_write(upload, text_of("abc"), NULL), 0);
    assert_int_equal(image_upload_finish(upload, NULL), 0);
    assert_int_equal(db_atomically(f.db, give_up, upload, &err), -COFRE_FAILED);
    assert_int_equal(fixture_files(&f), 1);
    assert_int_equal(images_settle(f.images, f.db, NULL), 0);
    assert_int_equal(fixture_files(&f), 0);
    image_upload_free(upload);
    assert_int_equal(used("web"), 0);
}

static void a_delete_that_is_taken_back_leaves_the_file(void **state)
{
    (void)state;
    const struct image_digest digest = fixture_digest(text_of("abc"));
    assert_int_equal(add("web", "abc"), 0);
    assert_int_equal(db_script(f.db, "BEGIN", NULL), 0);
    assert_int_equal(image_delete(f.images, f.db, "web", &digest, NULL), 0);
    assert_int_equal(db_script(f.db, "ROLLBACK", NULL), 0);
    assert_int_equal(images_settle(f.images, f.db, NULL), 0);
    int fd = -1;
    assert_int_equal(image_open(&fd, f.images, f.db, "web", &digest, NULL), 0);
    close(fd);
}

static void a_start_removes_what_nobody_has(void **state)
{
    (void)state;
    static const char *const left[] = {"incoming/0", "incoming/x",    "disks/00000001-00",
                                       "disks/..x",  "images/web/ba", "images/web/x"};
    char path[256];
    assert_int_equal(add("web", "abc"), 0);
    fixture_close(&f);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        (void)snprintf(path, sizeof path, "%s/store/%s", f.folder, left[i]);
        assert_int_equal(file_write(path, text_of("left"), 0600, NULL), 0);
    }
    (void)snprintf(path, sizeof path, "%s/store/incoming/link", f.folder);
    assert_int_equal(symlink(f.folder, path), 0);
    assert_int_equal(fixture_files(&f), 8);
    fixture_open(&f);
    assert_int_equal(fixture_files(&f), 1);
}

static int open_store(struct images **out, struct cofre_err *err)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/store", f.folder);
    return images_open(out, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err);
}

static void one_process_has_the_folder(void **state)
{
    (void)state;
    struct images *second;
    struct cofre_err err;
    assert_int_equal(open_store(&second, &err), -COFRE_LACKING);
    assert_string_equal(err.text, "the storage of images: another process has it");
}

/* A folder full of images and an empty database: nothing is swept. */
static void does_not_take_another_databases_files_for_nobodys(void **state)
{
    (void)state;
    struct cofre_err err;
    char path[160];
    struct db *other = NULL;
    assert_int_equal(add("web", "abc"), 0);
    (void)snprintf(path, sizeof path, "%s/other", f.folder);
    assert_int_equal(db_open(&other, path, NULL), 0);
    assert_int_equal(db_script(other, images_schema, NULL), 0);
    assert_int_equal(images_sweep(f.images, other, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "is another database's"));
    assert_int_equal(
        db_script(other, "INSERT INTO image_store (one, id) VALUES (1, X'00112233445566778899aabbccddeeff')",
                  NULL),
        0);
    assert_int_equal(images_sweep(f.images, other, &err), -COFRE_USAGE);
    db_close(other);
    assert_int_equal(fixture_files(&f), 1);
    assert_int_equal(images_sweep(f.images, f.db, &err), 0);
}

/* On a file system of 512 KiB, which nobody but this process sees. */
static void full(void)
{
    struct fixture small;
    struct cofre_err err = {""};
    CLEAN_BYTES bytes = {0};
    char path[160];
    (void)snprintf(path, sizeof path, "%s/small", f.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", path, "tmpfs", 0, "size=512k") < 0)
        _exit(77);
    fixture_make(&small, path);
    assert_int_equal(bytes_alloc(&bytes, 1 << 20, NULL), 0);
    memset(bytes.data, 1, bytes.len);
    assert_int_equal(fixture_add(&small, "web", bytes_view(&bytes), PLENTY, &err), -COFRE_LACKING);
    assert_string_equal(err.text,
                        "the image: the disk of the host's storage is full (No space left on device)");
    assert_int_equal(fixture_files(&small), 0);
    bytes.len = 100000; /* what fits, fits again */
    assert_int_equal(fixture_add(&small, "web", bytes_view(&bytes), PLENTY, &err), 0);
    const struct image_digest digest = fixture_digest(bytes_view(&bytes));
    for (uint32_t guest = 1; guest < 9; guest++) { /* copies, until the disk is full */
        int rc = fixture_disk(&small, "web", guest, &digest, 0, PLENTY, &err);
        if (rc < 0) {
            assert_int_equal(rc, -COFRE_LACKING);
            assert_string_equal(err.text, "disk 0: it cannot be made: No space left on device");
            assert_int_equal(fixture_files(&small), guest);
            _exit(0);
        }
    }
    _exit(1);
}

static void a_full_disk_is_said_and_leaves_nothing(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        full();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(keeps_a_file_under_its_known_digest),
        TEST(zeros_become_holes_and_the_bytes_stay),
        TEST(what_is_not_as_announced_leaves_nothing),
        TEST(a_quota_holds_for_uploads_that_race),
        TEST(one_tenants_uploads_do_not_keep_anothers_out),
        TEST(of_two_uploads_of_the_same_one_is_kept),
        TEST(a_tenant_cannot_tell_what_another_has),
        TEST(a_name_is_a_digest_or_nothing),
        TEST(opens_nothing_that_lies_elsewhere),
        TEST(the_kernel_vouches_for_it_where_it_can),
        TEST(an_image_that_a_guest_uses_stays),
        TEST(a_tag_moves_and_goes_with_its_image),
        TEST(lists_in_pages_what_a_tenant_has),
        TEST(a_transaction_that_fails_leaves_no_file),
        TEST(a_delete_that_is_taken_back_leaves_the_file),
        TEST(a_start_removes_what_nobody_has),
        TEST(one_process_has_the_folder),
        TEST(does_not_take_another_databases_files_for_nobodys),
        TEST(a_full_disk_is_said_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
