#include "tests/unit/service/faults/power.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define SECTOR   512
#define FILE_MAX (256u << 20)

void power_new(struct power *p, const char *folder)
{
    char path[128];
    snprintf(p->folder, sizeof p->folder, "%s", folder);
    snprintf(p->shadow, sizeof p->shadow, "%s/shadow", folder);
    assert_int_equal(mkdir(p->shadow, 0700), 0);
    snprintf(path, sizeof path, "%s/control", p->shadow);
    CLEAN_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, sizeof *p->faults), 0);
    void *at = mmap(NULL, sizeof *p->faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(at != MAP_FAILED);
    p->faults = at;
}

void power_free(struct power *p)
{
    munmap(p->faults, sizeof *p->faults);
}

/* Each file that the library sees. */
static void each(struct power *p,
                 void (*do_it)(struct power *p, const char *path, const char *beside, void *context),
                 void *context)
{
    DIR *folder = opendir(p->folder);
    struct dirent *entry;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        char path[400], beside[400];
        struct stat st;
        const char *name = entry->d_name;
        if ((strncmp(name, "db", 2) != 0 && strncmp(name, "root", 4) != 0 &&
             strncmp(name, "backup", 6) != 0) ||
            strstr(name, "-shm"))
            continue;
        snprintf(path, sizeof path, "%s/%s", p->folder, name);
        assert_int_equal(stat(path, &st), 0);
        snprintf(beside, sizeof beside, "%s/%lu", p->shadow, (unsigned long)st.st_ino);
        do_it(p, path, beside, context);
    }
    closedir(folder);
}

static void forget_shadows(struct power *p)
{
    char line[256];
    snprintf(line, sizeof line, "find '%s' -type f ! -name control -delete", p->shadow);
    assert_int_equal(system(line), 0);
}

static void copy_to_shadow(struct power *p, const char *path, const char *beside, void *context)
{
    CLEAN_BYTES file = {0};
    (void)p;
    (void)context;
    assert_int_equal(file_read(&file, path, FILE_MAX, NULL), 0);
    assert_int_equal(file_write(beside, bytes_view(&file), 0600, NULL), 0);
}

void power_settle(struct power *p)
{
    forget_shadows(p);
    each(p, copy_to_shadow, NULL);
}

/* A name that was replaced, and whose folder was not synced, may be the old one's. */
static void undo_renames(struct power *p, uint64_t (*draw)(uint64_t below))
{
    static const char *const names[] = {"root.json", "backup"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char old[256], path[256];
        snprintf(old, sizeof old, "%s/old-%s", p->shadow, names[i]);
        snprintf(path, sizeof path, "%s/%s", p->folder, names[i]);
        if (access(old, F_OK) == 0 && draw(2))
            assert_int_equal(rename(old, path), 0);
    }
}

static void mix(struct power *p, const char *path, const char *beside, void *context)
{
    CLEAN_BYTES now = {0}, synced = {0}, mixed = {0};
    uint64_t (**draw)(uint64_t below) = context;
    struct stat st;
    (void)p;
    assert_int_equal(file_read(&now, path, FILE_MAX, NULL), 0);
    if (stat(beside, &st) == 0) /* else nothing of it was ever synced */
        assert_int_equal(file_read(&synced, beside, FILE_MAX, NULL), 0);
    assert_int_equal(bytes_alloc(&mixed, (*draw)(2) ? now.len : synced.len, NULL), 0);
    for (size_t at = 0; at < mixed.len; at += SECTOR) {
        const struct bytes *from = (*draw)(2) ? &now : &synced;
        const size_t end = at + SECTOR < mixed.len ? at + SECTOR : mixed.len;
        if (at < from->len)
            memcpy(mixed.data + at, from->data + at, (end < from->len ? end : from->len) - at);
    }
    /* In place: the inode names the shadow. */
    CLEAN_FD fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, mixed.data, mixed.len), mixed.len);
}

void power_cut(struct power *p, uint64_t (*draw)(uint64_t below))
{
    char shm[128];
    undo_renames(p, draw);
    each(p, mix, &draw);
    snprintf(shm, sizeof shm, "%s/db-shm", p->folder); /* memory, which does not outlive the machine */
    unlink(shm);
}

void power_enter(const struct power *p, const char *broken)
{
    assert_non_null(getenv("COFRE_FAULTS"));
    setenv("LD_PRELOAD", getenv("COFRE_FAULTS"), 1);
    setenv(FAULTS_FOLDER, p->folder, 1);
    setenv(FAULTS_SHADOW, p->shadow, 1);
    if (broken)
        setenv(FAULTS_BREAK, broken, 1);
}

void power_leave(void)
{
    unsetenv("LD_PRELOAD");
    unsetenv(FAULTS_BREAK);
}

void power_arm(struct power *p, enum fault_action action, enum fault_call call, const char *suffix,
               unsigned left)
{
    atomic_store(&p->faults->action, FAULT_NONE);
    atomic_store(&p->faults->call, (int)call);
    atomic_store(&p->faults->left, (int)left);
    snprintf(p->faults->suffix, sizeof p->faults->suffix, "%s", suffix);
    atomic_store(&p->faults->action, (int)action);
}
