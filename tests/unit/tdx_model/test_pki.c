/* The directory of the emulated TDX platform: made once, whole, told apart, beside an SNP one; damage is named. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/bytes.h"
#include "vmm/base/file.h"

static const char *const files[] = {"tdx-root.pem",        "tdx-root.key",        "tdx-platform-ca.pem",
                                    "tdx-platform-ca.key", "tdx-tcb-signing.pem", "tdx-tcb-signing.key",
                                    "tdx-pck.pem",         "tdx-pck.key",         "tdx-attestation.key",
                                    "tdx-processor"};
#define FILES (sizeof files / sizeof *files)

static struct bytes root_of(const char *dir)
{
    struct tdx_platform *platform = NULL;
    struct bytes pem = {0};
    struct cofre_err err;
    if (tdx_platform_open(&platform, dir, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(tdx_platform_root(platform, &pem, &err), 0);
    tdx_platform_close(platform);
    return pem;
}

static void first_use_by_several_processes_makes_one_platform(void **state)
{
    (void)state;
    char dir[4096], path[8192];
    pid_t children[4];
    int ready[2];
    new_dir(dir);
    assert_int_equal(pipe(ready), 0);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char byte;
            struct tdx_platform *platform = NULL;
            close(ready[1]);
            (void)!read(ready[0], &byte, 1); /* all start when the parent closes its end */
            _exit(tdx_platform_open(&platform, dir, NULL, NULL) == 0 ? 0 : 1);
        }
    }
    close(ready[0]);
    close(ready[1]);
    for (int i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    struct bytes first = root_of(dir), second = root_of(dir);
    assert_true(view_equal(bytes_view(&first), bytes_view(&second)));
    for (size_t i = 0; i < FILES; i++) {
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    bytes_free(&first);
    bytes_free(&second);
    remove_dir(dir);
}

static void every_directory_has_a_root_of_its_own(void **state)
{
    (void)state;
    char one[4096], other[4096];
    new_dir(one);
    struct bytes first = root_of(one);
    new_dir(other);
    struct bytes second = root_of(other);
    assert_false(view_equal(bytes_view(&first), bytes_view(&second)));
    bytes_free(&first);
    bytes_free(&second);
    remove_dir(one);
    remove_dir(other);
}

static void assert_damaged(const char *dir, const char *file)
{
    struct tdx_platform *platform = NULL;
    struct cofre_err err = {""};
    assert_int_equal(tdx_platform_open(&platform, dir, NULL, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, file));
    assert_non_null(strstr(err.text, "remove the directory"));
    assert_null(platform);
}

static void a_damaged_directory_is_named_not_used(void **state)
{
    (void)state;
    char dir[4096], path[8192];
    new_dir(dir);
    struct bytes root = root_of(dir);
    for (size_t i = 0; i < FILES; i++) {
        struct bytes good = {0};
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        assert_int_equal(file_read(&good, path, 65536, NULL), 0);
        struct view cut = {good.data, good.len / 2};
        assert_int_equal(file_write(path, cut, 0600, NULL), 0);
        assert_damaged(dir, files[i]);
        assert_int_equal(file_write(path, bytes_view(&good), 0600, NULL), 0);
        bytes_free(&good);
    }
    struct bytes again = root_of(dir);
    assert_true(view_equal(bytes_view(&root), bytes_view(&again)));
    bytes_free(&root);
    bytes_free(&again);
    remove_dir(dir);
}

static void a_key_of_another_certificate_is_noticed(void **state)
{
    (void)state;
    static const char *const keys[] = {"tdx-root.key", "tdx-platform-ca.key", "tdx-tcb-signing.key",
                                       "tdx-pck.key"};
    char dir[4096], path[8192], other[8192];
    new_dir(dir);
    struct bytes root = root_of(dir);
    snprintf(other, sizeof other, "%s/tdx-attestation.key", dir);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct bytes good = {0}, wrong = {0};
        snprintf(path, sizeof path, "%s/%s", dir, keys[i]);
        assert_int_equal(file_read(&good, path, 65536, NULL), 0);
        assert_int_equal(file_read(&wrong, other, 65536, NULL), 0);
        assert_int_equal(file_write(path, bytes_view(&wrong), 0600, NULL), 0);
        assert_damaged(dir, keys[i]);
        assert_int_equal(file_write(path, bytes_view(&good), 0600, NULL), 0);
        bytes_free(&good);
        bytes_free(&wrong);
    }
    bytes_free(&root);
    remove_dir(dir);
}

static void a_place_that_cannot_be_made_is_lacking(void **state)
{
    (void)state;
    struct tdx_platform *platform = NULL;
    struct cofre_err err;
    assert_int_equal(tdx_platform_open(&platform, "/proc/nowhere", NULL, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "/proc/nowhere"));
    assert_null(platform);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_use_by_several_processes_makes_one_platform),
        cmocka_unit_test(every_directory_has_a_root_of_its_own),
        cmocka_unit_test(a_damaged_directory_is_named_not_used),
        cmocka_unit_test(a_key_of_another_certificate_is_noticed),
        cmocka_unit_test(a_place_that_cannot_be_made_is_lacking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
