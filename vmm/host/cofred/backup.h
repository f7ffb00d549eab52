/*
 * What an operator has of cofred elsewhere than on the host's disk: one file, a line of JSON and the database behind it.
 *
 *     {"format": "cofred backup 1", "made": SECONDS, "head": HEX, "key": PEM, "size": BYTES, "sha256": HEX}
 *
 * head is the newest one of the log that is in the database, and key what it is verified by. The private key is not in it, and nor are
 * images, which are files that never change (STATE/images).
 */
#ifndef COFRE_HOST_BACKUP_H
#define COFRE_HOST_BACKUP_H

#include "vmm/host/cofred/config.h"

#define BACKUP_FORMAT   "cofred backup 1"
#define BACKUP_LINE_MAX 65536
#define BACKUP_DATABASE "cofred.db"
#define BACKUP_COPY     "backup.db" /* of the state's directory, while it is made */

/* Of the database as it is at one moment, also while cofred runs. out is made: one that is there is an error. */
int backup_make(const struct config *config, const char *out, struct cofre_err *err);

/*
 * Makes a database of it where there is none. Before anything is named as cofred's own, all of it is checked: its length and digest,
 * SQLite's pages, that the tables are cofred's and nothing else, each entry and head of the log, and that the log has the
 * configuration's name. What the log was is afterwards the file STATE/log-ID-SIZE, with its public key.
 *
 * head: the file of a head that somebody else kept of the log, or NULL. It may be over no more than the backup has unless accept_loss
 * says so, and must be of the same log, else -COFRE_NEGATIVE.
 */
int backup_restore(const struct config *config, const char *in, const char *head, bool accept_loss,
                   struct cofre_err *err);

/* Has work done in a process of the decider's user, without network and other programs; so what it makes is that user's, and what it
 * reads cannot do more. What it returns and says is returned and said here. */
int backup_as_decider(const struct config *config, int (*work)(void *context, struct cofre_err *err),
                      void *context, struct cofre_err *err);

#endif
