/*
 * Keys from a backup (keys/backup.h) into a database: all of them or none, within a transaction of the caller's. What the database
 * knows of destroyed keys stays.
 */
#ifndef COFRE_KEYS_RESTORE_H
#define COFRE_KEYS_RESTORE_H

#include "keys/backup.h"

struct key_restore {
    bool
        as_they_were; /* keys have the states that they had; otherwise what lives is disabled, until somebody enables it */
    const char
        *revive; /* NULL, or the one key, destroyed here, that is brought back, disabled, and nothing else */
    /* What came of it. */
    size_t brought;     /* keys of the backup that are here now as it has them */
    json_t *left;       /* the caller's: names of those that live in the backup and stay destroyed here */
    int64_t generation; /* of the keys afterwards */
};

/*
 * -COFRE_USAGE with a sentence: the database's keys are as new as the backup's, or newer; the two have histories that parted, so
 * that a value would be lost; revive: that key is not destroyed here, or lives in no version there. When the transaction is kept,
 * db_forget() has what was replaced gone from the files.
 */
int key_restore(const struct key_change *c, const struct key_backup *backup, struct key_restore *how,
                struct cofre_err *err);

#endif
