/* Between parser.c and exchange.c: one request of the connection, and its answer. */
#ifndef COFRE_HOST_FRONT_EXCHANGE_H
#define COFRE_HOST_FRONT_EXCHANGE_H

#include <microhttpd.h>

#include "vmm/host/front/parser.h"
#include "vmm/host/front/request.h"

enum stage {
    STAGE_HEAD,      /* libmicrohttpd has its head */
    STAGE_BODY,      /* and reads its JSON */
    STAGE_PERMITTED, /* the decider has been asked whether an upload may come */
    STAGE_UPLOAD,    /* its bytes come */
    STAGE_ASKED,     /* all is with the decider */
    STAGE_ANSWERED,  /* libmicrohttpd has the answer, or its beginning */
};

struct parser {
    const struct parser_limits *limits;
    const char *document;
    size_t document_len;
    int connection, decider; /* a copy that only sees the other end go */
    struct MHD_Daemon *daemon;
    struct MHD_Connection *http;
    struct exchange *now; /* NULL: between requests */
    uint64_t id;          /* of the last request */
    unsigned fruitless;   /* turns, since libmicrohttpd had something of a request */
    int64_t deadline;     /* milliseconds of CLOCK_MONOTONIC, until a request must be whole; 0: one is */
    bool over, broken;    /* the connection's end; by something that should not be */
};

struct exchange {
    char *uri;
    struct page *page; /* that it is of; NULL: none */
    enum stage stage;
    struct message_request request;
    struct bytes body; /* PARSER_BODY_MAX, of which body_len are there */
    size_t body_len;
    bool too_large, suspended;
    int upload; /* where its bytes go; -1: nowhere (any more) */
    bool permitted;
    bool answered;                /* answer is there */
    struct message_answer answer; /* its first message, which for most is all */
    struct bytes held; /* of a stream: PARSER_HELD_MAX and a message; held_at to held_len are not sent yet */
    size_t held_at, held_len;
    bool events, ended;
    int64_t beat; /* when a silent stream of events has to say something */
};

int64_t exchange_now(void); /* milliseconds of CLOCK_MONOTONIC */

struct exchange *exchange_new(const char *uri);
void exchange_free(struct exchange *exchange);

/* libmicrohttpd has something of the request, or the decider has answered. */
enum MHD_Result exchange_step(struct parser *parser, struct exchange *exchange, const char *method,
                              const char *version, const char *data, size_t *len);
/* A message of the decider's; false for one that should not come now. fd: what came with it, the exchange's. */
bool exchange_told(struct parser *parser, struct exchange *exchange, struct message_answer *answer, int fd);
void exchange_beat(struct parser *parser, struct exchange *exchange);

#endif
