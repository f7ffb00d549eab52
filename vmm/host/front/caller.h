/*
 * The decider's side of callers' connections. Each is a socket pair to the parser that has the connection, and an identity, which
 * the gate made out before any byte of HTTP was read. Everything is in the decider's one event loop; nothing here blocks.
 */
#ifndef COFRE_HOST_FRONT_CALLER_H
#define COFRE_HOST_FRONT_CALLER_H

#include <event2/event.h>

#include "vmm/host/front/identity.h"
#include "vmm/host/interface/message.h"

struct callers;
struct caller;

struct callers_handler {
    /* A whole, checked request; there is no other of this caller's until this one is answered. It is valid until this returns: who answers
     * later keeps caller and request->id, and takes (by TAKE_PTR) what it needs of the rest. */
    void (*request)(void *context, struct caller *caller, struct message_request *request);
    /* The other end is gone, or was put out; the caller is freed when this returns. NULL: nobody wants to know. */
    void (*gone)(void *context, struct caller *caller);
    /* What was to be written has been; only after caller_waiting() was not 0. NULL: nobody wants to know. */
    void (*drained)(void *context, struct caller *caller);
    void *context;
};

struct callers_limits {
    size_t waiting; /* bytes for one caller that its parser has not taken; beyond it the caller is put out */
};

/* gate: the decider's end of the pair to the gate, SOCK_SEQPACKET; it becomes the callers'. */
int callers_new(struct callers **out, struct event_base *base, int gate,
                const struct callers_handler *handler, const struct callers_limits *limits,
                struct cofre_err *err);
void callers_free(struct callers *callers);
size_t callers_count(const struct callers *callers);

const struct identity *caller_identity(const struct caller *caller);
/* The request that is open; 0: none. An answer to any other id goes nowhere. */
uint64_t caller_open(const struct caller *caller);
/* The handler's own, for streams and the like; freed by nobody here. */
void caller_set_data(struct caller *caller, void *data);
void *caller_data(const struct caller *caller);

/* The answer to a request, once. JSON is borrowed and may be of any size: what no message holds goes in several. */
void caller_answer(struct caller *caller, uint64_t id, int status, const json_t *json);
void caller_empty(struct caller *caller, uint64_t id, int status); /* 204, 202 */
/* RFC 9457: a word for programs, a sentence for people. retry: seconds, 0: not said. */
void caller_problem(struct caller *caller, uint64_t id, int status, unsigned retry, const char *code,
                    const char *format, ...) __attribute__((format(printf, 6, 7)));

/* An answer that goes on: of type "text/event-stream" by events, of any other by chunks, until its end. */
void caller_begin(struct caller *caller, uint64_t id, int status, const char *type);
void caller_chunk(struct caller *caller, uint64_t id, struct view data);
void caller_event(struct caller *caller, uint64_t id, const char *name, uint64_t number, const json_t *json);
void caller_end(struct caller *caller, uint64_t id);
size_t caller_waiting(const struct caller *caller); /* bytes that its parser has not taken yet */

/* Lets an upload's bytes come: *fd is a non-blocking socket to read (or recv) them from, the caller's to close. Its end is the body's, or
 * the connection's, so what was announced, or the digest, must be compared. Refusing is a problem instead, and no byte
 * comes. -COFRE_FAILED: there is no descriptor left, or no such request. */
int caller_upload(struct caller *caller, uint64_t id, int *fd, struct cofre_err *err);

/* Puts it out: the connection ends, whatever is open. handler->gone is called, from the loop and not from here. */
void caller_close(struct caller *caller);

#endif
