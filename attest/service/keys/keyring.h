/* The root under which keys for guests are wrapped, for as long as the service runs: in memory that is locked, left out of
 * dumps, and wiped at its end. */
#ifndef COFRE_ATTEST_SERVICE_KEYS_KEYRING_H
#define COFRE_ATTEST_SERVICE_KEYS_KEYRING_H

#include <openssl/types.h>

#include "attest/service/keys/counter.h"
#include "attest/service/route.h"
#include "keys/wrap.h"

struct keyring;

/* Takes a copy of the root, and checks the database's keys by it (keys/generation.h): -COFRE_FAILED where they are not its. */
int keyring_new(struct keyring **out, struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                struct cofre_err *err);
/* The same of a file that has the root and nothing else, and that only its owner may read. */
int keyring_open(struct keyring **out, struct db *db, const char *file, struct cofre_err *err);
/* Of one that lies sealed (keys/seal): by a passphrase, or by a TPM, whose counter then says whether the database was put back. */
struct keyring_seal {
    const char *file;                             /* root.json */
    const char *passphrase;                       /* a file with one line; NULL: by the TPM */
    const char *tpm, *pcr_policy, *authorisation; /* the device, and two files; they outlive the keyring */
};
int keyring_unseal(struct keyring **out, struct db *db, const struct keyring_seal *seal,
                   struct cofre_err *err);
/* Takes the database's keys for the newest, whatever the counter says; keyring_unseal does so afterwards. */
int keyring_accept(struct db *db, const struct keyring_seal *seal, key_counter_log log, void *context,
                   struct cofre_err *err);
void keyring_free(struct keyring *keyring);
const uint8_t *keyring_root(const struct keyring *keyring);
/* To go around each change of keys. */
struct key_counter *keyring_counter(struct keyring *keyring);
/* X25519, the same for the same root: whom keys that are brought in are sealed to. */
EVP_PKEY *keyring_import_key(const struct keyring *keyring);

/* The file in which the root lies sealed, with the slot of the recovery passphrase alone, as a backup has it; *out is the caller's, and
 * NULL where the root lies in none. -COFRE_FAILED: there is another root's file by now. */
int keyring_recovery(const struct keyring *keyring, json_t **out, struct cofre_err *err);

/* The call's; NULL where there is none, and the request was answered so. */
struct keyring *call_keyring(struct call *call);

#endif
