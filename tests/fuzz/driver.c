/*
 * Mutates inputs without libFuzzer: every cut and every flipped bit of a short one, then random changes. The same numbers
 * come out in every run, so a failure is found again.
 *   fuzz_NOUN RUNS [FILE or FOLDER]...      without any, the target's own seeds
 * A run that fails leaves its input in ./fuzz-failure; fuzz_NOUN 0 ./fuzz-failure shows it again.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/bytes.h"
#include "vmm/base/file.h"

#define SEEDS_MAX    256
#define EXHAUST_BITS 16384 /* seeds of at most so many bits have each of them flipped */

static struct bytes seeds[SEEDS_MAX];
static unsigned seed_count;
static uint8_t input[2 * FUZZ_SEED_MAX];
static size_t input_len;
static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t any(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? state % below : 0;
}

/* Only calls that a signal handler may make: the input is what matters. */
static void keep_input(int signal)
{
    int fd = open("fuzz-failure", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) {
        ssize_t n = write(fd, input, input_len);
        (void)n;
        close(fd);
    }
    raise(signal);
}

static void run(void)
{
    /* A copy of exactly that length, so that a read beyond it is one beyond an allocation. */
    uint8_t *copy = malloc(input_len ? input_len : 1);
    if (!copy)
        abort();
    memcpy(copy, input, input_len);
    (void)LLVMFuzzerTestOneInput(copy, input_len);
    free(copy);
}

static void load(unsigned i)
{
    input_len = seeds[i].len;
    memcpy(input, seeds[i].data, input_len);
}

/* Of a target that is slow, of which less than a hundred runs are asked, as many of each, spread over the seed, and none of a long one. */
static void exhaust(unsigned i, unsigned long runs)
{
    const size_t bits = 8 * seeds[i].len, step = runs < 100 && bits > runs ? bits / runs : 1;
    if (runs < 100 && bits > EXHAUST_BITS)
        return;
    load(i);
    for (size_t bit = 0; bit < bits && bits <= EXHAUST_BITS; bit += step) {
        input[bit / 8] ^= (uint8_t)(1u << bit % 8);
        run();
        input[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 1; cut <= seeds[i].len && cut <= 256; cut += runs < 100 ? 1 + 256 / runs : 1) {
        input_len = seeds[i].len - cut;
        run();
    }
}

static void mutate_once(void)
{
    static const uint32_t corner[] = {0,      1,      0x7f,       0x80,       0xff,
                                      0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};
    size_t at = any(input_len);
    uint32_t value = corner[any(sizeof corner / sizeof corner[0])];
    switch (any(7)) {
    case 0: /* a bit */
        if (input_len)
            input[at] ^= (uint8_t)(1u << any(8));
        break;
    case 1: /* a byte */
        if (input_len)
            input[at] = (uint8_t)any(256);
        break;
    case 2: /* a word, at a corner of its range */
        if (input_len - at >= 4)
            put_le32(input + at, value);
        break;
    case 3: /* a half word, near what it was */
        if (input_len - at >= 2)
            put_le16(input + at, (uint16_t)(le16(input + at) + any(9) - 4));
        break;
    case 4: /* a cut */
        input_len = at;
        break;
    case 5: /* more bytes */
        for (size_t n = any(64); n > 0 && input_len < sizeof input; n--)
            input[input_len++] = (uint8_t)any(256);
        break;
    case 6: { /* a part of another seed, or of this one at another place */
        const struct bytes *from = &seeds[any(seed_count)];
        size_t start = any(from->len), len = any(64);
        len = len < from->len - start ? len : from->len - start;
        if (len < input_len - at)
            memcpy(input + at, from->data + start, len);
        break;
    }
    }
}

static bool add(const char *path)
{
    struct dirent **entries;
    struct cofre_err err;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) {
        if (seed_count == SEEDS_MAX || file_read(&seeds[seed_count], path, sizeof input, &err) == 0)
            return seed_count == SEEDS_MAX || ++seed_count;
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    bool ok = true;
    for (int i = 0; i < n; free(entries[i++])) {
        char file[4096];
        (void)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        ok = ok && (*entries[i]->d_name == '.' || add(file));
    }
    free(entries);
    return ok;
}

static bool add_own(void)
{
    static uint8_t seed[FUZZ_SEED_MAX];
    for (size_t len; seed_count < SEEDS_MAX && (len = fuzz_seed(seed_count, seed)) > 0;)
        if (bytes_copy(&seeds[seed_count++], (struct view){seed, len}, NULL) < 0)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    (void)LLVMFuzzerInitialize(&argc, &argv);
    unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    bool ok = argc > 2 || add_own();
    for (int i = 2; ok && i < argc; i++)
        ok = add(argv[i]);
    if (!ok || seed_count == 0)
        return 1;
    struct sigaction action = {.sa_handler = keep_input, .sa_flags = SA_RESETHAND};
    sigaction(SIGABRT, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (unsigned i = 0; i < seed_count; i++) {
        load(i);
        run();
        if (runs)
            exhaust(i, runs);
    }
    for (unsigned long i = 0; i < runs; i++) {
        load((unsigned)any(seed_count));
        for (uint64_t changes = 1 + any(4); changes > 0; changes--)
            mutate_once();
        run();
    }
    for (unsigned i = 0; i < seed_count; i++)
        bytes_free(&seeds[i]);
    return 0;
}
