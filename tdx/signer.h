/*
 * Who signs a platform's quotes: the attestation key, the quoting enclave's report that vouches for it under the PCK's
 * signature, and the PCK certificate's chain. Intel's quoting enclave has its report signed once, when it makes the key, and
 * sends all this with every quote, the same bytes (Intel TDX DCAP Quoting Library API, init_quote). A verifier that meets a
 * platform again need not decode and verify them again.
 */
#ifndef COFRE_TDX_SIGNER_H
#define COFRE_TDX_SIGNER_H

#include "tdx/chain.h"
#include "tdx/pck.h"
#include "tdx/quote.h"

/* What was found of the bytes, and depends on nothing else: each of the chain's certificates was issued by the next, the root
 * by itself; the PCK's key signed the quoting enclave's report. Time, revocation, trust in the root and policy are no part. */
struct tdx_signer {
    struct view bytes; /* of the quote, from the attestation key on to the end of the certification data */
    struct x509_certs certs; /* all that are in them */
    struct tdx_chain chain;  /* of certs */
    struct tdx_pck pck;
    EVP_PKEY *attestation_key;
};

struct view tdx_signer_bytes(const struct tdx_quote *quote);

#define TDX_SIGNERS_MAX 128

/* The one met latest first; the last one makes room for a new one. Of one thread. Zeroed is empty. */
struct tdx_signers {
    struct tdx_signer *signer[TDX_SIGNERS_MAX];
    size_t count;
};

void tdx_signers_free(struct tdx_signers *signers);
#define CLEAN_SIGNERS __attribute__((cleanup(tdx_signers_free))) struct tdx_signers

/* By all of the bytes. NULL where not remembered; else constant, and there until one is added. */
const struct tdx_signer *tdx_signers_find(struct tdx_signers *signers, struct view bytes);
/* Copies the bytes and holds the rest. Without effect where the chain is not whole or has a certificate from elsewhere, or
 * without memory. */
void tdx_signers_add(struct tdx_signers *signers, const struct tdx_signer *met);

#endif
