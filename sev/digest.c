/*
 * The contents' hashes do not depend on one another, and are nearly all of the work (33 of 35 blocks of SHA-384 a page):
 * where there are many pages, threads share them. The fold over the hashes is one chain, which the calling thread makes
 * meanwhile.
 *
 * Hashing is OpenSSL's, by its older calls: EVP takes 90 ns to begin and end a hash, twice a page, and that is 2 % of it.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sev/digest.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"

#define THREADS_MAX      8
#define PAGES_PER_THREAD 64 /* fewer are done before a thread has begun */
#define BATCH            32 /* pages that a thread takes at once */

void snp_digest_init(struct snp_digest *digest)
{
    memset(digest, 0, sizeof *digest);
}

void snp_page_info_format(struct snp_page_info *out, const uint8_t digest_cur[SNP_DIGEST_SIZE],
                          enum snp_page_type type, uint64_t gpa, const uint8_t *contents)
{
    memset(out, 0, sizeof *out);
    memcpy(out->digest_cur, digest_cur, sizeof out->digest_cur);
    if (contents)
        memcpy(out->contents, contents, sizeof out->contents);
    put_le16(&out->length, sizeof *out);
    out->page_type = (uint8_t)type;
    put_le64(&out->gpa, gpa);
}

static void hash(uint8_t out[SNP_DIGEST_SIZE], const void *data, size_t len)
{
    SHA512_CTX ctx;
    (void)SHA384_Init(&ctx); /* none of the three can fail */
    (void)SHA384_Update(&ctx, data, len);
    (void)SHA384_Final(out, &ctx);
}

static void extend(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const uint8_t *contents)
{
    struct snp_page_info info;
    snp_page_info_format(&info, digest->value, type, gpa, contents);
    hash(digest->value, &info, sizeof info);
}

/* Pages with contents, and the hashes of those as far as they are done. */
struct pages {
    const uint8_t *data;
    size_t count, batches;
    struct batch {
        uint8_t hash[BATCH][SNP_DIGEST_SIZE];
        atomic_bool done;
    } * batch;
    atomic_size_t next; /* batch that nobody has taken */
};

static bool hash_a_batch(struct pages *p)
{
    size_t n = atomic_fetch_add(&p->next, 1);
    if (n >= p->batches)
        return false;
    for (size_t i = n * BATCH; i < p->count && i < (n + 1) * BATCH; i++)
        hash(p->batch[n].hash[i % BATCH], p->data + i * SNP_PAGE_SIZE, SNP_PAGE_SIZE);
    atomic_store(&p->batch[n].done, true);
    return true;
}

static void *hash_batches(void *pages)
{
    while (hash_a_batch(pages))
        ;
    return NULL;
}

/* Extends by what is hashed, from page `from` on; where it had to stop. */
static size_t fold(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const struct pages *p,
                   size_t from)
{
    for (; from < p->count && atomic_load(&p->batch[from / BATCH].done); from++)
        extend(digest, type, gpa + from * SNP_PAGE_SIZE, p->batch[from / BATCH].hash[from % BATCH]);
    return from;
}

/* How many threads have a processor to run on, and enough to do. */
static size_t threads_for(size_t pages)
{
    cpu_set_t cpus;
    size_t n = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (size_t)CPU_COUNT(&cpus) : 1;
    size_t useful = pages / PAGES_PER_THREAD;
    n = n < THREADS_MAX ? n : THREADS_MAX;
    n = n < useful ? n : useful;
    return n ? n : 1;
}

static int fold_by_threads(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa,
                           const uint8_t *data, size_t count, size_t threads, struct cofre_err *err)
{
    size_t batches = (count + BATCH - 1) / BATCH, started = 0, folded = 0;
    CLEAN_FREE struct batch *batch = calloc(batches, sizeof *batch);
    struct pages pages = {data, count, batches, batch, 0};
    pthread_t thread[THREADS_MAX];
    if (!batch)
        return cofre_fail(err, COFRE_FAILED, "launch digest: out of memory");
    while (started < threads - 1 && pthread_create(&thread[started], NULL, hash_batches, &pages) == 0)
        started++;
    while (hash_a_batch(&pages))
        folded = fold(digest, type, gpa, &pages, folded);
    while (started)
        pthread_join(thread[--started], NULL);
    fold(digest, type, gpa, &pages, folded);
    return 0;
}

static void fold_alone(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const uint8_t *data,
                       size_t count)
{
    uint8_t contents[SNP_DIGEST_SIZE];
    for (size_t i = 0; i < count; i++) {
        if (data)
            hash(contents, data + i * SNP_PAGE_SIZE, SNP_PAGE_SIZE);
        extend(digest, type, gpa + i * SNP_PAGE_SIZE, data ? contents : NULL);
    }
}

int snp_digest_pages(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const void *data,
                     uint64_t len, struct cofre_err *err)
{
    if ((gpa | len) % SNP_PAGE_SIZE || gpa + len < gpa)
        return cofre_fail(err, COFRE_MALFORMED,
                          "launch digest: 0x%llx bytes at 0x%llx are not whole 4 KiB pages",
                          (unsigned long long)len, (unsigned long long)gpa);
    if (!data != !snp_page_has_contents(type))
        return cofre_fail(err, COFRE_FAILED, "launch digest: a page of type %d at 0x%llx %s contents", type,
                          (unsigned long long)gpa, data ? "has no place for" : "needs its");
    size_t pages = len / SNP_PAGE_SIZE;
    size_t threads = data ? threads_for(pages) : 1;
    if (threads > 1)
        return fold_by_threads(digest, type, gpa, data, pages, threads, err);
    fold_alone(digest, type, gpa, data, pages);
    return 0;
}

int snp_digest_page(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const void *contents,
                    struct cofre_err *err)
{
    return snp_digest_pages(digest, type, gpa, contents, SNP_PAGE_SIZE, err);
}
