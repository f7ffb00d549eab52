/* Memory for what nobody else may see: pages of its own, locked, left out of dumps and of children, and wiped at its end. */
#ifndef COFRE_KEYS_SECRET_H
#define COFRE_KEYS_SECRET_H

#include "vmm/base/bytes.h"

/* data is NULL where there is none. */
struct secret {
    uint8_t *data;
    size_t len;
};

/* Zeroed. -COFRE_LACKING: the memory cannot be locked. */
int secret_alloc(struct secret *out, size_t len, struct cofre_err *err);
void secret_free(struct secret *secret);
#define CLEAN_SECRET __attribute__((cleanup(secret_free))) struct secret

#endif
