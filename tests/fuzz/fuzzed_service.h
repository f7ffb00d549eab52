/*
 * cofre-trust for a fuzz target: its own server, routes, handlers and ledger in this process, on the database of
 * fuzzed_database.h. The caller's thread does the loop's work and the workers', so that it knows when an input has had its effect.
 */
#ifndef COFRE_TESTS_FUZZED_SERVICE_H
#define COFRE_TESTS_FUZZED_SERVICE_H

#include "vmm/base/bytes.h"

/* Nobody comes upon one of these by changing another. */
enum fuzzed_token { SUBMIT, READ, VALUES, POLICIES, AUDIT, ADMINISTER, FUZZED_TOKENS };
extern const char *const fuzzed_tokens[FUZZED_TOKENS];

/* A challenge that it has given out, in hexadecimal. */
#define FUZZED_NONCE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* What its guest answers to that nonce, as the text of an evidence file. It passes the policy "web". */
const struct bytes *fuzzed_evidence(void);

/* Sends the bytes over a new connection, and puts what was answered into out, with a zero behind it; its length. Returns when nothing
 * of it is at work, and the connection is gone. The first call starts the service. */
size_t fuzzed_service_ask(char *out, size_t size, struct view bytes);

#endif
