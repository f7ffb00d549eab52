/*
 * The messages between a parser and the decider, over the SOCK_SEQPACKET pair of one connection: deterministic CBOR, each at most
 * MESSAGE_MAX bytes, read strictly at both ends. The parser asks; the decider answers; one request is open at a time.
 * Who asks is in no message: the decider has that from the gate, with its end of the pair.
 */
#ifndef COFRE_HOST_MESSAGE_H
#define COFRE_HOST_MESSAGE_H

#include "vmm/host/interface/operation.h"

#define MESSAGE_MAX       65536
#define MESSAGE_VERSION   1
#define MESSAGE_TOKEN_MAX 16384
#define MESSAGE_CHUNK_MAX 49152 /* bytes in one chunk of a stream */

/* Any JSON value without real numbers as CBOR and back: objects are maps with keys of text. Depth to JSON_DEPTH_MAX. */
int message_put_json(struct bytes *out, const json_t *value, struct cofre_err *err);
int message_get_json(json_t **out, struct view in, struct cofre_err *err);

/* What is asked. Whoever has one that was read knows: the operation exists, parts are as many as its path has and each is of its
 * kind, query and body have passed their tables and are there (if empty) exactly where the operation has one. */
struct message_request {
    uint64_t id; /* counts from 1 on its connection */
    const struct operation *operation;
    struct operation_parts part;
    json_t *query, *body; /* owned; NULL where the operation has none */
    char *token;          /* owned: a bearer token as it came, judged by nobody yet; NULL: none */
    uint64_t upload;      /* bytes that an upload announces; MESSAGE_UPLOAD_OPEN: it does not say */
};
#define MESSAGE_UPLOAD_OPEN UINT64_MAX

void message_request_free(struct message_request *request);
#define CLEAN_MESSAGE_REQUEST __attribute__((cleanup(message_request_free))) struct message_request
/* -COFRE_USAGE where it is longer than MESSAGE_MAX. */
int message_request_write(struct bytes *out, const struct message_request *request, struct cofre_err *err);
int message_request_read(struct message_request *out, struct view in, struct cofre_err *err);

/* What is answered: one JSON, PROBLEM or EMPTY; or a BEGIN, any number of CHUNK or EVENT, an END; before that, of an operation
 * that uploads, at most one UPLOAD, which brings the descriptor that the body's bytes are written to. */
enum message_kind {
    MESSAGE_JSON,    /* status, json */
    MESSAGE_EMPTY,   /* status */
    MESSAGE_PROBLEM, /* status, code, sentence, retry */
    MESSAGE_UPLOAD,
    MESSAGE_BEGIN, /* status, type */
    MESSAGE_CHUNK, /* data */
    MESSAGE_EVENT, /* code: its name; number; json */
    MESSAGE_END,
    MESSAGE_KINDS,
};

struct message_answer {
    uint64_t id; /* the request's */
    enum message_kind kind;
    int status;      /* 200 to 599 */
    json_t *json;    /* owned */
    char code[64];   /* a word for programs: "no-such-guest"; of an event its name; of BEGIN the media type */
    char text[1024]; /* the sentence */
    uint64_t number; /* of an event; of a PROBLEM the seconds after which to try again, 0: not said */
    struct view data; /* in the message that was read, or the caller's */
};

void message_answer_free(struct message_answer *answer);
#define CLEAN_MESSAGE_ANSWER __attribute__((cleanup(message_answer_free))) struct message_answer
int message_answer_write(struct bytes *out, const struct message_answer *answer, struct cofre_err *err);
int message_answer_read(struct message_answer *out, struct view in, struct cofre_err *err);

#endif
