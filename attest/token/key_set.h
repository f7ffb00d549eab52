/*
 * Keys that sign tokens, and how relying parties learn of them. A key is published before it signs ("next"), signs
 * ("current"), and stays published until the last token that it signed has expired ("retired"): so those who fetched the set
 * before a rotation have the new key, and those who fetch it after still verify older tokens. Keys are named by their
 * thumbprints: RFC 9679 in the COSE key set, RFC 7638 in the JSON one.
 */
#ifndef COFRE_ATTEST_TOKEN_KEY_SET_H
#define COFRE_ATTEST_TOKEN_KEY_SET_H

#include "attest/cose/key.h"

#define KEY_SET_MAX         16
#define KEY_FILE_MAX        (64u << 10)
#define JWK_THUMBPRINT_TEXT 44 /* 43 digits of base64url, with their end */

enum key_state { KEY_NEXT, KEY_CURRENT, KEY_RETIRED };
const char *key_state_name(enum key_state state); /* "next" */

/* Zeroed is empty. Keys are private ones, of P-256 or P-384. */
struct key_set {
    struct signing_key {
        EVP_PKEY *key;
        enum key_state state;
        int64_t until; /* of a retired one: when it is no longer published, seconds since 1970 */
    } key[KEY_SET_MAX];
    size_t count;
};
void key_set_free(struct key_set *set);
#define CLEAN_KEY_SET __attribute__((cleanup(key_set_free))) struct key_set

/* A key of "ES256" or "ES384"; -COFRE_USAGE for another name. */
int key_generate(EVP_PKEY **out, const char *alg, struct cofre_err *err);

/* Takes the key, also where it fails: of another kind, known already, one too many, or a second next or current one. */
int key_set_add(struct key_set *set, EVP_PKEY *key, enum key_state state, int64_t until,
                struct cofre_err *err);
/* NULL where there is none. */
EVP_PKEY *key_set_current(const struct key_set *set);
/* The next key becomes the current one, the current one is retired for lifetime (that of its tokens, in seconds), and fresh is
 * the next. Retired ones whose time is over are dropped. Takes fresh, also where it fails: without a next key nothing changes. */
int key_set_rotate(struct key_set *set, EVP_PKEY *fresh, int64_t at, int64_t lifetime, struct cofre_err *err);

/* What is published: the public part of every key, but of retired ones whose time is over. */
int key_set_cose(struct bytes *out, const struct key_set *set, int64_t at, struct cofre_err *err);
int key_set_jwks(struct bytes *out, const struct key_set *set, int64_t at, struct cofre_err *err);

/* A published set or a single key, of either form: CBOR, or JSON. Keys of other kinds and for other uses are passed over.
 * -COFRE_MALFORMED where nothing is left, and where a private key is in it. */
int keys_read(struct cose_keys *out, struct view file, struct cofre_err *err);
bool keys_recognise_cose(struct view file); /* whether keys_read would take it for one, well formed or not */
bool keys_recognise_jwks(struct view file);
/* kid is the one that came with the key, or a thumbprint of it: so a set of one form verifies tokens of the other. */
bool key_is_named(const struct cose_key *key, struct view kid);

int jwk_thumbprint(char out[JWK_THUMBPRINT_TEXT], const EVP_PKEY *key, struct cofre_err *err);

#endif
