/* What the two ends of a key that is on its way agree on besides its text: HPKE's info and additional data (docs/keys.md). */
#ifndef COFRE_KEYS_MESSAGE_H
#define COFRE_KEYS_MESSAGE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "keys/hpke.h"

#define KEY_RELEASE_INFO "cofre key release 1"
#define KEY_IMPORT_INFO  "cofre key import 1"
#define KEY_EXPORT_INFO  "cofre key export 1"

#define KEY_RELEASE_AAD_MAX 256 /* of a name and an id of 64 bytes each, and a number */

static inline struct view key_message_text(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

/* On its way in or out: a key of that name. */
static inline struct hpke_about key_message_named(enum hpke_kem kem, const char *info, const char *name)
{
    return (struct hpke_about){{kem, HPKE_AES_256_GCM}, key_message_text(info), key_message_text(name)};
}

/* Released: a key, its version, and the result that it went by. aad is where the additional data are kept. */
static inline struct hpke_about key_message_released(char aad[static KEY_RELEASE_AAD_MAX], enum hpke_kem kem,
                                                     const char *name, int64_t version, const char *result)
{
    (void)snprintf(aad, KEY_RELEASE_AAD_MAX, "%s %lld %s", name, (long long)version, result);
    return key_message_named(kem, KEY_RELEASE_INFO, aad);
}

#endif
