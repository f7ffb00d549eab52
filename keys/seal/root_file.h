/* root.json: read with bounds before anything in it is used, and replaced as a whole. */
#ifndef COFRE_KEYS_SEAL_ROOT_FILE_H
#define COFRE_KEYS_SEAL_ROOT_FILE_H

#include "keys/gcm.h"
#include "keys/seal/seal.h"
#include "keys/seal/tpm_object.h"

#define ROOT_FILE_MAX  8192 /* bytes */
#define ROOT_ID_SIZE   16
#define ROOT_SALT_SIZE 16

/* By a passphrase of either kind. */
struct root_slot {
    bool there;
    unsigned cost; /* SEAL_COST_MIN..SEAL_COST_MAX */
    uint8_t salt[ROOT_SALT_SIZE], nonce[GCM_NONCE_SIZE], sealed[KEY_ROOT_SIZE + GCM_TAG_SIZE];
};

/* By a TPM. Its authorisation value comes of a text by scrypt, of cost and salt. */
struct root_tpm {
    bool there;
    unsigned cost;
    uint8_t salt[ROOT_SALT_SIZE];
    struct tpm_object object;
};

#define ROOT_SLOTS 2 /* SEAL_PASSPHRASE and SEAL_RECOVERY */
struct root_file {
    uint8_t id[ROOT_ID_SIZE];
    struct root_slot slot[ROOT_SLOTS];
    struct root_tpm tpm;
};

const char *seal_kind_name(enum seal_kind kind);

/* -COFRE_MALFORMED: it is not what root_file_write writes. */
int root_file_parse(struct root_file *out, struct view text, struct cofre_err *err);
int root_file_read(struct root_file *out, const char *path, struct cofre_err *err);

/* Who changes the file holds its directory. The result is closed by the caller, which gives it up. */
int root_file_lock(const char *path, struct cofre_err *err);
/* -COFRE_USAGE: there is one. */
int root_file_check_new(const char *path, struct cofre_err *err);
/* directory: of root_file_lock. anew: -COFRE_USAGE where there is one already. */
int root_file_write(const struct root_file *file, const char *path, int directory, bool anew,
                    struct cofre_err *err);

#endif
