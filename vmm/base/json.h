/* JSON from outside, by jansson: bounded depth, no duplicate members, nothing after the end, no unknown members. */
#ifndef COFRE_BASE_JSON_H
#define COFRE_BASE_JSON_H

#include <jansson.h>

#include "vmm/base/bytes.h"

static inline void cleanup_json(json_t **j)
{
    json_decref(*j);
}
#define CLEAN_JSON __attribute__((cleanup(cleanup_json))) json_t

#define JSON_DEPTH_MAX 8

/* One object and nothing else. A failure is -code: the caller knows whose file it is. *out is the caller's. */
int json_read(json_t **out, struct view text, enum cofre_error code, struct cofre_err *err);

/* Base64 (RFC 4648 section 4) without line breaks, in its one canonical form; at most max bytes. */
int base64_decode(struct bytes *out, size_t max, const char *text, struct cofre_err *err);
int base64_encode(char **out, struct view data, struct cofre_err *err); /* free() *out */

/* A time as a string, as time_format (vmm/base/timestamp.h) writes it. */
json_t *json_time(int64_t seconds);

#endif
