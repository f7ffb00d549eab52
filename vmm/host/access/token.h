/*
 * Access tokens of OpenID Connect providers: JWTs (RFC 7519, RFC 9068) in compact JWS, verified by libjose with a key set that
 * is a file (RFC 7517). Everything about a token is an enemy's until its signature verified: which keys are tried follows from
 * the issuer that the configuration has, which algorithms from the configuration and the key's own type.
 */
#ifndef COFRE_HOST_ACCESS_TOKEN_H
#define COFRE_HOST_ACCESS_TOKEN_H

#include <jansson.h>
#include <sys/stat.h>

#include "vmm/base/bytes.h"
#include "vmm/host/access/access.h"

#define TOKEN_MAX      (16u << 10) /* bytes of a token */
#define TOKEN_KEYS_MAX 32
#define TOKEN_FILE_MAX (256u << 10)
#define TOKEN_SKEW_MAX 300
#define TOKEN_KEYS_AGE (24 * 3600) /* of a fetched key set: an older one is not used any more */

/* Signatures by a private key only: with an algorithm of MACs, whoever verifies could sign. */
enum token_algorithm {
    TOKEN_ES256,
    TOKEN_ES384,
    TOKEN_RS256,
    TOKEN_RS384,
    TOKEN_RS512,
    TOKEN_PS256,
    TOKEN_PS384,
    TOKEN_PS512,
    TOKEN_ALGORITHMS
};
extern const struct token_algorithm_kind {
    const char *name, *type, *curve; /* curve: NULL for RSA */
} token_algorithms[TOKEN_ALGORITHMS];
/* "ES256 RS256", words with one space between, to a set of 1 << n. -COFRE_USAGE names the word that is none. */
int token_algorithms_parse(unsigned *out, const char *text, struct cofre_err *err);

struct token_keys {
    struct token_key {
        json_t *jwk;     /* public members alone */
        const char *kid; /* within it; NULL */
    } key[TOKEN_KEYS_MAX];
    size_t count;
};
void token_keys_free(struct token_keys *keys);
#define CLEAN_TOKEN_KEYS __attribute__((cleanup(token_keys_free))) struct token_keys
/* Keys of other types and uses are passed over. -COFRE_MALFORMED: it is no set, nothing is left, a private or secret key is in it,
 * an RSA key of less than 2048 bits or with an exponent beyond 32, a point that is not on its curve. */
int token_keys_read(struct token_keys *out, struct view file, struct cofre_err *err);

/* The issuer that a token names, unverified: which of the configuration's it has to be. NULL where it is none of them. */
const struct access_issuer *token_issuer(const struct access_config *config, struct view token);

/* Principals of a token of that issuer: own is the subject, groups follow. -COFRE_NEGATIVE or -COFRE_MALFORMED: refused. */
int token_check(struct access_caller *out, struct view token, const struct access_issuer *issuer,
                const struct token_keys *keys, int64_t now, struct cofre_err *err);

/* A key set's file, read again when it is another one than was read. */
struct token_key_file {
    struct timespec changed;
    ino_t inode;
    off_t size;
    struct token_keys keys;
};
/* -COFRE_LACKING: there is none, it is none, or it was fetched too long ago; keys is empty then. */
int token_key_file_renew(struct token_key_file *file, const struct access_issuer *issuer, int64_t now,
                         struct cofre_err *err);
void token_key_file_free(struct token_key_file *file);

#endif
