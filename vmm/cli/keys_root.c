/* cofre keys: the root of a service's keys, which lies sealed in a file. Nothing here asks the service. */
#include "keys/seal/seal.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/keys.h"

static int read_words(struct seal_secret *by, struct bytes *text, const char *file, enum seal_kind kind,
                      struct cofre_err *err)
{
    int rc = seal_read_passphrase(text, file, err);
    *by = (struct seal_secret){.kind = kind, .text = bytes_view(text)};
    return rc;
}

int keys_root_secret(struct seal_secret *by, struct bytes *text, const struct keys_call *call,
                     struct cofre_err *err)
{
    const char *passphrase = call->option[KEYS_PASSPHRASE_FILE], *recovery = call->option[KEYS_RECOVERY_FILE];
    const char *policies = call->option[KEYS_PCR_POLICY];
    const bool tpm = policies != NULL; /* root-tpm has the other options of a TPM for itself */
    if (!!passphrase + !!recovery + tpm != 1)
        return cofre_fail(
            err, COFRE_USAGE,
            "one of --passphrase-file, --recovery-file and --tpm with --pcr-policy is to open the "
            "root");
    if (!tpm)
        return read_words(by, text, passphrase ? passphrase : recovery,
                          passphrase ? SEAL_PASSPHRASE : SEAL_RECOVERY, err);
    if (!call->option[KEYS_TPM] || !call->option[KEYS_AUTHORISATION_FILE])
        return cofre_fail(err, COFRE_USAGE, "--pcr-policy is to stand with --tpm and --authorisation-file");
    int rc = read_words(by, text, call->option[KEYS_AUTHORISATION_FILE], SEAL_TPM, err);
    by->tpm = (struct seal_tpm){.device = call->option[KEYS_TPM], .policies = policies};
    return rc;
}

static int answer_file(json_t **answer, const struct keys_call *call, const char *recovery,
                       struct cofre_err *err)
{
    *answer = recovery ? json_pack("{s:s, s:s}", "root", call->option[KEYS_ROOT], "recovery", recovery)
                       : json_pack("{s:s}", "root", call->option[KEYS_ROOT]);
    return *answer ? 0 : cofre_fail(err, COFRE_FAILED, "%s: is no name in UTF-8", call->option[KEYS_ROOT]);
}

/* Before the file has it. */
static int show(void *context, const char *recovery, struct cofre_err *err)
{
    CLEAN_JSON *answer = NULL;
    int rc = answer_file(&answer, context, recovery, err);
    return rc < 0 ? rc : keys_tell(context, answer, err);
}

int keys_root_make(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    CLEAN_SECRET root = {0};
    const char *file = call->option[KEYS_PASSPHRASE_FILE];
    *answer = NULL;
    int rc = file ? seal_read_passphrase(&text, file, err) : 0;
    return rc < 0 ? rc
                  : seal_make(call->option[KEYS_ROOT], bytes_view(&text), SEAL_COST, &root, show,
                              (void *)call, err);
}

int keys_root_open(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    CLEAN_SECRET root = {0};
    struct seal_secret by;
    int rc = keys_root_secret(&by, &text, call, err);
    if (rc == 0)
        rc = seal_open(call->option[KEYS_ROOT], &by, &root, err);
    if (rc == 0)
        rc = file_write(call->option[KEYS_OUT], (struct view){root.data, root.len}, 0600, err);
    return rc < 0 ? rc : answer_file(answer, call, NULL, err);
}

int keys_root_passphrase(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_BYTES text = {0}, passphrase = {0};
    struct seal_secret by;
    int rc = keys_root_secret(&by, &text, call, err);
    if (rc == 0)
        rc = seal_read_passphrase(&passphrase, call->option[KEYS_NEW_PASSPHRASE_FILE], err);
    if (rc == 0)
        rc = seal_set_passphrase(call->option[KEYS_ROOT], &by, bytes_view(&passphrase), SEAL_COST, err);
    return rc < 0 ? rc : answer_file(answer, call, NULL, err);
}

int keys_root_recovery(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    struct seal_secret by;
    *answer = NULL;
    int rc = keys_root_secret(&by, &text, call, err);
    return rc < 0 ? rc
                  : seal_renew_recovery(call->option[KEYS_ROOT], &by, SEAL_COST, show, (void *)call, err);
}
