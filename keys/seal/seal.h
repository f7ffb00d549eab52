/*
 * The root under which keys for guests are wrapped (keys/wrap.h), as it lies on a disk: sealed, in a file of JSON with slots, at
 * most one of each kind. Whoever has the secret of one slot has the root. docs/keys.md has the format.
 *
 * Every change is made to a file beside it that then takes its place, both on stable storage before the call returns: whoever is
 * killed leaves the old file or the new one. A directory that cannot be synced is warned of, since the file is the new one by then.
 * Changes wait for each other by a lock on the directory.
 */
#ifndef COFRE_KEYS_SEAL_H
#define COFRE_KEYS_SEAL_H

#include <openssl/types.h>

#include "keys/secret.h"
#include "keys/wrap.h"

/* By a passphrase that somebody chose, by the one that was made with the file and shown once, or by a TPM. */
enum seal_kind { SEAL_PASSPHRASE, SEAL_RECOVERY, SEAL_TPM };
#define SEAL_KINDS 3

#define SEAL_PASSPHRASE_MIN 12   /* bytes */
#define SEAL_PASSPHRASE_MAX 1024 /* bytes */
#define SEAL_COST           17   /* scrypt's N is 2 to this power, which takes 128 MiB; r is 8 and p is 1 */
#define SEAL_COST_MIN       10
#define SEAL_COST_MAX       18

#define SEAL_TPM_MS     30000 /* for all that a TPM does to seal or to unseal */
#define SEAL_COUNTER_MS 5000  /* to read or to advance its counter */

/* A TPM 2.0: the kernel's device, or a unix socket. */
struct seal_tpm {
    const char *device;
    const char *policies;  /* file of the states that the owner approved (keys/seal/pcr_policy.h) */
    unsigned milliseconds; /* for all that it does; 0: as above */
};

struct seal_secret {
    enum seal_kind kind;
    struct view text; /* as it was typed, without the end of the line; of SEAL_TPM the authorisation value */
    struct seal_tpm tpm;
};

/* A number in a TPM that was made with its slot and only counts up (keys/seal/tpm_counter.h). */
#define SEAL_COUNTER_ID_SIZE 16
struct seal_counter {
    uint32_t index; /* 0: there is none */
    uint8_t id[SEAL_COUNTER_ID_SIZE];
    uint64_t first; /* when it was made */
};

/* Lets a person see a new recovery passphrase (RECOVERY_SIZE bytes with its zero; recovery.h), the only time. It is called before the
 * file is changed: whoever is killed in between has a passphrase too many, and never one too few. Where it fails nothing is changed. */
typedef int (*seal_show)(void *context, const char *recovery, struct cofre_err *err);

/* root: zeroed and KEY_ROOT_SIZE bytes when it is made; the caller frees it. passphrase of length 0: there is no slot for one.
 * -COFRE_USAGE: the file is there already; nothing of it is changed. */
int seal_make(const char *file, struct view passphrase, unsigned cost, struct secret *root, seal_show show,
              void *context, struct cofre_err *err);
/* -COFRE_NEGATIVE: the secret is another's; -COFRE_USAGE: it is mistyped, or has no slot; -COFRE_MALFORMED: the file is not
 * what it should be. Of a TPM besides as vmm/tpm/tpm.h says. */
int seal_open(const char *file, const struct seal_secret *by, struct secret *root, struct cofre_err *err);
/* The same with the counter, where the slot has one. */
int seal_open_counted(const char *file, const struct seal_secret *by, struct secret *root,
                      struct seal_counter *counter, struct cofre_err *err);
/* Another secret for the same root: takes the place of the slot of its kind. Errors as of seal_open, and then nothing is changed. */
int seal_set_passphrase(const char *file, const struct seal_secret *by, struct view passphrase, unsigned cost,
                        struct cofre_err *err);
int seal_renew_recovery(const char *file, const struct seal_secret *by, unsigned cost, seal_show show,
                        void *context, struct cofre_err *err);

/* The same of a TPM's slot, with a counter of its own; those of the same root that the TPM had before are taken away. */
struct seal_tpm_wish {
    const char *device;
    struct view authorisation; /* bounds as of a passphrase */
    struct view password;      /* of the TPM's owner hierarchy; length 0: it has none */
    EVP_PKEY *owner;           /* P-256, the public part: who approves of states of the machine */
    unsigned cost;
    unsigned milliseconds; /* 0: SEAL_TPM_MS */
};
#define SEAL_PARENT_SIZE 34
struct seal_tpm_made {
    uint8_t parent[SEAL_PARENT_SIZE]; /* the name of the TPM's storage key */
    struct seal_counter counter;
};
int seal_set_tpm(const char *file, const struct seal_secret *by, const struct seal_tpm_wish *wish,
                 struct seal_tpm_made *made, struct cofre_err *err);

/* Of the root's counter. advance: by one, to what it then is. -COFRE_NEGATIVE: the TPM has it no more; -COFRE_LACKING: the TPM does not
 * answer, and may have counted or not. */
int seal_counter_read(uint64_t *value, const struct seal_tpm *tpm, const struct seal_counter *counter,
                      const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err);
int seal_counter_advance(uint64_t *value, const struct seal_tpm *tpm, const struct seal_counter *counter,
                         const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err);

/* A file's one line, without its end: a passphrase of either kind. */
int seal_read_passphrase(struct bytes *out, const char *file, struct cofre_err *err);

#endif
