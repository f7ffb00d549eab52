/* cofre keys: what its actions share. */
#ifndef COFRE_CLI_KEYS_H
#define COFRE_CLI_KEYS_H

#include <stdbool.h>

#include "vmm/base/bytes.h"
#include "vmm/cli/trust_call.h"

enum keys_option {
    KEYS_SERVICE,
    KEYS_CA,
    KEYS_TOKEN_FILE,
    KEYS_NAME,
    KEYS_VERSION,
    KEYS_POLICY,
    KEYS_GUEST,
    KEYS_SIZE,
    KEYS_QUORUM,
    KEYS_PER_GUEST,
    KEYS_PER_HOUR,
    KEYS_OFFLINE,
    KEYS_IN,
    KEYS_KEY,
    KEYS_OUT,
    KEYS_ROOT,
    KEYS_PASSPHRASE_FILE,
    KEYS_RECOVERY_FILE,
    KEYS_NEW_PASSPHRASE_FILE,
    KEYS_REVIVE,
    KEYS_AS_THEY_WERE,
    KEYS_TPM,
    KEYS_AUTHORISATION_FILE,
    KEYS_PCR_POLICY,
    KEYS_POLICY_KEY,
    KEYS_PCRS,
    KEYS_PCR_DIGEST,
    KEYS_OWNER_PASSWORD_FILE,
    KEYS_OPTIONS /* number of them */
};

struct keys_call {
    bool json;
    const char *option[KEYS_OPTIONS]; /* NULL where it was not given, "" where it has no value */
    struct trust_service service;
};

/* Prints an answer before the call is over; afterwards there is none. */
int keys_tell(const struct keys_call *call, json_t *answer, struct cofre_err *err);

/* keys_transfer.c. A value from --in, sealed to the service's import key, as a member of the body. */
int keys_put_import(const struct keys_call *call, json_t *body, struct cofre_err *err);
/* A key, sealed to the public part of --key, into the file --out; and out of one again, by the private part. */
int keys_export(const struct keys_call *call, json_t **answer, struct cofre_err *err);
int keys_open(const struct keys_call *call, json_t **answer, struct cofre_err *err);

/* keys_backup.c. All keys into the file --out, and out of --in; and the sealed root out of it, into the file --root. */
int keys_backup(const struct keys_call *call, json_t **answer, struct cofre_err *err);
int keys_restore(const struct keys_call *call, json_t **answer, struct cofre_err *err);
int keys_root_restore(const struct keys_call *call, json_t **answer, struct cofre_err *err);

/* keys_root.c. The sealed root, without the service: made, brought into a file, given another passphrase of either kind. */
int keys_root_make(const struct keys_call *call, json_t **answer, struct cofre_err *err);
int keys_root_open(const struct keys_call *call, json_t **answer, struct cofre_err *err);
int keys_root_passphrase(const struct keys_call *call, json_t **answer, struct cofre_err *err);
int keys_root_recovery(const struct keys_call *call, json_t **answer, struct cofre_err *err);
/* keys_tpm.c. A slot of a TPM's, and the states of a machine that its owner approves of. */
int keys_root_tpm(const struct keys_call *call, json_t **answer, struct cofre_err *err);
int keys_pcr_policy(const struct keys_call *call, json_t **answer, struct cofre_err *err);
/* The one secret that was given to open the root with; text is the caller's to free. */
struct seal_secret;
int keys_root_secret(struct seal_secret *by, struct bytes *text, const struct keys_call *call,
                     struct cofre_err *err);

#endif
