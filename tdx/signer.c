#include "tdx/signer.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

struct view tdx_signer_bytes(const struct tdx_quote *quote)
{
    const uint8_t *begin = quote->signature->attestation_key;
    return (struct view){begin, (size_t)(quote->certification.data + quote->certification.len - begin)};
}

static void forget(struct tdx_signer *signer)
{
    x509_certs_free(&signer->certs);
    EVP_PKEY_free(signer->attestation_key);
    free(signer);
}

void tdx_signers_free(struct tdx_signers *signers)
{
    while (signers->count)
        forget(signers->signer[--signers->count]);
}

/* The others make room, the first `before` of them by one place. */
static void put_first(struct tdx_signers *signers, struct tdx_signer *signer, size_t before)
{
    memmove(&signers->signer[1], &signers->signer[0], before * sizeof signers->signer[0]);
    signers->signer[0] = signer;
}

const struct tdx_signer *tdx_signers_find(struct tdx_signers *signers, struct view bytes)
{
    for (size_t i = 0; i < signers->count; i++)
        if (view_equal(signers->signer[i]->bytes, bytes)) {
            put_first(signers, signers->signer[i], i);
            return signers->signer[0];
        }
    return NULL;
}

/* The very object: what is remembered of it is remembered as long as it lives. */
static bool holds(const struct x509_certs *certs, const X509 *cert)
{
    for (size_t i = 0; i < certs->count; i++)
        if (certs->cert[i] == cert)
            return true;
    return false;
}

static struct tdx_signer *copy(const struct tdx_signer *met)
{
    struct tdx_signer *made = malloc(sizeof *made + met->bytes.len);
    if (!made)
        return NULL;
    *made = *met;
    made->bytes.data = memcpy(made + 1, met->bytes.data, met->bytes.len);
    for (size_t i = 0; i < made->certs.count; i++)
        X509_up_ref(made->certs.cert[i]);
    EVP_PKEY_up_ref(made->attestation_key);
    return made;
}

void tdx_signers_add(struct tdx_signers *signers, const struct tdx_signer *met)
{
    const struct tdx_chain *chain = &met->chain;
    if (!met->attestation_key || !holds(&met->certs, chain->leaf) ||
        !holds(&met->certs, chain->intermediate) || !holds(&met->certs, chain->root) ||
        tdx_signers_find(signers, met->bytes))
        return;
    struct tdx_signer *made = copy(met);
    if (!made)
        return;
    if (signers->count == TDX_SIGNERS_MAX)
        forget(signers->signer[--signers->count]);
    put_first(signers, made, signers->count++);
}
