/* Event logs that tests write. */
#ifndef COFRE_TESTS_MADE_LOG_H
#define COFRE_TESTS_MADE_LOG_H

#include "tdx/event_log.h"

/* A log that is being written; len 0 to begin. */
struct made_log {
    uint8_t bytes[4096];
    size_t len;
};

extern const uint16_t made_sha384[1][2]; /* its algorithm id and digest size */

void made_bytes(struct made_log *m, const void *data, size_t len);
void made_number(struct made_log *m, uint32_t value, size_t width);
/* The Spec ID event, with algorithms and their digest sizes. */
void made_header(struct made_log *m, const uint16_t (*algorithm)[2], size_t count);
/* An event whose digest is that of `measured`. */
void made_event(struct made_log *m, uint32_t mr, uint32_t type, const void *data, size_t len,
                const void *measured, size_t measured_len);
void made_digest(uint8_t out[48], const void *data, size_t len);
struct view made_view(const struct made_log *m);

#endif
