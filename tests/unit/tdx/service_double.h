/*
 * A quote generation service that misbehaves as a test wants, written from the protocol (Intel's DCAP, qgs_msg_lib and
 * qgs_server.cpp) without the client's header. Each connection is a thread that plays what the request's TDREPORT asks for:
 * its first bytes are a struct double_order.
 */
#ifndef TESTS_TDX_SERVICE_DOUBLE_H
#define TESTS_TDX_SERVICE_DOUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/kvm/backend.h"

enum double_fault {
    DOUBLE_GOOD,
    DOUBLE_GOOD_IN_PIECES,
    DOUBLE_GOOD_TWICE,           /* the answer, and once more */
    DOUBLE_GOOD_MINOR_VERSION,   /* another minor version */
    DOUBLE_GOOD_AFTER_KILLS,     /* closed without reading; the third connection answers */
    DOUBLE_GOOD_AFTER_TRUNCATED, /* closed in the middle of the answer; the second connection answers */
    DOUBLE_KILLED,               /* closed without reading, always */
    DOUBLE_CLOSED,               /* closed after reading, always */
    DOUBLE_TRUNCATED,            /* closed in the middle, always */
    DOUBLE_LENGTH_BEYOND,        /* announces a byte more than it sends */
    DOUBLE_LENGTH_HUGE,
    DOUBLE_LENGTH_SHORT, /* less than an answer's header */
    DOUBLE_QUOTE_TOO_BIG,
    DOUBLE_QUOTE_EMPTY,
    DOUBLE_ERROR_CODE,
    DOUBLE_WRONG_TYPE,
    DOUBLE_WRONG_VERSION,
    DOUBLE_GARBLED, /* one byte of the header, any but the minor version's */
    DOUBLE_NOISE,   /* random bytes */
    DOUBLE_SILENT,  /* reads, and never answers */
    DOUBLE_STUCK,   /* begins to answer, and never ends */
    DOUBLE_FAULTS,
};

/* In a TDREPORT's first bytes. */
struct double_order {
    uint32_t fault, seed;
    uint32_t room; /* for a quote in the guest's buffer */
};

extern const struct kvm_backend double_backend;

/* The next calls of quote_service fail with this errno, so many times. */
void double_refuse(int error, unsigned times);
unsigned double_connections(void); /* since the last double_join */
void double_join(void);            /* when the client is gone: every thread ends */

/* The quote that a good answer to this order has; out takes up to 8 KiB. */
uint32_t double_quote(uint8_t *out, const struct double_order *order);
uint32_t double_random(uint32_t *state);

#endif
