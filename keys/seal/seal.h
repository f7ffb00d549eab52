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

#include "keys/secret.h"
#include "keys/wrap.h"

/* By a passphrase that somebody chose, or by the one that was made with the file and shown once. */
enum seal_kind { SEAL_PASSPHRASE, SEAL_RECOVERY };
#define SEAL_KINDS 2
extern const char *const seal_kind_names[];

#define SEAL_PASSPHRASE_MIN 12   /* bytes */
#define SEAL_PASSPHRASE_MAX 1024 /* bytes */
#define SEAL_COST           17   /* scrypt's N is 2 to this power, which takes 128 MiB; r is 8 and p is 1 */
#define SEAL_COST_MIN       10
#define SEAL_COST_MAX       18

struct seal_secret {
    enum seal_kind kind;
    struct view text; /* as it was typed, without the end of the line */
};

/* root: zeroed and KEY_ROOT_SIZE bytes when it is made; the caller frees it. recovery: RECOVERY_SIZE bytes (recovery.h), the
 * only time that it is seen; the caller wipes it. passphrase of length 0: there is no slot for one. -COFRE_USAGE: the file is
 * there already; nothing of it is changed. */
int seal_make(const char *file, struct view passphrase, unsigned cost, struct secret *root, char *recovery,
              struct cofre_err *err);
/* -COFRE_NEGATIVE: the secret is another's; -COFRE_USAGE: it is mistyped, or has no slot; -COFRE_MALFORMED: the file is not
 * what it should be. */
int seal_open(const char *file, const struct seal_secret *by, struct secret *root, struct cofre_err *err);
/* Another secret for the same root: takes the place of the slot of its kind. Errors as of seal_open, and then nothing is changed. */
int seal_set_passphrase(const char *file, const struct seal_secret *by, struct view passphrase, unsigned cost,
                        struct cofre_err *err);
int seal_renew_recovery(const char *file, const struct seal_secret *by, unsigned cost, char *recovery,
                        struct cofre_err *err);

/* A file's one line, without its end: a passphrase of either kind. */
int seal_read_passphrase(struct bytes *out, const char *file, struct cofre_err *err);

#endif
