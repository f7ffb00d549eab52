#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/front/house.h"
#include "tests/unit/host/front/made_up_decider.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/front/identity.h"
#include "vmm/host/interface/operation.h"

static struct house house;

#define HOST     "Host: localhost\r\n"
#define DIGEST   "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SMUGGLED "GET /v1/session HTTP/1.1\r\n" HOST "\r\n" /* a request, in another or on its own */
#define IMAGE    "PUT /v1/tenants/red/images/" DIGEST " HTTP/1.1\r\n" HOST

static json_t *json_of(const struct answer *answer)
{
    json_t *out = answer->body ? json_loads(answer->body, 0, NULL) : NULL;
    assert_non_null(out);
    return out;
}

static void assert_problem(const struct answer *answer, int status, const char *code)
{
    assert_int_equal(answer->status, status);
    assert_non_null(strcasestr(answer->head, "\nContent-Type: application/problem+json\r\n"));
    CLEAN_JSON *is = json_of(answer);
    assert_int_equal(member_unsigned(is, "status", 0), status);
    assert_string_equal(member_text(is, "code", ""), code);
}

static struct answer post(const char *path, const char *body)
{
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "POST %s HTTP/1.1\r\n" HOST
                   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   path, strlen(body), body);
    return ask(&house, text);
}

static void send_string(int fd, const char *text)
{
    send_text(fd, text, strlen(text));
}

/* Who asks */

static void who_asks_by_the_unix_socket_is_who_the_kernel_says(void **state)
{
    (void)state;
    CLEAN_ANSWER answer =
        ask(&house, "GET /v1/session HTTP/1.1\r\n" HOST "Authorization: Bearer abc.def\r\n\r\n");
    assert_int_equal(answer.status, 200);
    CLEAN_JSON *is = json_of(&answer);
    assert_int_equal(member_unsigned(is, "kind", 99), IDENTITY_UNIX);
    assert_int_equal(member_unsigned(is, "uid", 99), getuid());
    assert_string_equal(member_text(is, "token", ""), "abc.def");
}

static void who_asks_by_tls_is_who_the_certificate_says(void **state)
{
    (void)state;
    static const struct {
        const char *who, *subject;
        unsigned kind;
    } clients[] = {{"ann", "CN=ann", IDENTITY_CERTIFICATE},
                   {"ann,O=root", "CN=ann\\,O=root", IDENTITY_CERTIFICATE},
                   {"cert:CN=ann", "CN=cert:CN=ann", IDENTITY_CERTIFICATE},
                   {NULL, "", IDENTITY_ANYBODY}};
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
        static const char text[] = "GET /v1/session HTTP/1.1\r\n" HOST "\r\n";
        CLEAN_ANSWER answer = {0};
        SSL *ssl = house_connect_tls(&house, clients[i].who, false);
        assert_non_null(ssl);
        for (int round = 0; round < 2; round++) { /* the connection is kept, and is whose it was */
            answer_free(&answer);
            assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), strlen(text));
            assert_true(read_answer_tls(ssl, &answer));
            CLEAN_JSON *is = json_of(&answer);
            assert_int_equal(member_unsigned(is, "kind", 99), clients[i].kind);
            assert_string_equal(member_text(is, "subject", "?"), clients[i].subject);
            assert_memory_equal(member_text(is, "address", "?"), "127.0.0.1:", 10);
        }
        house_tls_free(ssl);
    }
}

/* TLS 1.3's client is done before the server has judged its certificate: it learns by its first read. */
static void a_certificate_that_is_no_good_is_not_let_in(void **state)
{
    (void)state;
    for (enum house_fault fault = FAULT_STRANGER; fault < FAULTS; fault++) {
        char byte;
        SSL *ssl = house_connect_faulty(&house, "ann", fault);
        if (!ssl)
            continue;
        (void)SSL_write(ssl, SMUGGLED, sizeof SMUGGLED - 1);
        if (SSL_read(ssl, &byte, 1) > 0)
            fail_msg("a certificate with fault %d was let in", (int)fault);
        house_tls_free(ssl);
    }
}

static void what_is_no_tls_is_not_let_in(void **state)
{
    (void)state;
    CLEAN_FD fd = house_connect_tcp(&house);
    char answer[64];
    send_string(fd, "GET /v1/session HTTP/1.1\r\n" HOST "\r\n");
    ssize_t len;
    while ((len = recv(fd, answer, sizeof answer, 0)) > 0)
        assert_null(memmem(answer, (size_t)len, "HTTP", 4));
}

/* What is asked */

static void answers_are_the_deciders(void **state)
{
    (void)state;
    CLEAN_ANSWER made = post("/v1/tenants", "{\"name\":\"red\",\"labels\":{\"a\":\"\\u00e4\"}}");
    assert_int_equal(made.status, 201);
    assert_string_equal(made.body, "{\"name\":\"red\",\"labels\":{\"a\":\"\xc3\xa4\"}}");
    assert_non_null(strcasestr(made.head, "\nCache-Control: no-store\r\n"));
    CLEAN_ANSWER refused = ask(&house, "DELETE /v1/tenants/red HTTP/1.1\r\n" HOST "\r\n");
    assert_problem(&refused, 409, "not-empty");
    assert_non_null(strstr(refused.body, "tenant red has 3 guests"));
    assert_non_null(strcasestr(refused.head, "\nRetry-After: 7\r\n"));
    CLEAN_ANSWER none =
        ask(&house, "POST /v1/tenants/red/guests/web/console HTTP/1.1\r\n" HOST
                    "Transfer-Encoding: chunked\r\n\r\n8\r\n{\"data\":\r\n7\r\n\"AAAA\"}\r\n0\r\n\r\n");
    assert_int_equal(none.status, 204);
}

static void an_answer_may_be_longer_than_a_message(void **state)
{
    (void)state;
    CLEAN_ANSWER answer = ask(&house, "GET /v1/tenants HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    assert_true(answer.body_len > 65536);
    CLEAN_JSON *is = json_of(&answer);
    assert_int_equal(json_array_size(member_at(is, "tenants")), MANY_TENANTS);
}

/* The tenants that it lets choose among are more than a message holds. */
static void a_page_is_made_of_such_an_answer_too(void **state)
{
    (void)state;
    CLEAN_ANSWER page = ask(&house, "GET /audit HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(page.status, 200);
    assert_non_null(strstr(page.body, "tenant-499"));
}

static void the_interface_describes_itself_to_anybody(void **state)
{
    (void)state;
    CLEAN_ANSWER answer = ask(&house, "GET /v1/openapi.json HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    CLEAN_JSON *is = json_of(&answer);
    const json_t *paths = member_at(is, "paths");
    for (size_t i = 0; i < OPERATIONS; i++) {
        char method[16] = "";
        for (size_t k = 0; operations[i].method[k]; k++)
            method[k] = (char)(operations[i].method[k] | ' ');
        assert_string_equal(
            member_text(member_at(member_at(paths, operations[i].path), method), "operationId", ""),
            operations[i].name);
    }
}

static void a_connection_is_kept_for_more_requests(void **state)
{
    (void)state;
    static const char text[] = "GET /v1/session HTTP/1.1\r\n" HOST "\r\n";
    CLEAN_FD fd = house_connect(&house);
    for (int i = 0; i < 5; i++) {
        CLEAN_ANSWER answer = {0};
        send_string(fd, text);
        assert_true(read_answer(fd, &answer));
        assert_int_equal(answer.status, 200);
    }
    send_string(fd, "GET /v1/session HTTP/1.1\r\n" HOST "\r\nGET /v1/host HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 2; i++) {
        CLEAN_ANSWER answer = {0};
        assert_true(read_answer(fd, &answer));
        assert_int_equal(answer.status, 200);
        assert_non_null(strstr(answer.body, i ? "callers" : "uid"));
    }
}

/* Uploads */

static void an_upload_reaches_the_decider_whole(void **state)
{
    (void)state;
    const size_t len = 5u << 20;
    CLEAN_FREE char *data = malloc(len);
    unsigned char hash[32];
    char head[256], digest[65];
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 >> 3);
    assert_int_equal(EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL), 1);
    hex_encode(digest, hash, sizeof hash);
    for (int chunked = 0; chunked < 2; chunked++) {
        CLEAN_ANSWER answer = {0};
        CLEAN_FD fd = house_connect(&house);
        (void)snprintf(head, sizeof head,
                       chunked ? IMAGE "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
                               : IMAGE "Content-Length: %zu\r\n\r\n",
                       len);
        send_string(fd, head);
        send_text(fd, data, len);
        if (chunked)
            send_text(fd, "\r\n0\r\n\r\n", 7);
        assert_true(read_answer(fd, &answer));
        assert_int_equal(answer.status, 201);
        CLEAN_JSON *is = json_of(&answer);
        assert_int_equal(member_unsigned(is, "size", 0), len);
        assert_string_equal(member_text(is, "digest", "") + 7, digest);
    }
}

static void an_upload_is_refused_before_its_first_byte(void **state)
{
    (void)state;
    static const char head[] = IMAGE "Content-Length: 13\r\nExpect: 100-continue\r\n\r\n";
    CLEAN_FD fd = house_connect(&house);
    char answer[32] = "";
    send_string(fd, head);
    assert_true(recv(fd, answer, 12, MSG_WAITALL) == 12);
    assert_string_equal(answer, "HTTP/1.1 507"); /* and no 100 */
}

static void an_upload_waits_to_be_allowed(void **state)
{
    (void)state;
    static const char head[] = IMAGE "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    CLEAN_FD fd = house_connect(&house);
    CLEAN_ANSWER is = {0};
    char answer[32] = "";
    send_string(fd, head);
    assert_true(recv(fd, answer, 25, MSG_WAITALL) == 25);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    send_text(fd, "abc", 3);
    assert_true(read_answer(fd, &is));
    assert_int_equal(is.status, 201);
}

static void an_upload_is_refused_while_it_comes(void **state)
{
    (void)state;
    CLEAN_ANSWER answer = ask(&house, IMAGE "Content-Length: 14\r\n\r\n01234567890123");
    assert_problem(&answer, 409, "unlucky");
}

static void an_empty_upload_is_one(void **state)
{
    (void)state;
    CLEAN_ANSWER answer = ask(&house, IMAGE "Content-Length: 0\r\n\r\n");
    assert_int_equal(answer.status, 201);
    assert_non_null(
        strstr(answer.body, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}

/* Streams */

static void a_stream_comes_whole_to_a_slow_reader(void **state)
{
    (void)state;
    CLEAN_ANSWER answer = ask(&house, "GET /v1/tenants/red/guests/web/console HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_len, 3u << 20);
    for (size_t i = 0; i < answer.body_len; i++)
        if ((uint8_t)answer.body[i] != (uint8_t)(i >> 8 ^ i))
            fail_msg("byte %zu is another", i);
}

static void events_are_server_sent(void **state)
{
    (void)state;
    CLEAN_ANSWER answer = ask(&house, "GET /v1/events HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strcasestr(answer.head, "\nContent-Type: text/event-stream\r\n"));
    assert_string_equal(answer.body, "id: 1\nevent: guest.state\ndata: {\"n\":1}\n\n"
                                     "id: 2\nevent: guest.state\ndata: {\"n\":2}\n\n"
                                     "id: 3\nevent: guest.state\ndata: {\"n\":3}\n\n");
}

/* Reads until the text has come. */
static bool comes(int fd, const char *text)
{
    char seen[4096];
    size_t len = 0;
    while (len < sizeof seen && recv(fd, seen + len, 1, 0) == 1)
        if (memmem(seen, ++len, text, strlen(text)))
            return true;
    return false;
}

static void a_silent_stream_of_events_shows_that_it_is_there(void **state)
{
    (void)state;
    static const char text[] = "GET /v1/events?after=0 HTTP/1.1\r\n" HOST "\r\n";
    CLEAN_FD fd = house_connect(&house);
    send_string(fd, text);
    assert_true(comes(fd, "{\"n\":3}"));
    assert_true(comes(fd, ":\n\n"));
}

/* What goes, and what goes wrong */

static unsigned long long said(const char *what)
{
    CLEAN_ANSWER answer = ask(&house, "GET /v1/host HTTP/1.1\r\n" HOST "\r\n");
    CLEAN_JSON *is = json_of(&answer);
    return member_unsigned(is, what, 0);
}

static void the_decider_learns_that_a_client_has_gone(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET /v1/tenants/red/guests/web/wait HTTP/1.1\r\n" HOST "\r\n",
        "GET /v1/tenants/red/guests/web/console?follow=true HTTP/1.1\r\n" HOST "\r\n",
        "GET /v1/events?after=3 HTTP/1.1\r\n" HOST "\r\n",
        IMAGE "Content-Length: 100000\r\n\r\nthe first of them",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const unsigned long long before = said("gone"), waits = said("waits");
        int fd = house_connect(&house);
        send_string(fd, texts[i]);
        while (said("waits") == waits)
            (void)poll(NULL, 0, 1);
        close(fd);
        while (said("callers") > 1)
            (void)poll(NULL, 0, 1);
        assert_true(said("gone") > before || i == 3); /* an upload's end may be seen before its client's */
    }
}

static void a_killed_parser_costs_its_connection_alone(void **state)
{
    (void)state;
    static const char text[] = "GET /v1/session HTTP/1.1\r\n" HOST "\r\n";
    pid_t parser[4];
    char byte;
    assert_int_equal(house_await_parsers(&house, 0), 0);
    assert_int_equal(house_parsers(&house, parser, 4), 1); /* waits, and is the first's */
    CLEAN_FD first = house_connect(&house);
    assert_int_equal(house_await_parsers(&house, 1), 1);
    CLEAN_FD second = house_connect(&house);
    assert_int_equal(house_await_parsers(&house, 2), 2);
    assert_int_equal(kill(parser[0], SIGKILL), 0);
    assert_int_equal(recv(first, &byte, 1, 0), 0);
    CLEAN_ANSWER answer = {0}, another = ask(&house, text);
    send_string(second, text);
    assert_true(read_answer(second, &answer));
    assert_int_equal(answer.status, 200);
    assert_int_equal(another.status, 200);
}

static void a_parser_that_ends_while_it_waits_is_followed_by_another(void **state)
{
    (void)state;
    pid_t before, after;
    assert_int_equal(house_await_parsers(&house, 0), 0);
    assert_int_equal(house_parsers(&house, &before, 1), 1);
    assert_int_equal(kill(before, SIGKILL), 0);
    CLEAN_ANSWER answer = ask(&house, "GET /v1/session HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(answer.status, 200);
    assert_int_equal(house_await_parsers(&house, 0), 0);
    assert_int_equal(house_parsers(&house, &after, 1), 1);
    assert_true(after != before);
}

static void a_parser_takes_one_connection_and_no_other(void **state)
{
    (void)state;
    pid_t parser[2];
    assert_int_equal(house_await_parsers(&house, 0), 0);
    assert_int_equal(house_parsers(&house, parser, 2), 1);
    CLEAN_FD first = house_connect(&house);
    assert_int_equal(house_await_parsers(&house, 1), 1);
    assert_int_equal(house_parsers(&house, parser, 2), 2);
    assert_false(house_parser_waits(&house, parser[0]));
    assert_true(house_parser_waits(&house, parser[1]));
}

static void nobody_has_more_connections_than_one_may(void **state)
{
    (void)state;
    int fd[17];
    char byte;
    for (size_t i = 0; i < 17; i++)
        fd[i] = house_connect(&house);
    assert_int_equal(recv(fd[16], &byte, 1, 0), 0);
    for (size_t i = 0; i < 17; i++)
        close(fd[i]);
    assert_int_equal(house_await_parsers(&house, 0), 0);
}

/* Hostile requests: each ends without anything having been asked, and what follows it in the same bytes is never one. */

static void hostile_requests_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what, *text;
        int status; /* 0: no answer, or any of 4xx and 5xx */
    } hostile[] = {
        {"two lengths",
         "GET /v1/session HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" SMUGGLED, 400},
        {"two equal lengths",
         "GET /v1/session HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" SMUGGLED, 400},
        {"a length and chunks",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
         400},
        {"chunks and a length",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" SMUGGLED,
         400},
        {"two encodings",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED,
         400},
        {"a list of encodings",
         "POST /v1/tenants HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
         400},
        {"an unknown encoding",
         "POST /v1/tenants HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED, 400},
        {"an encoding with a tab",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Transfer-Encoding:\tchunked\t\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" SMUGGLED,
         0},
        {"a space before the colon",
         "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length : 4\r\n\r\n{}{}" SMUGGLED, 0},
        {"a folded header",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Content-Type: application/json\r\n Content-Length: 4\r\n\r\n{}{}" SMUGGLED,
         0},
        {"a folded length", "GET /v1/session HTTP/1.1\r\n" HOST "Content-Length: 4\r\n 4\r\n\r\n" SMUGGLED,
         400},
        {"a folded encoding",
         "GET /v1/session HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n x\r\n\r\n" SMUGGLED, 400},
        {"a folded token", "GET /v1/session HTTP/1.1\r\n" HOST "Authorization: Bearer a\r\n b\r\n\r\n", 400},
        {"a length behind a space",
         "GET /v1/session HTTP/1.1\r\n Content-Length: 44\r\n" HOST "\r\n" SMUGGLED, 0},
        {"a header with a space in its name",
         "GET /v1/session HTTP/1.1\r\n" HOST "Content Length: 44\r\n\r\n" SMUGGLED, 400},
        {"a negative length", "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n" SMUGGLED, 0},
        {"a length with a sign", "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: +2\r\n\r\n{}" SMUGGLED,
         0},
        {"a length in hexadecimal",
         "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: 0x2\r\n\r\n{}" SMUGGLED, 0},
        {"a length that is two",
         "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: 2, 2\r\n\r\n{}" SMUGGLED, 0},
        {"a length beyond all bounds",
         "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n{}" SMUGGLED,
         0},
        {"a body that is too long", "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: 50000\r\n\r\n{}",
         413},
        {"a chunk's size that is none",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" SMUGGLED,
         0},
        {"a chunk's size with a sign",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" SMUGGLED,
         0},
        {"a chunk's size beyond all bounds",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n" SMUGGLED,
         0},
        {"a chunk longer than its size",
         "POST /v1/tenants HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n" SMUGGLED,
         0},
        {"no host", "GET /v1/session HTTP/1.1\r\n\r\n" SMUGGLED, 0},
        {"two hosts", "GET /v1/session HTTP/1.1\r\n" HOST HOST "\r\n" SMUGGLED, 400},
        {"two tokens",
         "GET /v1/session HTTP/1.1\r\n" HOST
         "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n" SMUGGLED,
         400},
        {"HTTP/1.0", "GET /v1/session HTTP/1.0\r\n" HOST "\r\n" SMUGGLED, 505},
        {"HTTP/2", "GET /v1/session HTTP/2.0\r\n" HOST "\r\n" SMUGGLED, 505},
        {"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0},
        {"HTTP/0.9", "GET /v1/session\r\n\r\n", 0},
        {"no method", " /v1/session HTTP/1.1\r\n" HOST "\r\n", 0},
        {"a body that is not taken",
         "GET /v1/session HTTP/1.1\r\n" HOST "Content-Length: 44\r\n\r\n" SMUGGLED, 400},
        {"another media type",
         "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Type: text/xml\r\nContent-Length: 2\r\n\r\n{}", 415},
        {"JSON that is none", "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{]", 400},
        {"a member twice",
         "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: 25\r\n\r\n{\"name\":\"a\", \"name\":\"b\"} ",
         400},
        {"a member that is not there", "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}",
         400},
        {"a path with an escape", "GET /v1/%73ession HTTP/1.1\r\n" HOST "\r\n", 404},
        {"a path with dots", "GET /v1/tenants/../session HTTP/1.1\r\n" HOST "\r\n", 404},
        {"a path that is whole", "GET http://localhost/v1/session HTTP/1.1\r\n" HOST "\r\n", 404},
        {"a parameter that is not there", "GET /v1/session?a=b HTTP/1.1\r\n" HOST "\r\n", 400},
        {"a parameter twice", "GET /v1/tenants?limit=1&limit=2 HTTP/1.1\r\n" HOST "\r\n", 400},
        {"a parameter with a zero", "GET /v1/tenants?after=a%00b HTTP/1.1\r\n" HOST "\r\n", 400},
        {"a parameter that is no text", "GET /v1/tenants?after=%ff HTTP/1.1\r\n" HOST "\r\n", 400},
        {"another method", "DELETE /v1/session HTTP/1.1\r\n" HOST "\r\n", 405},
        {"CONNECT", "CONNECT localhost:443 HTTP/1.1\r\n" HOST "\r\n", 404},
        {"another scheme", "GET /v1/session HTTP/1.1\r\n" HOST "Authorization: Basic YTpi\r\n\r\n", 401},
        {"a token with a space", "GET /v1/session HTTP/1.1\r\n" HOST "Authorization: Bearer a b\r\n\r\n",
         401},
        {"nothing but ends of lines", "\r\n\r\n\r\n\r\n\r\n\r\n", -1},
        {"a TLS hello", "\x16\x03\x01\x02\x01\x01\xfc\x03\x03", -1},
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        CLEAN_FD fd = house_connect(&house);
        CLEAN_ANSWER answer = {0}, second = {0};
        send_text(fd, hostile[i].text, strlen(hostile[i].text));
        if (hostile[i].status < 0)
            (void)shutdown(fd, SHUT_WR);
        const bool answered = read_answer(fd, &answer);
        if (hostile[i].status > 0 && answer.status != hostile[i].status)
            fail_msg("%s: %d", hostile[i].what, answer.status);
        if (answered && answer.status < 400)
            fail_msg("%s was answered: %d", hostile[i].what, answer.status);
        if (strstr(hostile[i].text, SMUGGLED) && read_answer(fd, &second))
            fail_msg("%s: what was in it was answered: %d", hostile[i].what, second.status);
    }
}

/* More than is taken of a head; and a line of it without an end. */
static void a_request_without_end_is_refused(void **state)
{
    (void)state;
    static const char *const begins[] = {"GET /v1/session?",
                                         "GET /v1/session HTTP/1.1\r\n" HOST "X: ", "GET"};
    static char rest[256 * 1024];
    memset(rest, 'a', sizeof rest);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        CLEAN_FD fd = house_connect(&house);
        CLEAN_ANSWER answer = {0};
        send_string(fd, begins[i]);
        send_text(fd, rest, sizeof rest);
        assert_true(!read_answer(fd, &answer) || answer.status >= 400);
    }
    CLEAN_ANSWER chunked = {0};
    CLEAN_FD fd = house_connect(&house);
    send_string(fd, "POST /v1/tenants HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n40000\r\n");
    send_text(fd, rest, sizeof rest);
    send_text(fd, "\r\n0\r\n\r\n", 7);
    assert_true(read_answer(fd, &chunked));
    assert_problem(&chunked, 413, "too-large");
}

/* Of a house of its own, whose time is short. */
static void a_request_that_takes_too_long_is_cut_off(void **state)
{
    (void)state;
    static const char *const slow[] = {"", "GET /v1/se",
                                       "POST /v1/tenants HTTP/1.1\r\n" HOST "Content-Length: 9000\r\n\r\n{"};
    struct house hurried;
    struct pollfd fds[3];
    char byte;
    house_build(&hurried, &(struct house_limits){8, 8, 1, 1, 1});
    for (size_t i = 0; i < 3; i++) {
        fds[i] = (struct pollfd){.fd = house_connect(&hurried), .events = POLLIN};
        send_string(fds[i].fd, slow[i]);
    }
    for (size_t open = 3; open;) {
        assert_true(poll(fds, 3, 50) >= 0);
        for (size_t i = 0; i < 3; i++) {
            if (fds[i].fd >= 0 && fds[i].revents) {
                assert_true(recv(fds[i].fd, &byte, 1, 0) <= 0);
                close(fds[i].fd);
                fds[i].fd =
                    -1; /* which poll passes over: the others go on a byte at a time, which is no request either */
                open--;
            } else if (fds[i].fd >= 0 && i > 0)
                send_text(fds[i].fd, "a", 1);
        }
    }
    assert_int_equal(house_await_parsers(&hurried, 0), 0);
    house_end(&hurried);
}

/* A request that is cut off anywhere is none, and does no harm. */
static void a_request_that_is_cut_off_is_none(void **state)
{
    (void)state;
    static const char text[] = IMAGE "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    for (size_t len = 0; len < strlen(text); len += 7) {
        CLEAN_FD fd = house_connect(&house);
        send_text(fd, text, len);
    }
    while (said("callers") > 1) /* those that still are on their way */
        (void)poll(NULL, 0, 1);
}

static int build(void **state)
{
    (void)state;
    house_build(&house, &(struct house_limits){32, 16, 5, 5, 1});
    return 0;
}

static int end(void **state)
{
    (void)state;
    house_end(&house);
    return 0;
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* who is refused may find it out by writing */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_by_the_unix_socket_is_who_the_kernel_says),
        cmocka_unit_test(who_asks_by_tls_is_who_the_certificate_says),
        cmocka_unit_test(a_certificate_that_is_no_good_is_not_let_in),
        cmocka_unit_test(what_is_no_tls_is_not_let_in),
        cmocka_unit_test(answers_are_the_deciders),
        cmocka_unit_test(an_answer_may_be_longer_than_a_message),
        cmocka_unit_test(a_page_is_made_of_such_an_answer_too),
        cmocka_unit_test(the_interface_describes_itself_to_anybody),
        cmocka_unit_test(a_connection_is_kept_for_more_requests),
        cmocka_unit_test(an_upload_reaches_the_decider_whole),
        cmocka_unit_test(an_upload_is_refused_before_its_first_byte),
        cmocka_unit_test(an_upload_waits_to_be_allowed),
        cmocka_unit_test(an_upload_is_refused_while_it_comes),
        cmocka_unit_test(an_empty_upload_is_one),
        cmocka_unit_test(a_stream_comes_whole_to_a_slow_reader),
        cmocka_unit_test(events_are_server_sent),
        cmocka_unit_test(a_silent_stream_of_events_shows_that_it_is_there),
        cmocka_unit_test(the_decider_learns_that_a_client_has_gone),
        cmocka_unit_test(a_killed_parser_costs_its_connection_alone),
        cmocka_unit_test(a_parser_that_ends_while_it_waits_is_followed_by_another),
        cmocka_unit_test(a_parser_takes_one_connection_and_no_other),
        cmocka_unit_test(nobody_has_more_connections_than_one_may),
        cmocka_unit_test(hostile_requests_are_refused),
        cmocka_unit_test(a_request_without_end_is_refused),
        cmocka_unit_test(a_request_that_takes_too_long_is_cut_off),
        cmocka_unit_test(a_request_that_is_cut_off_is_none),
    };
    return cmocka_run_group_tests_name("host/front", tests, build, end);
}
