/* Keys as they are in a backup: rows of JSON, with values that stay wrapped. */
#ifndef COFRE_KEYS_BACKUP_ROWS_H
#define COFRE_KEYS_BACKUP_ROWS_H

#include <jansson.h>

#include "keys/guest_key.h"

/* Within a transaction: all that the database has, by name. *out is the caller's. */
int key_rows_write(json_t **out, struct db *db, struct cofre_err *err);

/* One of them, with its grants. -COFRE_FAILED: it is none that key_rows_write wrote. */
int key_row_read(struct guest_key *out, const json_t *row, struct cofre_err *err);
/* Its values go into the database, as they are. A key that lives has its current one among them, a destroyed one none. */
int key_row_put_versions(struct db *db, const struct guest_key *key, const json_t *row,
                         struct cofre_err *err);
/* The value of that version, under the row's terms: as key_version_open(), and 0 where the row has no such version. */
int key_row_open(uint8_t *value, const uint8_t root[static KEY_ROOT_SIZE], const struct guest_key *key,
                 int64_t version, const json_t *row, struct cofre_err *err);

#endif
