/* Bytes as text, by libcrypto: apart from JSON, for programs that read it and have nothing else to do with that library. */
#ifndef COFRE_BASE_BASE64_H
#define COFRE_BASE_BASE64_H

#include "vmm/base/bytes.h"

/* Base64 (RFC 4648 section 4) without line breaks, in its one canonical form; at most max bytes. */
int base64_decode(struct bytes *out, size_t max, const char *text, struct cofre_err *err);
int base64_encode(char **out, struct view data, struct cofre_err *err); /* free() *out */

#endif
