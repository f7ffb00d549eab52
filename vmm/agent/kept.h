/*
 * What a guest keeps of its secrets for a start at which the service cannot be reached: a file, sealed by AES-256-GCM under a key
 * that the processor's firmware derives for this guest on this machine, and for no other.
 */
#ifndef COFRE_AGENT_KEPT_H
#define COFRE_AGENT_KEPT_H

#include "keys/wrap.h"

#define KEPT_SECRETS_MAX 32
#define KEPT_FILE_MAX    (1u << 20)
#define KEPT_NAME_MAX    64

/* What the key is derived by besides measurement and guest policy: no firmware older than this TCB gets the key, and nobody at a less
 * privileged level of the guest. Stands in the file as it is. */
struct kept_root {
    uint64_t tcb;
    uint32_t vmpl;
};

struct kept_secret {
    char name[KEPT_NAME_MAX + 1];
    int64_t version;
    int64_t until; /* seconds since 1970; at or after it it is not opened */
    struct view value;
};

/* The file's text, the caller's to free; key is what the root derived. */
int kept_seal(struct bytes *file, const struct kept_root *root, const uint8_t key[32],
              const struct kept_secret *secrets, size_t count, struct cofre_err *err);

/* What a file says that its key is derived by, before anything in it is believed. -COFRE_MALFORMED: it is none. */
int kept_read_root(struct kept_root *root, struct view file, struct cofre_err *err);
/*
 * The secret of that name: value has KEY_VALUE_MAX bytes, zero where it fails; the result is how many it fills. -COFRE_NEGATIVE: none
 * of that name is kept, or not any longer, or it does not open: this is another guest, another machine, or the file was changed.
 */
int kept_open(uint8_t *value, struct view file, const uint8_t key[32], const char *name, int64_t now,
              struct cofre_err *err);

#endif
