/* The decider's end of hands: requests out, answers and news in, within one libevent loop; one thread. */
#ifndef COFRE_HOST_HANDS_HANDS_CLIENT_H
#define COFRE_HOST_HANDS_HANDS_CLIENT_H

#include "vmm/host/hands/hands.h"

struct event_base;
struct hands_client;

/* Called once for each request that was asked. rc 0: the answer, which says 0, and for HANDS_OPEN a descriptor, which is the
 * callee's (-1 else). Negative: what hands refused or failed at, or that it is gone (COFRE_FAILED); then answer is NULL. */
typedef void hands_answered(void *context, int rc, const struct hands_answer *answer, int fd,
                            const struct cofre_err *why);

struct hands_client_calls {
    /* HANDS_LAUNCHED or HANDS_ENDED. */
    void (*news)(void *context, const struct hands_answer *news);
    /* Hands has ended, or said what it may not; after all that was asked has had its answer. The callee may free the client. */
    void (*lost)(void *context, const struct cofre_err *why);
};

/* socket: a SOCK_SEQPACKET pair's end, the client's from here on, also where this fails. */
int hands_client_new(struct hands_client **out, struct event_base *base, int socket,
                     const struct hands_client_calls *calls, void *context, struct cofre_err *err);
/* What was asked and not answered gets no call any more. NULL does nothing. */
void hands_client_free(struct hands_client *client);

/* body: what hands.h says of the request, NULL where that is nothing. fds stay the caller's, and may be closed at once. Returns
 * before there is an answer, and never calls answered itself; negative where the request is none. */
int hands_client_ask(struct hands_client *client, enum hands_what what, uint32_t guest, const void *body,
                     const int *fds, unsigned count, hands_answered *answered, void *context,
                     struct cofre_err *err);

#endif
