#include "keys/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u

static size_t pages(size_t len)
{
    return (len + PAGE - 1) / PAGE * PAGE;
}

int secret_alloc(struct secret *out, size_t len, struct cofre_err *err)
{
    *out = (struct secret){0};
    if (len == 0 || len > SIZE_MAX - PAGE)
        return cofre_fail(err, COFRE_USAGE, "a secret of %zu bytes is none", len);
    void *page = mmap(NULL, pages(len), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return cofre_fail(err, COFRE_FAILED, "a secret: no memory for %zu bytes", len);
    if (mlock(page, pages(len)) < 0 || madvise(page, pages(len), MADV_DONTDUMP) < 0 ||
        madvise(page, pages(len), MADV_DONTFORK) < 0) {
        int rc = cofre_fail(
            err, COFRE_LACKING,
            "memory for a secret cannot be locked: %s; LimitMEMLOCK= of a unit, or ulimit -l, bounds it",
            strerror(errno));
        munmap(page, pages(len));
        return rc;
    }
    *out = (struct secret){page, len};
    return 0;
}

void secret_free(struct secret *secret)
{
    if (!secret->data)
        return;
    OPENSSL_cleanse(secret->data, secret->len);
    munmap(secret->data, pages(secret->len));
    *secret = (struct secret){0};
}
