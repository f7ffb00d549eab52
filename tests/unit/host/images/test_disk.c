/* Disks of guests' own: copies of images, and empty ones. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/images/fixture.h"
#include "vmm/base/cleanup.h"

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

#define SIZE ((4u << 20) + 512)

/* Data at the start, in the middle and at the end; the rest is holes. */
static struct image_digest add_image(struct bytes *bytes)
{
    struct cofre_err err = {""};
    assert_int_equal(bytes_alloc(bytes, SIZE, NULL), 0);
    memset(bytes->data, 1, 5000);
    memset(bytes->data + (1 << 20), 2, 70000);
    memset(bytes->data + SIZE - 100, 3, 100);
    if (fixture_add(&f, "web", bytes_view(bytes), PLENTY, &err) < 0)
        fail_msg("%s", err.text);
    return fixture_digest(bytes_view(bytes));
}

static int open_disk(uint32_t guest)
{
    struct guest_disk disk;
    struct cofre_err err = {""};
    int fd = -1;
    if (guest_disk_find(&disk, f.db, guest, 0, &err) < 0 || guest_disk_open(&fd, f.images, &disk, &err) < 0)
        fail_msg("%s", err.text);
    return fd;
}

static void holds(int fd, const struct bytes *bytes)
{
    CLEAN_BYTES found = {0};
    assert_int_equal(bytes_alloc(&found, bytes->len + 1, NULL), 0);
    assert_int_equal(pread(fd, found.data, found.len, 0), bytes->len);
    assert_memory_equal(found.data, bytes->data, bytes->len);
}

static void a_copy_is_the_guests_own(void **state)
{
    (void)state;
    CLEAN_BYTES bytes = {0};
    struct stat st;
    uint64_t used;
    const struct image_digest image = add_image(&bytes);
    assert_int_equal(fixture_disk(&f, "web", 7, &image, 0, PLENTY, NULL), 0);
    assert_int_equal(images_used(&used, f.images, f.db, "web", NULL), 0);
    assert_int_equal(used, 2 * ((4 << 20) + 4096));
    CLEAN_FD disk = open_disk(7);
    holds(disk, &bytes);
    assert_int_equal(fstat(disk, &st), 0);
    assert_true(st.st_blocks * 512 < 1 << 20); /* holes are holes */
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(pwrite(disk, "changed", 7, 1 << 20), 7);
    CLEAN_FD read_only = -1;
    assert_int_equal(image_open(&read_only, f.images, f.db, "web", &image, NULL), 0);
    holds(read_only, &bytes);
    fixture_close(&f);
    fixture_open(&f); /* it is kept */
    CLEAN_FD again = open_disk(7);
    memcpy(bytes.data + (1 << 20), "changed", 7);
    holds(again, &bytes);
}

static void an_image_of_nothing_but_zeros_is_copied(void **state)
{
    (void)state;
    CLEAN_BYTES bytes = {0};
    assert_int_equal(bytes_alloc(&bytes, 70000, NULL), 0);
    assert_int_equal(fixture_add(&f, "web", bytes_view(&bytes), PLENTY, NULL), 0);
    const struct image_digest image = fixture_digest(bytes_view(&bytes));
    assert_int_equal(fixture_disk(&f, "web", 7, &image, 0, PLENTY, NULL), 0);
    CLEAN_FD disk = open_disk(7);
    holds(disk, &bytes);
}

/* Who stops cofred does not wait for a copy of any length; what there is of it is nobody's. */
static void a_copy_is_cut_off_when_cofred_ends(void **state)
{
    (void)state;
    CLEAN_BYTES bytes = {0};
    struct cofre_err err = {""};
    struct guest_disk disk;
    const struct image_digest image = add_image(&bytes);
    images_end(f.images);
    assert_int_equal(fixture_disk(&f, "web", 7, &image, 0, PLENTY, &err), -COFRE_LACKING);
    assert_string_equal(err.text, "disk 0: it cannot be made: Operation canceled");
    assert_int_equal(guest_disk_find(&disk, f.db, 7, 0, NULL), 0);
    assert_false(disk.made);
    assert_int_equal(fixture_files(&f), 1); /* the image's */
    fixture_close(&f);
    fixture_open(&f);
    CLEAN_FD from = -1;
    assert_int_equal(image_open(&from, f.images, f.db, "web", &image, NULL), 0);
    assert_int_equal(guest_disk_make(f.images, &disk, from, NULL), 0);
    assert_int_equal(guest_disk_made(f.db, &disk, NULL), 0);
    CLEAN_FD made = open_disk(7);
    holds(made, &bytes);
}

static void an_empty_disk_takes_its_size_of_the_quota_at_once(void **state)
{
    (void)state;
    struct cofre_err err = {""};
    struct stat st;
    struct guest_disk disk;
    assert_int_equal(fixture_disk(&f, "web", 7, NULL, 1 << 30, 1 << 30, &err), 0);
    CLEAN_FD fd = open_disk(7);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 1 << 30);
    assert_int_equal(st.st_blocks, 0);
    assert_int_equal(fixture_disk(&f, "web", 8, NULL, 1, 1 << 30, &err), -COFRE_LACKING);
    assert_string_equal(err.text,
                        "disk 0: the tenant's storage has room for 0 bytes, of 1073741824, and this "
                        "needs 4096: delete images or guests, or ask for more");
    assert_int_equal(guest_disk_find(&disk, f.db, 8, 0, &err), -COFRE_NEGATIVE);
    assert_int_equal(fixture_disk(&f, "mail", 8, NULL, 1, 1 << 30, &err), 0);
    assert_int_equal(fixture_disk(&f, "web", 9, NULL, 0, PLENTY, &err), -COFRE_USAGE);
    assert_int_equal(guest_disk_plan(f.images, f.db, "web", 9, GUEST_DISKS_MAX, NULL, 1, PLENTY, &err),
                     -COFRE_USAGE);
}

/* A guest never finds an empty disk where it had one with data. */
static void a_disk_that_was_made_is_never_made_anew(void **state)
{
    (void)state;
    struct guest_disk disk;
    struct cofre_err err = {""};
    char path[160], away[160];
    int fd = -1;
    assert_int_equal(guest_disk_plan(f.images, f.db, "web", 7, 0, NULL, 4096, PLENTY, NULL), 0);
    assert_int_equal(guest_disk_find(&disk, f.db, 7, 0, NULL), 0);
    assert_false(disk.made);
    assert_int_equal(guest_disk_open(&fd, f.images, &disk, &err), -COFRE_USAGE);
    assert_int_equal(guest_disk_make(f.images, &disk, -1, NULL), 0);
    assert_int_equal(guest_disk_made(f.db, &disk, NULL), 0);
    close(open_disk(7));
    (void)snprintf(path, sizeof path, "%s/store/disks/00000007-00", f.folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(guest_disk_find(&disk, f.db, 7, 0, NULL), 0);
    assert_int_equal(guest_disk_open(&fd, f.images, &disk, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "disk 0: its file cannot be opened: No such file or directory");
    (void)snprintf(away, sizeof away, "%s/away", f.folder);
    CLEAN_FD other = open(away, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_int_equal(ftruncate(other, 4096), 0);
    assert_int_equal(symlink(away, path), 0);
    assert_int_equal(guest_disk_open(&fd, f.images, &disk, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "disk 0: its file cannot be opened: Too many levels of symbolic links");
}

static void disks_go_with_their_guest(void **state)
{
    (void)state;
    CLEAN_BYTES bytes = {0};
    uint64_t used;
    const struct image_digest image = add_image(&bytes);
    assert_int_equal(fixture_disk(&f, "web", 7, &image, 0, PLENTY, NULL), 0);
    assert_int_equal(fixture_disk(&f, "web", 8, NULL, 4096, PLENTY, NULL), 0);
    assert_int_equal(fixture_files(&f), 3);
    assert_int_equal(guest_images_drop(f.images, f.db, 7, NULL), 0);
    assert_int_equal(images_settle(f.images, f.db, NULL), 0);
    assert_int_equal(fixture_files(&f), 2);
    close(open_disk(8));
    assert_int_equal(guest_disk_drop(f.images, f.db, 8, 0, NULL), 0);
    assert_int_equal(images_settle(f.images, f.db, NULL), 0);
    assert_int_equal(fixture_files(&f), 1);
    assert_int_equal(images_used(&used, f.images, f.db, "web", NULL), 0);
    assert_int_equal(used, (4 << 20) + 4096);
}

static void a_copy_of_anothers_image_is_refused(void **state)
{
    (void)state;
    CLEAN_BYTES bytes = {0};
    struct cofre_err err = {""};
    const struct image_digest image = add_image(&bytes);
    assert_int_equal(fixture_disk(&f, "mail", 7, &image, 0, PLENTY, &err), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "disk 0: there is no image sha256:"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_copy_is_the_guests_own),
        TEST(an_image_of_nothing_but_zeros_is_copied),
        TEST(a_copy_is_cut_off_when_cofred_ends),
        TEST(an_empty_disk_takes_its_size_of_the_quota_at_once),
        TEST(a_disk_that_was_made_is_never_made_anew),
        TEST(disks_go_with_their_guest),
        TEST(a_copy_of_anothers_image_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
