#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/service/soak.h"

#define TRIES 200

uint64_t soak_any(struct soak_client *c, uint64_t below)
{
    c->state ^= c->state << 13;
    c->state ^= c->state >> 7;
    c->state ^= c->state << 17;
    return (c->state >> 11) % below;
}

void soak_write(struct soak_client *c, const char *method, const char *path, const char *token,
                const char *body)
{
    int n = snprintf(c->request, sizeof c->request, "%s %s HTTP/1.1\r\nHost: x\r\n", method, path);
    if (token)
        n += snprintf(c->request + n, sizeof c->request - (size_t)n, "Authorization: Bearer %s\r\n", token);
    if (body)
        n += snprintf(c->request + n, sizeof c->request - (size_t)n, "Content-Type: application/json\r\n");
    n += snprintf(c->request + n, sizeof c->request - (size_t)n, "Content-Length: %zu\r\n\r\n%s",
                  body ? strlen(body) : 0, body ? body : "");
    SOAK_CHECK((size_t)n < sizeof c->request, "a request of %d bytes", n);
}

bool talk_open(struct soak_client *c, struct talk *t)
{
    if (t->open)
        return true;
    t->client = client_connect(c->soak->process.port);
    t->open = true;
    if (!client_handshake(&t->client, NULL, TLS1_3_VERSION))
        talk_close(t);
    return t->open;
}

void talk_close(struct talk *t)
{
    if (t->open)
        client_close(&t->client);
    t->open = false;
}

bool talk_send(struct soak_client *c, struct talk *t, const char *text)
{
    if (talk_open(c, t) && client_send(&t->client, text))
        return true;
    talk_close(t);
    return false;
}

int talk_answer(struct soak_client *c, struct talk *t)
{
    int status = t->open ? client_answer(&t->client, c->answer, sizeof c->answer) : 0;
    if (status)
        return status;
    atomic_fetch_add(&c->soak->broken, 1);
    talk_close(t);
    return 0;
}

int soak_ask(struct soak_client *c)
{
    int status = 0;
    for (int i = 0; i < TRIES && (status == 0 || status == 503); i++) {
        (void)talk_send(c, &c->talk[0], c->request);
        status = talk_answer(c, &c->talk[0]);
    }
    SOAK_CHECK(status != 0 && status != 503, "no answer after %d tries: %.200s", TRIES, c->request);
    return status;
}

const char *soak_body(const struct soak_client *c)
{
    return strstr(c->answer, "\r\n\r\n") + 4;
}
