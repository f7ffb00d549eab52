/* A guest of the emulated platform beside a service: its evidence, and its connection, with a key that nobody vouches for. */
#ifndef TESTS_UNIT_SERVICE_BOUND_GUEST_H
#define TESTS_UNIT_SERVICE_BOUND_GUEST_H

#include "attest/channel/binding.h"
#include "tests/unit/service/fixture.h"

extern struct psp *bound_guest_platform;
extern struct identity bound_guest_key;
extern char bound_guest_root_file[128]; /* the platform's root, which the service trusts */

/* Before fixture_start(); and at the end. */
void bound_guest_open(struct fixture *f);
void bound_guest_close(void);

/* The service has this policy, as "web", and it judges. */
void bound_guest_use_policy(struct fixture *f, const char *document);
struct client bound_guest_connection(struct fixture *f);
/* A nonce of the service's, in hexadecimal. */
void bound_guest_challenge(struct fixture *f, struct client *c, char out[65]);
/* What a guest makes of a connection, without its report data; nonce is 32 bytes, key the caller's to free. */
struct channel_binding bound_guest_binding(struct client *c, const char *hex, uint8_t nonce[32],
                                           struct bytes *key);
/* An evidence file's text over that report data; the caller's. */
char *bound_guest_evidence(const uint8_t report_data[CHANNEL_REPORT_DATA]);
/* For struct agent_result_request and its like. */
int bound_guest_evidence_file(void *context, struct bytes *file,
                              const uint8_t report_data[CHANNEL_REPORT_DATA], struct cofre_err *err);

#endif
