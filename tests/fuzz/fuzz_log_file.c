/* Files of logs, from whoever: what opens is what its last head says, and opening is the end of it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/log/made_log.h"
#include "vmm/base/file.h"

/* The file's name, in memory; it is written anew for each input. */
static char path[32];
static int fd = -1;

static void put_file(const uint8_t *data, size_t size)
{
    if (fd < 0) {
        fd = memfd_create("log", MFD_CLOEXEC);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
}

static bool try_open(bool write, uint64_t *size)
{
    struct log_heads heads = made_heads(write, NULL);
    struct log_file *f = NULL;
    struct cofre_err err = {""};
    if (log_file_open(&f, path, &heads, &err) < 0) {
        FUZZ_CHECK(*err.text && !f);
        return false;
    }
    *size = log_file_state(f)->size;
    for (uint64_t i = 0; i < *size; i++) {
        CLEAN_BYTES entry = {0};
        int rc = log_file_entry(f, i, &entry, &err);
        FUZZ_CHECK(rc == 0 || (rc == -COFRE_NEGATIVE && !entry.data));
    }
    if (write)
        FUZZ_CHECK(log_file_append(f, (struct view){NULL, 0}, NULL, NULL) == 0 &&
                   log_file_commit(f, NULL) == 0);
    log_file_close(f);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t entries, more;
    put_file(data, size);
    if (!try_open(true, &entries))
        return 0;
    FUZZ_CHECK(try_open(false, &more) && more == entries + 1);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint64_t commits[] = {2, 5, 6, 0};
    static const uint64_t sizes[] = {1, 2, 6, 6};
    char dir[MADE_DIR_SIZE], name[MADE_DIR_SIZE + 8];
    if (index >= sizeof sizes / sizeof *sizes || !made_dir(dir))
        return 0;
    (void)snprintf(name, sizeof name, "%s/log", dir);
    made_create(name);
    struct log_file *f = made_open(name, true);
    made_grow(f, sizes[index], commits);
    log_file_close(f);
    CLEAN_BYTES file = {0};
    FUZZ_CHECK(file_read(&file, name, FUZZ_SEED_MAX, NULL) == 0);
    unlink(name);
    rmdir(dir);
    CLEAN_BYTES less = {0};
    if (index == 3)
        (void)made_remove(&less, bytes_view(&file), 2);
    const struct bytes *seed = index == 3 ? &less : &file;
    memcpy(out, seed->data, seed->len);
    return seed->len;
}
