/*
 * The end of the writing process at each of its writes, and of its machine's power: SIGKILL comes after a part of the write,
 * which the linker has call the functions here (--wrap). What must hold afterwards: the log opens, it is the log up to some
 * head that was signed, at least the last that was told as committed, and it goes on.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/log/made_log.h"
#include "vmm/base/file.h"

#define LAST 12 /* entries of a life that no crash ends */

/* What the process that dies leaves to the one that looks. */
struct shared {
    uint64_t committed; /* entries, as log_file_commit returned */
    uint64_t synced;    /* bytes of the log that are on the disk */
};
static struct shared *shared;

static bool armed;
static unsigned writes_left; /* until the write that is the last */
static int write_error;      /* 0: it ends the process; else it fails so, and later ones do not */
static int sync_error;       /* the same of the next fdatasync */
static unsigned eighths;     /* how much of it is done */
static char dir[MADE_DIR_SIZE], path[MADE_DIR_SIZE + 8];

ssize_t __real_pwrite64(int fd, const void *data, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    if (!armed || writes_left-- > 0)
        return __real_pwrite64(fd, data, len, offset);
    size_t part = len * eighths / 8;
    if (part)
        (void)!__real_pwrite64(fd, data, part, offset);
    if (write_error) {
        armed = false;
        errno = write_error;
        return -1;
    }
    raise(SIGKILL);
    abort();
}

int __wrap_fdatasync(int fd)
{
    struct stat st;
    if (sync_error) {
        errno = sync_error;
        sync_error = 0;
        return -1;
    }
    if (armed && fstat(fd, &st) == 0)
        shared->synced = (uint64_t)st.st_size;
    return __real_fdatasync(fd);
}

static int set_up(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || !made_dir(dir))
        return -1;
    (void)snprintf(path, sizeof path, "%s/log", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(dir);
}

/* Opens, appends and commits after every third entry; the caller's death may come anywhere. */
static void live(void)
{
    struct log_heads heads = made_heads(true, NULL);
    struct log_file *f;
    if (log_file_open(&f, path, &heads, NULL) < 0)
        _exit(1);
    for (uint64_t i = log_file_state(f)->size; i < LAST; i++) {
        struct bytes entry;
        made_entry(&entry, i);
        if (log_file_append(f, bytes_view(&entry), NULL, NULL) < 0)
            _exit(1);
        bytes_free(&entry);
        if (i % 3 == 2 && log_file_commit(f, NULL) < 0)
            _exit(1);
        shared->committed = log_file_state(f)->size;
    }
    _exit(0);
}

/* True where it died of the write. */
static bool die_at(unsigned write, unsigned part)
{
    int status;
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    *shared = (struct shared){.committed = 1, .synced = (uint64_t)st.st_size};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        armed = true;
        writes_left = write;
        eighths = part;
        live();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

static void goes_on_where_it_must(void)
{
    struct log_file *f = made_open(path, true);
    uint64_t size = log_file_state(f)->size;
    assert_true(size >= shared->committed);
    assert_true(size == 1 || size % 3 == 0); /* where commits are */
    made_check(f, size);
    made_grow(f, size + 2, (uint64_t[]){size + 2, 0});
    log_file_close(f);
    f = made_open(path, false);
    made_check(f, size + 2);
    log_file_close(f);
}

/* Each write, ended after none, a part or all of it. */
static void after_each(void (*look)(void))
{
    bool died = true;
    unsigned write = 0;
    for (; died; write++)
        for (unsigned part = 0; died && part <= 8; part += part == 0 ? 1 : 7) {
            made_create(path);
            died = die_at(write, part);
            look();
            assert_int_equal(unlink(path), 0);
        }
    assert_true(write > 3 * (LAST / 3)); /* entries, head and number of each commit */
}

static void survives_the_end_of_its_process_at_each_write(void **state)
{
    (void)state;
    after_each(goes_on_where_it_must);
}

/* What was not synced did not reach the disk: the file is as long as it was, or has zeros there. */
static void lose_power(bool zeros)
{
    CLEAN_BYTES file = {0};
    assert_int_equal(file_read(&file, path, 64 << 20, NULL), 0);
    size_t kept = shared->synced < file.len ? shared->synced : file.len;
    if (zeros)
        memset(file.data + kept, 0, file.len - kept);
    else
        file.len = kept;
    assert_int_equal(file_write(path, bytes_view(&file), 0600, NULL), 0);
    goes_on_where_it_must();
}

static void cut_power(void)
{
    lose_power(false);
}

static void zero_power(void)
{
    lose_power(true);
}

static void survives_the_end_of_power_at_each_write(void **state)
{
    (void)state;
    after_each(cut_power);
}

static void survives_zeros_where_power_ended(void **state)
{
    (void)state;
    after_each(zero_power);
}

/* The number is what the disk may have from the commit before. */
static void survives_an_old_number_of_committed_bytes(void **state)
{
    (void)state;
    made_create(path);
    struct log_file *f = made_open(path, true);
    uint64_t before = log_file_length(f);
    made_grow(f, 6, (uint64_t[]){6, 0});
    log_file_close(f);
    CLEAN_BYTES file = {0};
    assert_int_equal(file_read(&file, path, 64 << 20, NULL), 0);
    log_header_write(file.data, before);
    assert_int_equal(file_write(path, bytes_view(&file), 0600, NULL), 0);
    f = made_open(path, false); /* who reads does not know whether the rest is on the disk */
    made_check(f, 1);
    log_file_close(f);
    f = made_open(path, true);
    made_check(f, 6);
    log_file_close(f);
    f = made_open(path, false);
    made_check(f, 6);
    log_file_close(f);
    assert_int_equal(unlink(path), 0);
}

/* Neither appends nor commits any more, though the disk would take it again; opened anew it is as it was. */
static void stands_still(struct log_file *f, uint64_t size, const char *why, struct cofre_err *err)
{
    assert_non_null(strstr(err->text, why));
    assert_int_equal(log_file_append(f, (struct view){NULL, 0}, NULL, err), -COFRE_FAILED);
    assert_non_null(strstr(err->text, "a write failed before"));
    assert_int_equal(log_file_commit(f, err), -COFRE_FAILED);
    assert_int_equal(log_file_state(f)->size, size);
    log_file_close(f);
    f = made_open(path, true);
    made_check(f, size);
    log_file_close(f);
    goes_on_where_it_must();
    assert_int_equal(unlink(path), 0);
}

static void a_full_disk_stops_the_log_and_spoils_nothing(void **state)
{
    (void)state;
    for (unsigned write = 0; write < 2; write++) { /* the entries, the head */
        struct cofre_err err;
        made_create(path);
        struct log_file *f = made_open(path, true);
        made_grow(f, 3, (uint64_t[]){3, 0});
        shared->committed = 3;
        made_grow(f, 6, (uint64_t[]){0});
        armed = true;
        writes_left = write;
        eighths = 4;
        write_error = ENOSPC;
        int rc = log_file_commit(f, &err);
        armed = false;
        write_error = 0;
        assert_int_equal(rc, -COFRE_FAILED);
        stands_still(f, 3, "it cannot be written: No space left on device", &err);
    }
}

static void a_failed_sync_is_not_tried_again(void **state)
{
    (void)state;
    struct cofre_err err;
    made_create(path);
    struct log_file *f = made_open(path, true);
    made_grow(f, 3, (uint64_t[]){3, 0});
    shared->committed = 3;
    made_grow(f, 6, (uint64_t[]){0});
    sync_error = EIO;
    assert_int_equal(log_file_commit(f, &err), -COFRE_FAILED);
    stands_still(f, 3, "it cannot be written to the disk: Input/output error", &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_the_end_of_its_process_at_each_write),
        cmocka_unit_test(survives_the_end_of_power_at_each_write),
        cmocka_unit_test(survives_zeros_where_power_ended),
        cmocka_unit_test(survives_an_old_number_of_committed_bytes),
        cmocka_unit_test(a_full_disk_stops_the_log_and_spoils_nothing),
        cmocka_unit_test(a_failed_sync_is_not_tried_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
