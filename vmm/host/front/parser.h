/*
 * The process of one connection: HTTP/1.1 (libmicrohttpd), JSON and the table of operations on one side, messages to the decider
 * on the other. It has two sockets and nothing else: no files, no network, no other process. What takes it over can ask for what its
 * caller can ask for.
 */
#ifndef COFRE_HOST_FRONT_PARSER_H
#define COFRE_HOST_FRONT_PARSER_H

#include <stddef.h>

#define PARSER_HEADERS_MAX                                                                                   \
    32768 /* bytes of a request's line and headers, and of what libmicrohttpd keeps of it */
#define PARSER_BODY_MAX 49152  /* bytes of a JSON body, which must fit a message */
#define PARSER_HELD_MAX 262144 /* bytes of a stream that the client has not taken */

struct parser_limits {
    unsigned
        request_seconds; /* from the connection's start, or the last answer, until a request is whole; uploads: its head */
    unsigned
        idle_seconds; /* between two requests; and in which a client takes some of an answer, or sends some of an upload */
    unsigned beat_seconds; /* after which a stream of events that is silent says that it is there */
};

struct parser;

/* All that can be done before there is a connection. limits and document, which is the interface's for /v1/openapi.json, are borrowed. NULL: no memory. */
struct parser *parser_new(const struct parser_limits *limits, const char *document, size_t len);

/* Serves the connection to its end. Both descriptors become the parser's. The result is for _exit: 0, or 1 where something was not as it
 * should be. */
int parser_serve(struct parser *parser, int connection, int decider);
/* After parser_serve, in a process that lives on: cofred's ends instead. */
void parser_free(struct parser *parser);

#endif
