/*
 * A backup: one document with all keys that a service has, of one generation, sealed under the service's root and authenticated as
 * a whole. docs/keys.md has the format. It opens under that root alone; where the root lies sealed in a file, the document has that
 * file's slot for the recovery passphrase too, so that document and passphrase are enough.
 */
#ifndef COFRE_KEYS_BACKUP_H
#define COFRE_KEYS_BACKUP_H

#include <jansson.h>

#include "keys/life.h"

#define KEY_BACKUP_ID_SIZE 16

struct key_backup {
    char id[2 * KEY_BACKUP_ID_SIZE + 1];
    int64_t generation, made; /* of the keys; seconds since 1970 */
    uint8_t digest[32];       /* SHA-256 of what is sealed, by which the log names it */
    json_t *keys;             /* keys/backup_rows.h */
};
void key_backup_free(struct key_backup *backup);
#define CLEAN_KEY_BACKUP __attribute__((cleanup(key_backup_free))) struct key_backup

/* Within a transaction. service: its name; root: the root's file with the one slot, or NULL. Both are the caller's. */
int key_backup_make(struct key_backup *out, json_t **document, const struct key_change *c,
                    const char *service, json_t *root, struct cofre_err *err);
/* -COFRE_USAGE with a sentence: it is no backup, of another root, or was changed. */
int key_backup_read(struct key_backup *out, json_t *document, const uint8_t root[static KEY_ROOT_SIZE],
                    struct cofre_err *err);

#endif
