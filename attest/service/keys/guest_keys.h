/* Keys for guests, as the interface has them: what its files share. */
#ifndef COFRE_ATTEST_SERVICE_KEYS_GUEST_KEYS_H
#define COFRE_ATTEST_SERVICE_KEYS_GUEST_KEYS_H

#include "attest/service/keys/keyring.h"
#include "attest/store/db_log.h"
#include "keys/life.h"

/*
 * One change of a key, with its entry in the log and in one transaction with it: work makes the change, and may set version
 * and detail for the entry; the answer is the caller's. The entry's digest is that of the key's terms afterwards.
 */
struct key_deed {
    struct call *call;
    const char *action; /* "created" */
    int (*work)(const struct key_change *change, struct key_deed *deed, struct cofre_err *err);
    void *context;
    int64_t version;
    char detail[LOG_DETAIL_MAX + 1];
};
int key_deed_do(struct key_deed *deed, struct cofre_err *err);

/* A key that was brought sealed to the import key: {"enc": HEX, "sealed": HEX}, of KEY_VALUE_MAX bytes at most. value has as many, and is
 * the caller's to wipe; the result is how many it fills. */
int guest_key_read_import(uint8_t *value, struct call *call, const char *name, json_t *import,
                          struct cofre_err *err);

/* Info and additional data of exports and imports, by HPKE: a label, and the key's name. */

#endif
