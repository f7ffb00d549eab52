/*
 * fuzz_NOUN --seeds DIR writes the target's valid inputs there, one file each: tests/fuzz/corpus is made so. Keys, random
 * bytes and the clock are the same in every run of a target, so that a seed made today verifies under tomorrow's keys, and
 * an input does what it did. LLVMFuzzerInitialize is called before the first input, by libFuzzer, AFL++ and driver.c alike.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* a RAND_METHOD is the one way to fixed keys that OpenSSL 3.0 has */
#include <openssl/rand.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

time_t time(time_t *out)
{
    const time_t now = FUZZ_NOW;
    if (out)
        *out = now;
    return now;
}

/* Log lines are made, so that a wrong argument is seen, and counted. They stand before vmm/base's own in the link. */
unsigned fuzz_log_lines;

bool log_wanted(const char *room, enum log_level level)
{
    return *room && level <= LOG_DEBUG;
}

void log_line(const char *room, enum log_level level, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    FUZZ_CHECK(*room && vsnprintf(line, sizeof line, format, args) >= 0);
    va_end(args);
    fuzz_log_lines += level <= LOG_WARN;
}

static int same_bytes(unsigned char *out, int len)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    for (int i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out[i] = (unsigned char)(state >> 24);
    }
    return 1;
}

static int same_status(void)
{
    return 1;
}

static void write_seeds(const char *dir)
{
    static uint8_t seed[FUZZ_SEED_MAX];
    struct cofre_err err;
    char path[512];
    size_t len;
    for (unsigned i = 0; (len = fuzz_seed(i, seed)) > 0; i++) {
        (void)snprintf(path, sizeof path, "%s/seed-%02u", dir, i);
        if (file_write(path, (struct view){seed, len}, 0644, &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const RAND_METHOD same = {.bytes = same_bytes, .pseudorand = same_bytes, .status = same_status};
    FUZZ_CHECK(RAND_set_rand_method(&same) == 1);
    if (*argc == 3 && strcmp((*argv)[1], "--seeds") == 0) {
        write_seeds((*argv)[2]);
        exit(0);
    }
    return 0;
}
