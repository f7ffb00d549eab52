/*
 * Prediction of an SNP launch digest, beside SHA-384 of the same bytes by one thread. A page of 32 blocks is hashed with a
 * block of padding, and its PAGE_INFO is two more: 0.91 of the rate is all that one thread can have, and 1.83 two threads,
 * where two processors are twice as fast as one. What they are here, two threads show that only hash a half each.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "sev/digest.h"
#include "tests/bench/bench.h"
#include "vmm/base/bytes.h"

#define SIZE (64u << 20)

#define LEAST_ONE 0.75
#define LEAST_TWO 0.75 /* of two threads that only hash */

static void predict(void *context)
{
    const struct bytes *pages = context;
    struct snp_digest digest;
    snp_digest_init(&digest);
    BENCH_CHECK(snp_digest_pages(&digest, SNP_PAGE_NORMAL, 0x100000, pages->data, pages->len, NULL) == 0);
}

static void *hash_view(void *context)
{
    const struct view *part = context;
    uint8_t value[SNP_DIGEST_SIZE];
    BENCH_CHECK(EVP_Digest(part->data, part->len, value, NULL, EVP_sha384(), NULL) == 1);
    return NULL;
}

static void hash(void *context)
{
    struct view whole = bytes_view(context);
    hash_view(&whole);
}

static void hash_halves(void *context)
{
    const struct bytes *pages = context;
    struct view half[2] = {{pages->data, SIZE / 2}, {pages->data + SIZE / 2, SIZE / 2}};
    pthread_t thread;
    BENCH_CHECK(pthread_create(&thread, NULL, hash_view, &half[1]) == 0);
    hash_view(&half[0]);
    pthread_join(thread, NULL);
}

/* On the first processors of those that we may use; false where there are fewer. */
static bool run_on(const cpu_set_t *all, unsigned processors)
{
    cpu_set_t some;
    CPU_ZERO(&some);
    for (int i = 0; i < CPU_SETSIZE && processors; i++)
        if (CPU_ISSET(i, all)) {
            CPU_SET(i, &some);
            processors--;
        }
    return processors == 0 && sched_setaffinity(0, sizeof some, &some) == 0;
}

static double print(const char *of, double seconds, const char *beside, double beside_seconds, double aim)
{
    return bench_print((struct bench_figure){.figure = "SNP launch digest of 64 MiB",
                                             .of = of,
                                             .unit = "MB/s",
                                             .value = SIZE / seconds / 1e6,
                                             .beside = beside,
                                             .beside_value = SIZE / beside_seconds / 1e6,
                                             .aim = aim});
}

int main(void)
{
    CLEAN_BYTES pages = {0};
    cpu_set_t all;
    BENCH_CHECK(bytes_alloc_pages(&pages, SIZE, NULL) == 0 && sched_getaffinity(0, sizeof all, &all) == 0);
    for (size_t i = 0; i < SIZE; i++)
        pages.data[i] = (uint8_t)(i * 2654435761u >> 13);
    BENCH_CHECK(run_on(&all, 1));
    const struct bench_times one = bench(predict, hash, &pages, 1);
    double rate = print("one thread", one.measured, "SHA-384, one thread", one.beside, 0.9);
    bool fault = bench_is_fault("one thread", rate, LEAST_ONE);
    if (!run_on(&all, 2)) {
        printf("two threads: not measured, for there is one processor\n");
        return fault;
    }
    const struct bench_times two = bench_elapsed(predict, hash_halves, &pages, 1);
    print("two threads", two.measured, "SHA-384, one thread", one.beside, 1.5);
    rate = print("two threads", two.measured, "SHA-384, two threads", two.beside, 0);
    return bench_is_fault("two threads", rate, LEAST_TWO) || fault;
}
