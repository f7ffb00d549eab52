/*
 * Hybrid Public Key Encryption, RFC 9180: base mode, one message a context (section 6.1). The KDF is HKDF-SHA256. OpenSSL 3.0
 * has no HPKE; this is its ECDH, HKDF and AES-GCM put together as sections 4 and 5 say, and held to the RFC's vectors.
 */
#ifndef COFRE_KEYS_HPKE_H
#define COFRE_KEYS_HPKE_H

#include <openssl/types.h>

#include "vmm/base/bytes.h"

enum hpke_kem { HPKE_P256, HPKE_X25519 };              /* DHKEM(P-256 or X25519, HKDF-SHA256) */
enum hpke_aead { HPKE_AES_128_GCM, HPKE_AES_256_GCM }; /* section 7.3 */
struct hpke_suite {
    enum hpke_kem kem;
    enum hpke_aead aead;
};

#define HPKE_PUBLIC_MAX 65 /* of P-256: uncompressed; 32 of X25519 */
#define HPKE_OVERHEAD   16 /* bytes that a sealed text is longer */
#define HPKE_INFO_MAX   4096
#define HPKE_TEXT_MAX   65536

/* A public key as section 7.1.1 writes it; an encapsulated key is one too. */
struct hpke_public {
    uint8_t data[HPKE_PUBLIC_MAX];
    size_t len;
};

/* "P-256" and "X25519", by enum hpke_kem. */
extern const char *const hpke_kem_names[];
#define HPKE_KEMS 2

/* A new pair; the caller's. */
int hpke_key_new(EVP_PKEY **out, enum hpke_kem kem, struct cofre_err *err);
/* -COFRE_USAGE: the key is of another kind. */
int hpke_public_of(struct hpke_public *out, enum hpke_kem kem, EVP_PKEY *key, struct cofre_err *err);
/* -COFRE_MALFORMED: no point of the curve, or not in its one form. */
int hpke_public_check(enum hpke_kem kem, struct view key, struct cofre_err *err);

/* What both ends know of a message besides its text. */
struct hpke_about {
    struct hpke_suite suite;
    struct view info, aad;
};

/* To whoever has the private key of to. sealed has room for text.len + HPKE_OVERHEAD. */
int hpke_seal(struct hpke_public *enc, uint8_t *sealed, const struct hpke_about *about, struct view to,
              struct view text, struct cofre_err *err);
/* The same with a pair of the caller's, which is used for nothing else: the RFC's vectors have theirs. */
int hpke_seal_by(EVP_PKEY *ephemeral, uint8_t *sealed, const struct hpke_about *about, struct view to,
                 struct view text, struct cofre_err *err);
/* text has room for sealed.len - HPKE_OVERHEAD bytes, which are zero where it fails. -COFRE_MALFORMED: enc is no key;
 * -COFRE_NEGATIVE: it is not for this key, or not about this, or was changed. */
int hpke_open(uint8_t *text, const struct hpke_about *about, EVP_PKEY *key, struct view enc,
              struct view sealed, struct cofre_err *err);

#endif
