/* JSON from outside, by jansson: bounded depth, no duplicate members, nothing after the end, no unknown members. */
#ifndef COFRE_BASE_JSON_H
#define COFRE_BASE_JSON_H

#include <jansson.h>

#include "vmm/base/base64.h"

static inline void cleanup_json(json_t **j)
{
    json_decref(*j);
}
#define CLEAN_JSON __attribute__((cleanup(cleanup_json))) json_t

#define JSON_DEPTH_MAX 8

/* One object and nothing else. A failure is -code: the caller knows whose file it is. *out is the caller's. */
int json_read(json_t **out, struct view text, enum cofre_error code, struct cofre_err *err);

/* A time as a string, as time_format (vmm/base/timestamp.h) writes it. */
json_t *json_time(int64_t seconds);

#endif
