/* A client's end of a connection to cofred's front. */
#ifndef COFRE_TESTS_HOST_CLIENT_H
#define COFRE_TESTS_HOST_CLIENT_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

void client_patience(int fd); /* an answer that does not come ends the wait */
/* By a unix socket; who asks is the effective user at this moment. */
int client_unix(const char *path);

/* An answer. */
struct answer {
    int status; /* 0: there was none */
    char *head, *body;
    size_t body_len;
};
void answer_free(struct answer *answer);
#define CLEAN_ANSWER __attribute__((cleanup(answer_free))) struct answer
void send_text(int fd, const char *text, size_t len);
/* Reads one answer, its body unchunked. False where the connection ended before. */
bool read_answer(int fd, struct answer *out);
bool read_answer_tls(SSL *ssl, struct answer *out);

#endif
