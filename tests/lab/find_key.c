/*
 * Looks for a key where it should not be:   find-key KEY-FILE WHERE...
 *   FILE            in a file
 *   --of PID        in what is present of a process's memory, but for the private memory of a guest of the emulated platform
 *   --with-guest PID  in that too
 *   --leak PID      first puts the key into that process's memory, so that it is seen to be found there
 * Either half of the key counts, as it is, in hexadecimal and in base64. Exit code 0: it is there, and where is printed; 1: it is not;
 * 2: it could not be looked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define KEY_MAX     64
#define PATTERN_MAX 128
#define CHUNK       (1u << 20)
#define PRIVATE     "/memfd:cofre-guest-memfd" /* what vmm/emu calls it */

/* linux/fs.h of 6.7 and later: the ranges of a process that are present, whatever lies between them. */
struct page_region {
    uint64_t start, end, categories;
};
struct pm_scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask,
        category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN_CALL _IOWR('f', 16, struct pm_scan_arg)
#define PRESENT           (1u << 3 | 1u << 4) /* or swapped */

struct pattern {
    uint8_t data[PATTERN_MAX];
    size_t len;
};
struct search {
    struct pattern pattern[2 * 9];
    size_t patterns;
    uint8_t begins[1 << 16]; /* by the first two bytes: whether a pattern does so */
    bool found;
};

static void add(struct search *s, const void *data, size_t len)
{
    struct pattern *p = &s->pattern[s->patterns++];
    memcpy(p->data, data, len);
    p->len = len;
    s->begins[p->data[0] | p->data[1] << 8] = 1;
}

/* As part of a longer text a group of base64 begins at any of three places; what its neighbours decide is left out. */
static void add_base64(struct search *s, struct view half)
{
    for (size_t before = 0; before < 3; before++) {
        uint8_t in[2 + KEY_MAX] = {0}, out[PATTERN_MAX];
        const size_t in_all = before + half.len, whole = in_all / 3 * 3, from = before ? before + 1 : 0;
        memcpy(in + before, half.data, half.len);
        const size_t len = (size_t)EVP_EncodeBlock(out, in, (int)whole) - from;
        add(s, out + from, len);
        for (size_t i = from; i < from + len; i++)
            out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
        add(s, out + from, len);
    }
}

static void add_half(struct search *s, struct view half)
{
    char hex[2 * KEY_MAX + 1];
    add(s, half.data, half.len);
    hex_encode(hex, half.data, half.len);
    add(s, hex, 2 * half.len);
    for (size_t i = 0; hex[i]; i++)
        hex[i] = hex[i] >= 'a' ? (char)(hex[i] - 'a' + 'A') : hex[i];
    add(s, hex, 2 * half.len);
    add_base64(s, half);
}

static bool is_in(const struct search *s, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++)
        if (s->begins[data[i] | data[i + 1] << 8])
            for (size_t k = 0; k < s->patterns; k++)
                if (s->pattern[k].len <= len - i &&
                    memcmp(data + i, s->pattern[k].data, s->pattern[k].len) == 0)
                    return true;
    return false;
}

/* The range of an open file, or of a process's memory; what lies over the end of a piece is seen with the next one. */
static void look(struct search *s, int fd, uint64_t from, uint64_t to, const char *where)
{
    static uint8_t piece[PATTERN_MAX + CHUNK];
    size_t kept = 0;
    while (from < to) {
        const size_t want = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
        const ssize_t n = pread(fd, piece + kept, want, (off_t)from);
        if (n <= 0)
            return; /* its end, or the kernel's own page */
        if (is_in(s, piece, kept + (size_t)n)) {
            printf("%s: from 0x%" PRIx64 " on\n", where, from);
            s->found = true;
            return;
        }
        const size_t all = kept + (size_t)n;
        kept = all < PATTERN_MAX ? all : PATTERN_MAX;
        memmove(piece, piece + all - kept, kept);
        from += (uint64_t)n;
    }
}

static bool look_at_file(struct search *s, const char *path)
{
    CLEAN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        look(s, fd, 0, UINT64_MAX, path);
    return fd >= 0;
}

static bool look_at_present(struct search *s, int mem, int pagemap, uint64_t from, uint64_t to,
                            const char *where)
{
    struct page_region region[64];
    while (from < to) {
        struct pm_scan_arg arg = {.size = sizeof arg,
                                  .start = from,
                                  .end = to,
                                  .vec = (uintptr_t)region,
                                  .vec_len = sizeof region / sizeof *region,
                                  .category_anyof_mask = PRESENT,
                                  .return_mask = PRESENT};
        const int n = ioctl(pagemap, PAGEMAP_SCAN_CALL, &arg);
        if (n < 0)
            return false;
        for (int i = 0; i < n; i++)
            look(s, mem, region[i].start, region[i].end, where);
        from = arg.walk_end;
    }
    return true;
}

struct process {
    FILE *maps;
    int mem, pagemap;
};
static void process_close(struct process *p)
{
    if (p->maps)
        (void)fclose(p->maps);
    cleanup_close(&p->mem);
    cleanup_close(&p->pagemap);
}

static bool process_open(struct process *p, const char *pid, int how)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%.16s/maps", pid);
    p->maps = fopen(path, "re");
    (void)snprintf(path, sizeof path, "/proc/%.16s/mem", pid);
    p->mem = open(path, how | O_CLOEXEC);
    (void)snprintf(path, sizeof path, "/proc/%.16s/pagemap", pid);
    p->pagemap = open(path, O_RDONLY | O_CLOEXEC);
    return p->maps && p->mem >= 0 && p->pagemap >= 0;
}

static bool look_at_process(struct search *s, const char *pid, bool with_guest)
{
    __attribute__((cleanup(process_close))) struct process p = {NULL, -1, -1};
    char line[512], where[600];
    uint64_t from, to;
    size_t looked_at = 0;
    if (!process_open(&p, pid, O_RDONLY))
        return false;
    while (fgets(line, sizeof line, p.maps)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) != 2 || (!with_guest && strstr(line, PRIVATE)) ||
            strstr(line, "[vsyscall]"))
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(where, sizeof where, "process %.16s: %s", pid, line);
        if (!look_at_present(s, p.mem, p.pagemap, from, to, where))
            return false;
        looked_at++;
    }
    return looked_at > 0;
}

/* At the far end of the stack, where nothing is in use. */
static bool leak(const char *pid, struct view key)
{
    __attribute__((cleanup(process_close))) struct process p = {NULL, -1, -1};
    char line[512];
    uint64_t from;
    if (!process_open(&p, pid, O_RDWR))
        return false;
    while (fgets(line, sizeof line, p.maps))
        if (strstr(line, "[stack]") && sscanf(line, "%" SCNx64, &from) == 1)
            return pwrite(p.mem, key.data, key.len, (off_t)from) == (ssize_t)key.len;
    return false;
}

static bool run(struct search *s, int argc, char **argv, struct view key)
{
    for (int i = 2; i < argc; i++) {
        const bool of = strcmp(argv[i], "--of") == 0, with = strcmp(argv[i], "--with-guest") == 0,
                   leaks = strcmp(argv[i], "--leak") == 0, option = of || with || leaks;
        if (option && ++i == argc)
            return false;
        const bool good = !option ? look_at_file(s, argv[i])
                          : leaks ? leak(argv[i], key)
                                  : look_at_process(s, argv[i], with);
        if (!good) {
            fprintf(stderr, "find-key: %s: %s\n", argv[i], strerror(errno));
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct search search;
    CLEAN_BYTES key = {0};
    struct cofre_err err = {"a key's file is due, and where it is looked for"};
    if (argc < 3 || file_read(&key, argv[1], KEY_MAX, &err) < 0 || key.len < 32) {
        fprintf(stderr, "find-key: %s\n", err.text);
        return 2;
    }
    add_half(&search, (struct view){key.data, key.len / 2});
    add_half(&search, (struct view){key.data + key.len / 2, key.len - key.len / 2});
    return !run(&search, argc, argv, bytes_view(&key)) ? 2 : search.found ? 0 : 1;
}
