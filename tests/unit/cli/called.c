#include "tests/unit/cli/called.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wordexp.h>

#include <cmocka.h>

#include "vmm/base/file.h"
#include "vmm/cli/verb.h"

char called_output[1 << 20];
static char directory[] = "/tmp/cofre-test-XXXXXX";

/* Standard streams are files of the directory, or nothing. */
static void streams(const int kept[static 3], const char *input)
{
    for (int i = 0; i < 3; i++) {
        int fd = i ? open("output", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)
                   : open(input ? input : "/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0 && kept[i] >= 0 && dup2(fd, i) == i);
        close(fd);
    }
}

/* The verb, as main calls it; called_output has what it wrote. */
int called(const char *arguments, const char *input)
{
    wordexp_t words;
    CLEAN_BYTES output = {0};
    const int kept[3] = {dup(0), dup(1), dup(2)};
    assert_int_equal(wordexp(arguments, &words, WRDE_NOCMD), 0);
    (void)unlink("output");
    (void)fflush(stdout);
    streams(kept, input);
    int code = verb_host((int)words.we_wordc, words.we_wordv);
    (void)fflush(stdout);
    for (int i = 0; i < 3; i++) {
        (void)dup2(kept[i], i);
        close(kept[i]);
    }
    wordfree(&words);
    clearerr(stdin);
    assert_int_equal(file_read(&output, "output", sizeof called_output - 1, NULL), 0);
    memcpy(called_output, output.data, output.len);
    called_output[output.len] = 0;
    return code;
}

int called_set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) ? chdir(directory) : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int called_tear_down(void **state)
{
    (void)state;
    return chdir("/") == 0 ? nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}
