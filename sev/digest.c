/*
 * The contents' hashes do not depend on one another, and are nearly all of the work (33 of 35 blocks of SHA-384 a page):
 * where there are many pages, threads share them. The fold over the hashes is one chain.
 */
#include "sev/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"

#define THREADS_MAX      8
#define PAGES_PER_THREAD 64 /* fewer are done before a thread has begun */

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

/* An implementation of SHA-384 looked up once, and room to work in. */
struct hasher {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};

static void hasher_free(struct hasher *h)
{
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
}
#define CLEAN_HASHER __attribute__((cleanup(hasher_free))) struct hasher

static bool hasher_init(struct hasher *h)
{
    *h = (struct hasher){EVP_MD_fetch(NULL, "SHA384", NULL), EVP_MD_CTX_new()};
    return h->md && h->ctx;
}

static bool hash(struct hasher *h, uint8_t out[SNP_DIGEST_SIZE], const void *data, size_t len)
{
    return EVP_DigestInit_ex2(h->ctx, h->md, NULL) == 1 && EVP_DigestUpdate(h->ctx, data, len) == 1 &&
           EVP_DigestFinal_ex(h->ctx, out, NULL) == 1;
}

static int no_sha384(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "launch digest: SHA-384 is not available in this OpenSSL");
}

/* The hashes of some pages' contents: what one thread does. */
struct share {
    const uint8_t *data;
    size_t pages;
    uint8_t (*hash)[SNP_DIGEST_SIZE];
    pthread_t thread;
    bool started, done;
};

static void *hash_share(void *context)
{
    struct share *s = context;
    CLEAN_HASHER hasher;
    s->done = hasher_init(&hasher);
    for (size_t i = 0; i < s->pages && s->done; i++)
        s->done = hash(&hasher, s->hash[i], s->data + i * SNP_PAGE_SIZE, SNP_PAGE_SIZE);
    return NULL;
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

static bool hash_contents(const uint8_t *data, size_t pages, uint8_t (*out)[SNP_DIGEST_SIZE])
{
    struct share share[THREADS_MAX];
    size_t threads = threads_for(pages);
    for (size_t i = 0, from = 0; i < threads; i++) {
        size_t to = pages * (i + 1) / threads;
        share[i] =
            (struct share){.data = data + from * SNP_PAGE_SIZE, .pages = to - from, .hash = out + from};
        share[i].started = i && pthread_create(&share[i].thread, NULL, hash_share, &share[i]) == 0;
        from = to;
    }
    bool done = true;
    for (size_t i = 0; i < threads; i++)
        if (!share[i].started) /* the first is this thread's own; so is what found no thread */
            hash_share(&share[i]);
    for (size_t i = 0; i < threads; i++) {
        if (share[i].started)
            pthread_join(share[i].thread, NULL);
        done = done && share[i].done;
    }
    return done;
}

static bool extend(struct hasher *hasher, struct snp_digest *digest, enum snp_page_type type, uint64_t gpa,
                   const uint8_t *contents)
{
    struct snp_page_info info;
    snp_page_info_format(&info, digest->value, type, gpa, contents);
    return hash(hasher, digest->value, &info, sizeof info);
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
    CLEAN_FREE uint8_t(*hashes)[SNP_DIGEST_SIZE] = NULL;
    CLEAN_HASHER hasher;
    if (!hasher_init(&hasher))
        return no_sha384(err);
    if (data && pages) {
        hashes = malloc(pages * sizeof *hashes);
        if (!hashes)
            return cofre_fail(err, COFRE_FAILED, "launch digest: out of memory");
        if (!hash_contents(data, pages, hashes))
            return no_sha384(err);
    }
    for (size_t i = 0; i < pages; i++)
        if (!extend(&hasher, digest, type, gpa + i * SNP_PAGE_SIZE, hashes ? hashes[i] : NULL))
            return no_sha384(err);
    return 0;
}

int snp_digest_page(struct snp_digest *digest, enum snp_page_type type, uint64_t gpa, const void *contents,
                    struct cofre_err *err)
{
    return snp_digest_pages(digest, type, gpa, contents, SNP_PAGE_SIZE, err);
}
