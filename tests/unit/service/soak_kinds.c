/* What a client of the soak does: a table of kinds with their shares, from which each request is drawn. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/log/receipt.h"
#include "tests/unit/service/guest.h"
#include "tests/unit/service/soak.h"

/* A nonce of the service's. */
static void new_nonce(struct soak_client *c, char out[static 65])
{
    soak_write(c, "POST", "/v1/challenges", "submit", NULL);
    int status = soak_ask(c);
    const char *nonce = strstr(c->answer, "\"nonce\":\"");
    SOAK_CHECK(status == 201 && nonce, "%s", c->answer);
    snprintf(out, 65, "%s", nonce + strlen("\"nonce\":\""));
}

/* A request for a verdict by that nonce, with evidence on another one or the same. */
static void write_appraisal(struct soak_client *c, const char *nonce, const char *on)
{
    static _Thread_local char body[1 << 16];
    char *evidence = guest_evidence(on);
    int n = snprintf(body, sizeof body, "{\"policy\": \"web\", \"challenge\": \"%s\", \"evidence\": %s}",
                     nonce, evidence);
    SOAK_CHECK((size_t)n < sizeof body, "evidence of %zu bytes", strlen(evidence));
    free(evidence);
    soak_write(c, "POST", "/v1/appraisals", "submit", body);
}

/* The answer in c->answer is a verdict on that nonce. */
static void note(struct soak_client *c, int status, const char *nonce, const char *outcome)
{
    struct acknowledged told;
    char said[65];
    SOAK_CHECK(status == 200, "a good request got: %s", c->answer);
    soak_read_result(c->soak, &told, soak_body(c), outcome);
    hex_encode(said, told.nonce, sizeof told.nonce);
    SOAK_CHECK(strcmp(said, nonce) == 0, "asked %s, answered %s", nonce, said);
    soak_note_result(c->soak, &told);
}

static void appraise(struct soak_client *c)
{
    char nonce[65];
    new_nonce(c, nonce);
    write_appraisal(c, nonce, nonce);
    note(c, soak_ask(c), nonce, "pass");
}

static void appraise_twice(struct soak_client *c)
{
    static _Thread_local char first[sizeof c->answer];
    char nonce[65];
    new_nonce(c, nonce);
    write_appraisal(c, nonce, nonce);
    note(c, soak_ask(c), nonce, "pass");
    strcpy(first, soak_body(c));
    int status = soak_ask(c);
    SOAK_CHECK(status == 200 && strcmp(soak_body(c), first) == 0, "asked again: %s", c->answer);
}

static void appraise_on_another_nonce(struct soak_client *c)
{
    char nonce[65];
    new_nonce(c, nonce);
    write_appraisal(c, nonce, "00112233445566778899aabbccddeeff");
    note(c, soak_ask(c), nonce, "fail");
}

/* Whoever used it, in whichever life of the process. */
static void use_a_nonce_again(struct soak_client *c)
{
    struct acknowledged told;
    char nonce[65];
    if (!soak_any_result(c->soak, &told, soak_any(c, UINT32_MAX)))
        return;
    hex_encode(nonce, told.nonce, sizeof told.nonce);
    write_appraisal(c, nonce, nonce);
    int status = soak_ask(c);
    SOAK_CHECK(status == 409, "nonce %s was accepted again: %s", nonce, c->answer);
}

static void make_a_nonce_up(struct soak_client *c)
{
    char nonce[65];
    for (size_t i = 0; i < 64; i++)
        nonce[i] = "0123456789abcdef"[soak_any(c, 16)];
    nonce[64] = 0;
    write_appraisal(c, nonce, nonce);
    int status = soak_ask(c);
    SOAK_CHECK(status == 409, "a nonce made up: %s", c->answer);
}

/* Two at once with one nonce. Who loses the connection asks again; in the end one of them has the verdict. */
static void race(struct soak_client *c)
{
    static _Thread_local char text[2][sizeof c->request];
    char nonce[65];
    int status[2];
    new_nonce(c, nonce);
    for (int i = 0; i < 2; i++) {
        write_appraisal(c, nonce, nonce);
        strcpy(text[i], c->request);
        (void)talk_open(c, &c->talk[i]);
    }
    for (int i = 0; i < 2; i++)
        (void)talk_send(c, &c->talk[i], text[i]);
    for (int i = 0; i < 2; i++) {
        status[i] = talk_answer(c, &c->talk[i]);
        if (status[i] == 200)
            note(c, 200, nonce, "pass");
    }
    for (int i = 0; i < 2; i++) {
        if (status[i] != 0 && status[i] != 503)
            continue;
        strcpy(c->request, text[i]);
        status[i] = soak_ask(c);
        if (status[i] == 200)
            note(c, 200, nonce, "pass");
    }
    SOAK_CHECK((status[0] == 200 && status[1] == 409) || (status[0] == 409 && status[1] == 200),
               "two with one nonce: %d and %d", status[0], status[1]);
}

/* Whether it was judged nobody knows, until somebody asks again. */
static void leave_before_the_answer(struct soak_client *c)
{
    char nonce[65];
    new_nonce(c, nonce);
    write_appraisal(c, nonce, nonce);
    (void)talk_send(c, &c->talk[1], c->request);
    talk_close(&c->talk[1]);
    if (soak_any(c, 2))
        note(c, soak_ask(c), nonce, "pass");
}

/* A request that ends in the middle, and a connection that ends or is reset. */
static void cut_off(struct soak_client *c)
{
    const struct linger reset = {.l_onoff = 1};
    char nonce[65];
    new_nonce(c, nonce);
    write_appraisal(c, nonce, nonce);
    c->request[soak_any(c, strlen(c->request))] = 0;
    if (talk_send(c, &c->talk[1], c->request) && soak_any(c, 2))
        (void)setsockopt(c->talk[1].client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    talk_close(&c->talk[1]);
}

/* A few bytes more on each slow connection. The service may have ended it meanwhile. */
static void go_on_slowly(struct soak_client *c)
{
    static const char text[] = "GET /v1/keys.jwks HTTP/1.1\r\nHost: somewhere\r\nAccept: */*\r\n\r\n";
    char part[24];
    for (size_t i = 0; i < SOAK_SLOW; i++) {
        struct talk *t = &c->slow[i];
        if (!t->open)
            c->slow_sent[i] = 0;
        snprintf(part, 2 + soak_any(c, sizeof part - 2), "%s", text + c->slow_sent[i]);
        if (!talk_send(c, t, part))
            continue;
        c->slow_sent[i] += strlen(part);
        if (c->slow_sent[i] < strlen(text))
            continue;
        int status = talk_answer(c, t);
        SOAK_CHECK(status == 0 || status == 200, "asked slowly: %s", c->answer);
        c->slow_sent[i] = 0;
    }
}

#define NONCE "\"challenge\": \"00112233445566778899aabbccddeeff\""
static const struct {
    const char *method, *path, *token, *body;
    int status;
} bad_requests[] = {
    {"GET", "/nowhere", NULL, NULL, 404},
    {"GET", "/v1/results/00", "read", NULL, 404},
    {"GET", "/v1/log/entries/99999999", "read", NULL, 404},
    {"PUT", "/v1/challenges", "submit", "{}", 405},
    {"POST", "/v1/challenges", NULL, NULL, 401},
    {"POST", "/v1/challenges", "nobody's", NULL, 401},
    {"POST", "/v1/challenges", "read", NULL, 403},
    {"POST", "/v1/policies/web", "submit", "{\"snp\": {}}", 403},
    {"POST", "/v1/policies/web", "policies", "{\"snp\": {\"no such\": 1}}", 422},
    {"POST", "/v1/appraisals", "submit", NULL, 415},
    {"POST", "/v1/appraisals", "submit", "{", 400},
    {"POST", "/v1/appraisals", "submit", "{}", 422},
    {"POST", "/v1/appraisals", "submit", "{\"policy\": \"none\", \"evidence\": {}, " NONCE "}", 404},
    {"POST", "/v1/appraisals", "submit", "{\"policy\": \"web\", \"evidence\": {}, " NONCE "}", 400},
    {"GET", "/%00", NULL, NULL, 400},
};

static void ask_badly(struct soak_client *c)
{
    const size_t i = soak_any(c, sizeof bad_requests / sizeof *bad_requests);
    soak_write(c, bad_requests[i].method, bad_requests[i].path, bad_requests[i].token, bad_requests[i].body);
    int status = soak_ask(c);
    SOAK_CHECK(status == bad_requests[i].status, "%s %s: %s", bad_requests[i].method, bad_requests[i].path,
               c->answer);
}

/* What is no HTTP, or too much of it. */
static void speak_no_http(struct soak_client *c)
{
    static const char large[] = "POST /v1/appraisals HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n";
    switch (soak_any(c, 3)) {
    case 0:
        snprintf(c->request, sizeof c->request, "NO SUCH\x01THING\r\n\r\n");
        break;
    case 1:
        snprintf(c->request, sizeof c->request, "%s", large);
        break;
    case 2:
        memset(c->request, 'x', 30000);
        memcpy(c->request, "GET / HTTP/1.1\r\nX: ", 19);
        c->request[30000] = 0;
        break;
    }
    (void)talk_send(c, &c->talk[1], c->request);
    int status = talk_answer(c, &c->talk[1]);
    SOAK_CHECK(status == 0 || status == 400 || status == 413 || status == 501, "no HTTP: %s", c->answer);
    talk_close(&c->talk[1]);
}

static struct view raw_body(const struct soak_client *c)
{
    const char *length = strstr(c->answer, "Content-Length: ");
    SOAK_CHECK(length, "%s", c->answer);
    return (struct view){(const uint8_t *)soak_body(c), strtoul(length + 16, NULL, 10)};
}

/* The head, and that it follows from one that somebody saw before. */
static void look_at_the_log(struct soak_client *c)
{
    struct log_head head, older;
    struct log_receipt receipt;
    struct cofre_err err = {""};
    char path[64];
    const bool some = soak_any_head(c->soak, &older, soak_any(c, UINT32_MAX));
    soak_write(c, "GET", "/v1/log/head", NULL, NULL);
    int status = soak_ask(c);
    SOAK_CHECK(status == 200 && log_head_verify(&head, raw_body(c), &c->soak->keys, &err) == 0, "%d %s",
               status, err.text);
    soak_note_head(c->soak, &head);
    SOAK_CHECK(!some || older.state.size <= head.state.size, "the log has become shorter");
    if (!some || older.state.size == head.state.size)
        return;
    snprintf(path, sizeof path, "/v1/log/consistency/%llu", (unsigned long long)older.state.size);
    soak_write(c, "GET", path, NULL, NULL);
    status = soak_ask(c);
    SOAK_CHECK(status == 200 &&
                   log_receipt_verify_consistency(&receipt, raw_body(c), &older, &c->soak->keys, &err) == 0,
               "%d %s", status, err.text);
    soak_note_head(c->soak, &receipt.head);
}

static void read_a_result(struct soak_client *c)
{
    struct acknowledged told, found;
    char path[64];
    if (!soak_any_result(c->soak, &told, soak_any(c, UINT32_MAX)))
        return;
    snprintf(path, sizeof path, "/v1/results/%s", told.id);
    soak_write(c, "GET", path, "read", NULL);
    int status = soak_ask(c);
    SOAK_CHECK(status == 200, "result %s: %s", told.id, c->answer);
    soak_read_result(c->soak, &found, soak_body(c), NULL);
    SOAK_CHECK(memcmp(&found, &told, sizeof told) == 0, "result %s is another: %s", told.id, c->answer);
}

/* An old version, no TLS at all, half a ClientHello, and a record that is none after a good beginning. */
static void break_tls(struct soak_client *c)
{
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                      text[] = "GET / HTTP/1.1\r\n\r\n";
    const uint64_t way = soak_any(c, 4);
    struct client to = client_connect(c->soak->process.port);
    if (way == 0)
        SOAK_CHECK(!client_handshake(&to, NULL, TLS1_2_VERSION), "TLS 1.2 was taken");
    else if (way == 3)
        (void)client_handshake(&to, NULL, TLS1_3_VERSION);
    if (way > 0) {
        (void)send(to.fd, way == 2 ? hello : text, way == 2 ? sizeof hello - 1 : sizeof text - 1,
                   MSG_NOSIGNAL);
        if (way == 2)
            (void)shutdown(to.fd, SHUT_WR);
        client_wait_for_end(&to);
    }
    client_close(&to);
}

/* Hundredths of all requests. */
static const struct {
    unsigned share;
    void (*run)(struct soak_client *c);
} kinds[] = {{30, appraise},
             {6, appraise_twice},
             {4, appraise_on_another_nonce},
             {8, use_a_nonce_again},
             {3, make_a_nonce_up},
             {6, race},
             {8, leave_before_the_answer},
             {10, cut_off},
             {8, go_on_slowly},
             {9, ask_badly},
             {2, speak_no_http},
             {3, look_at_the_log},
             {2, read_a_result},
             {1, break_tls}};

static void ask_one(struct soak_client *c)
{
    uint64_t at = soak_any(c, 100);
    size_t i = 0;
    for (; at >= kinds[i].share; i++)
        at -= kinds[i].share;
    kinds[i].run(c);
    if (soak_any(c, 10) == 0)
        talk_close(&c->talk[0]);
}

void *soak_client_run(void *context)
{
    struct soak_client *c = context;
    while (atomic_fetch_add(&c->soak->begun, 1) < c->soak->requests) {
        sem_post(&c->soak->progress);
        ask_one(c);
    }
    for (size_t i = 0; i < 2; i++)
        talk_close(&c->talk[i]);
    for (size_t i = 0; i < SOAK_SLOW; i++)
        talk_close(&c->slow[i]);
    free(c);
    return NULL;
}
