#include "attest/log/hash.h"

#include <openssl/evp.h>
#include <string.h>

static int no_hash(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "SHA-256 is not available in this OpenSSL");
}

int log_hasher_init(struct log_hasher *h, struct cofre_err *err)
{
    h->ctx = EVP_MD_CTX_new();
    if (h->ctx && EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1)
        return 0;
    log_hasher_free(h);
    return no_hash(err);
}

void log_hasher_free(struct log_hasher *h)
{
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}

/* Without a digest's name the context goes on with the one that it has, which saves OpenSSL a search for it. */
static int hash(struct log_hasher *h, struct log_hash *out, struct view first, struct view second,
                struct cofre_err *err)
{
    if (EVP_DigestInit_ex(h->ctx, NULL, NULL) != 1 || EVP_DigestUpdate(h->ctx, first.data, first.len) != 1 ||
        EVP_DigestUpdate(h->ctx, second.data, second.len) != 1 ||
        EVP_DigestFinal_ex(h->ctx, out->data, NULL) != 1)
        return no_hash(err);
    return 0;
}

int log_hash_leaf(struct log_hasher *h, struct log_hash *out, struct view entry, struct cofre_err *err)
{
    return hash(h, out, (struct view){(const uint8_t *)"\0", 1}, entry, err);
}

int log_hash_node(struct log_hasher *h, struct log_hash *out, const struct log_hash *left,
                  const struct log_hash *right, struct cofre_err *err)
{
    uint8_t node[1 + 2 * LOG_HASH_SIZE] = {1};
    memcpy(node + 1, left->data, LOG_HASH_SIZE);
    memcpy(node + 1 + LOG_HASH_SIZE, right->data, LOG_HASH_SIZE);
    return hash(h, out, (struct view){node, sizeof node}, (struct view){node, 0}, err);
}

int log_hash_empty(struct log_hasher *h, struct log_hash *out, struct cofre_err *err)
{
    return hash(h, out, (struct view){NULL, 0}, (struct view){NULL, 0}, err);
}
