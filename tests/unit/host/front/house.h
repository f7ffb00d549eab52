/* A gate, a zygote and a decider that is made up, each in its process as cofred has them; and clients. */
#ifndef COFRE_TESTS_HOST_HOUSE_H
#define COFRE_TESTS_HOST_HOUSE_H

#include <openssl/types.h>
#include <sys/types.h>

#include "tests/unit/host/front/authority.h"
#include "tests/unit/host/front/client.h"
#include "vmm/base/bytes.h"

struct house {
    char dir[64], socket[96];
    int port; /* of TLS, on 127.0.0.1 */
    pid_t gate, zygote, decider;
    ino_t connections; /* the socket by which parsers get them */
    EVP_PKEY *ca_key;
    X509 *ca;
};

struct house_limits {
    unsigned connections, of_one, request_seconds, idle_seconds, beat_seconds;
};

void house_build(struct house *house, const struct house_limits *limits);
void house_end(struct house *house); /* each process has ended without a fault */
/* How many parsers there are, with the one that waits for a connection; their pids in *out. */
size_t house_parsers(const struct house *house, pid_t *out, size_t max);
/* Whether it is the one that waits: it has the socket from which connections come. Skips the test where that is root's to see. */
bool house_parser_waits(const struct house *house, pid_t parser);
/* Until so many serve and one waits, at most seconds; how many serve. */
size_t house_await_parsers(const struct house *house, size_t serving);

/* Connections of clients. who: the certificate's subject name (CN), NULL without one; of another authority where stranger. */
int house_connect(const struct house *house);
int house_connect_tcp(const struct house *house);
SSL *house_connect_tls(const struct house *house, const char *who, bool stranger);
/* The same with a certificate that is no good. */
SSL *house_connect_faulty(const struct house *house, const char *who, enum house_fault fault);
void house_tls_free(SSL *ssl);

/* A new connection by the unix socket, one request, one answer. */
struct answer ask(const struct house *house, const char *text);
struct answer ask_len(const struct house *house, const char *text, size_t len);

#endif
