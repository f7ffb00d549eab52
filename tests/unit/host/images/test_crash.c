/*
 * The end of the writing process before and after each of its calls that change the disk, which the linker has call the functions here
 * (--wrap); and the order of these calls, which is what holds when the machine's power ends. What must hold after a new start: an image or a
 * disk is there whole, with its row, or nothing of it is.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/images/fixture.h"
#include "vmm/base/cleanup.h"

static struct fixture f;
static int calls_left = -1; /* until the one that is the last; below: none is */
static bool afterwards;     /* it is made, and then the process ends */
static char order[64];      /* of the calls, a letter each */

static void come(char letter)
{
    const size_t n = strlen(order);
    if (n + 1 < sizeof order)
        order[n] = letter;
    if (calls_left == 0 && !afterwards)
        raise(SIGKILL);
}

static void leave(void)
{
    if (calls_left == 0)
        raise(SIGKILL);
    if (calls_left > 0)
        calls_left--;
}

#define WRAP(type, name, letter, parameters, arguments)                                                      \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        come(letter);                                                                                        \
        type result = __real_##name arguments;                                                               \
        leave();                                                                                             \
        return result;                                                                                       \
    }
WRAP(ssize_t, pwrite64, 'w', (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
WRAP(int, ftruncate64, 't', (int fd, off_t len), (fd, len))
WRAP(int, fchmod, 'm', (int fd, mode_t mode), (fd, mode))
WRAP(int, fsync, 's', (int fd), (fd))
WRAP(int, mkdirat, 'd', (int fd, const char *name, mode_t mode), (fd, name, mode))
WRAP(int, renameat, 'r', (int from, const char *a, int to, const char *b), (from, a, to, b))
WRAP(int, unlinkat, 'u', (int fd, const char *name, int flags), (fd, name, flags))

static int set_up(void **state)
{
    (void)state;
    fixture_make(&f, NULL);
    memset(order, 0, sizeof order);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_remove(&f);
    return 0;
}

static const uint8_t content[9000] = {[0] = 1, [8999] = 2};
static const struct view image = {content, sizeof content};

static int add_image(void)
{
    return fixture_add(&f, "web", image, PLENTY, NULL);
}

static int make_disk(void)
{
    const struct image_digest digest = fixture_digest(image);
    return fixture_disk(&f, "web", 7, &digest, 0, PLENTY, NULL);
}

static int delete_image(void)
{
    const struct image_digest digest = fixture_digest(image);
    int rc = image_delete(f.images, f.db, "web", &digest, NULL);
    return rc < 0 ? rc : images_settle(f.images, f.db, NULL);
}

static int delete_guest(void)
{
    int rc = guest_images_drop(f.images, f.db, 7, NULL);
    return rc < 0 ? rc : images_settle(f.images, f.db, NULL);
}

/* True where it died. */
static bool die_at(int (*work)(void), int call, bool after)
{
    int status;
    fixture_close(&f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture_open(&f);
        calls_left = call;
        afterwards = after;
        int rc = work();
        calls_left = -1;
        fixture_close(&f);
        _exit(rc < 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    fixture_open(&f);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

/* What has a row is whole; what has none is not there. True where it has one. */
static bool image_is_whole_or_not_there(void)
{
    const struct image_digest digest = fixture_digest(image);
    uint8_t found[sizeof content + 1];
    struct guest_disk disk;
    CLEAN_FD fd = -1;
    unsigned others = guest_disk_find(&disk, f.db, 7, 0, NULL) == 0 && disk.made;
    int rc = image_open(&fd, f.images, f.db, "web", &digest, NULL);
    assert_true(rc == 0 || rc == -COFRE_NEGATIVE);
    assert_int_equal(fixture_files(&f), others + (rc == 0));
    if (rc < 0)
        return false;
    assert_int_equal(read(fd, found, sizeof found), sizeof content);
    assert_memory_equal(found, content, sizeof content);
    return true;
}

static bool disk_is_whole_or_not_there(void)
{
    uint8_t found[sizeof content + 1];
    struct guest_disk disk;
    CLEAN_FD fd = -1;
    int rc = guest_disk_find(&disk, f.db, 7, 0, NULL);
    assert_true(rc == 0 || rc == -COFRE_NEGATIVE);
    if (rc < 0 || !disk.made) { /* one that is planned may have its file already */
        const unsigned files = fixture_files(&f);
        assert_true(files == 1 || (rc == 0 && files == 2));
        return false;
    }
    assert_int_equal(guest_disk_open(&fd, f.images, &disk, NULL), 0);
    assert_int_equal(read(fd, found, sizeof found), sizeof content);
    assert_memory_equal(found, content, sizeof content);
    assert_int_equal(fixture_files(&f), 2);
    return true;
}

/* Once it is done it stays so; before, it can be done again. */
static void ends_at_each_call(int (*work)(void), int (*undo)(void), bool (*look)(void), int at_least)
{
    int deaths = 0;
    bool died = true;
    for (int call = 0; died; call++)
        for (int after = 0; died && after <= 1; after++) {
            died = die_at(work, call, after != 0);
            deaths += died;
            bool done = look();
            assert_true(done || died);
            if (!done)
                assert_int_equal(work(), 0);
            assert_true(look());
            assert_int_equal(undo(), 0);
            assert_false(look());
        }
    assert_true(deaths >= at_least);
}

static void an_image_is_there_whole_or_not_at_all(void **state)
{
    (void)state;
    ends_at_each_call(add_image, delete_image, image_is_whole_or_not_there, 2 * 8);
}

static void a_disk_is_there_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(add_image(), 0);
    ends_at_each_call(make_disk, delete_guest, disk_is_whole_or_not_there, 2 * 4);
}

static bool image_is_gone(void)
{
    return !image_is_whole_or_not_there();
}

static void an_image_is_gone_or_there(void **state)
{
    (void)state;
    assert_int_equal(add_image(), 0);
    ends_at_each_call(delete_image, add_image, image_is_gone, 2);
}

/* Content, length and mode are on the disk before the name, and the name is before the row, which the transaction's end makes true. */
static void what_has_a_name_is_on_the_disk_and_what_has_a_row_has_a_name(void **state)
{
    (void)state;
    assert_int_equal(add_image(), 0);
    if (strcmp(order, "wwtmssdsrs") != 0) /* with a sync of fs-verity's tree */
        assert_string_equal(order, "wwtmsdsrs");
    memset(order, 0, sizeof order);
    const struct image_digest digest = fixture_digest(image);
    assert_int_equal(fixture_disk(&f, "web", 7, &digest, 0, PLENTY, NULL), 0);
    assert_string_equal(order, "tsrs");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_image_is_there_whole_or_not_at_all),
        TEST(a_disk_is_there_whole_or_not_at_all),
        TEST(an_image_is_gone_or_there),
        TEST(what_has_a_name_is_on_the_disk_and_what_has_a_row_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
