/* cofre keys: the root of a service's keys, which lies sealed in a file. Nothing here asks the service. */
#include <openssl/crypto.h>

#include "keys/seal/recovery.h"
#include "keys/seal/seal.h"
#include "vmm/base/file.h"
#include "vmm/cli/keys.h"

/* The one of two secrets that was given. */
static int read_secret(struct seal_secret *by, struct bytes *text, const struct keys_call *call,
                       struct cofre_err *err)
{
    const char *passphrase = call->option[KEYS_PASSPHRASE_FILE], *recovery = call->option[KEYS_RECOVERY_FILE];
    if (!passphrase == !recovery)
        return cofre_fail(err, COFRE_USAGE,
                          "one of --passphrase-file and --recovery-file is to open the root");
    int rc = seal_read_passphrase(text, passphrase ? passphrase : recovery, err);
    *by = (struct seal_secret){passphrase ? SEAL_PASSPHRASE : SEAL_RECOVERY, bytes_view(text)};
    return rc;
}

static int answer_file(json_t **answer, const struct keys_call *call, const char *recovery,
                       struct cofre_err *err)
{
    *answer = recovery ? json_pack("{s:s, s:s}", "root", call->option[KEYS_ROOT], "recovery", recovery)
                       : json_pack("{s:s}", "root", call->option[KEYS_ROOT]);
    return *answer ? 0 : cofre_fail(err, COFRE_FAILED, "%s: is no name in UTF-8", call->option[KEYS_ROOT]);
}

int keys_root_make(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    CLEAN_SECRET root = {0};
    char recovery[RECOVERY_SIZE];
    const char *file = call->option[KEYS_PASSPHRASE_FILE];
    int rc = file ? seal_read_passphrase(&text, file, err) : 0;
    if (rc == 0)
        rc = seal_make(call->option[KEYS_ROOT], bytes_view(&text), SEAL_COST, &root, recovery, err);
    if (rc == 0)
        rc = answer_file(answer, call, recovery, err);
    OPENSSL_cleanse(recovery, sizeof recovery);
    return rc;
}

int keys_root_open(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    CLEAN_SECRET root = {0};
    struct seal_secret by;
    int rc = read_secret(&by, &text, call, err);
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
    int rc = read_secret(&by, &text, call, err);
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
    char recovery[RECOVERY_SIZE];
    int rc = read_secret(&by, &text, call, err);
    if (rc == 0)
        rc = seal_renew_recovery(call->option[KEYS_ROOT], &by, SEAL_COST, recovery, err);
    if (rc == 0)
        rc = answer_file(answer, call, recovery, err);
    OPENSSL_cleanse(recovery, sizeof recovery);
    return rc;
}
