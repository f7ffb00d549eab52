/* The HTTPS server by itself: what it bounds, and that whoever dawdles, lies or leaves costs nobody else anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/service/http/server.h"
#include "tests/unit/service/client.h"

struct fixture {
    struct identity identity, client;
    SSL_CTX *tls;
    int listening;
    uint16_t port;
    struct server *server;
    /* A request for /hold stays here until a test lets it go. */
    struct request *held[8];
    unsigned count;
    pthread_mutex_t lock;
    sem_t holding;
};

static int say_hello(struct request *r)
{
    const char *who = request_parameter(r, "who");
    X509 *cert = request_certificate(r);
    char name[64] = "";
    if (cert)
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof name);
    request_answer_json(r, 200,
                        json_pack("{s:s, s:s, s:s, s:I, s:s}", "method", request_method(r), "path",
                                  request_path(r), "who", who ? who : "", "body",
                                  (json_int_t)request_body(r).len, "client", name));
    return 0;
}

static void handle(void *context, struct request *r)
{
    struct fixture *f = context;
    if (strcmp(request_path(r), "/hold") == 0) {
        pthread_mutex_lock(&f->lock);
        f->held[f->count++] = r;
        pthread_mutex_unlock(&f->lock);
        sem_post(&f->holding);
    } else if (strcmp(request_path(r), "/nowhere") == 0) {
        request_problem(r, 404, "not-found", "there is no %s", request_path(r));
    } else {
        say_hello(r);
    }
}

static void let_go(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    for (unsigned i = 0; i < f->count; i++)
        request_answer(f->held[i], 200, "text/plain", (struct view){(const uint8_t *)"let go", 6});
    f->count = 0;
    pthread_mutex_unlock(&f->lock);
}

static void start_with(struct fixture *f, struct server_limits limits, unsigned loops)
{
    struct cofre_err err = {""};
    const struct server_config config = {.listening = &f->listening,
                                         .listeners = 1,
                                         .tls = f->tls,
                                         .loops = loops,
                                         .limits = limits,
                                         .handle = handle,
                                         .context = f};
    if (server_start(&f->server, &config, &err) < 0)
        fail_msg("%s", err.text);
}

static const struct server_limits usual = {
    .connections = 64, .pending = 8, .headers = 8192, .body = 4096, .seconds = 30};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    f->identity = identity_new("server");
    f->client = identity_new("a client");
    f->tls = server_tls(&f->identity, f->client.cert);
    f->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_mutex_init(&f->lock, NULL);
    sem_init(&f->holding, 0, 0);
    if (bind(f->listening, (const struct sockaddr *)&at, len) < 0 || listen(f->listening, 16) < 0 ||
        getsockname(f->listening, (struct sockaddr *)&at, &len) < 0)
        return -1;
    f->port = ntohs(at.sin_port);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->server) {
        let_go(f);
        (void)server_drain(f->server, 5000);
        server_free(f->server);
    }
    SSL_CTX_free(f->tls);
    identity_free(&f->identity);
    identity_free(&f->client);
    close(f->listening);
    free(f);
    return 0;
}

#define GET(PATH) "GET " PATH " HTTP/1.1\r\nHost: x\r\n\r\n"

static void requests_are_answered_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    start_with(f, usual, 1);
    struct client c = client_new(f->port);
    assert_int_equal(client_ask(&c, GET("/a%20b?who=me%26you&x=1"), answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "\"path\":\"/a b\""));
    assert_non_null(strstr(answer, "\"who\":\"me&you\""));
    assert_non_null(strstr(answer, "Content-Type: application/json"));
    assert_int_equal(client_ask(&c, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", answer,
                                sizeof answer),
                     200);
    assert_non_null(strstr(answer, "\"method\":\"POST\""));
    assert_non_null(strstr(answer, "\"body\":5"));
    assert_int_equal(client_ask(&c, GET("/nowhere"), answer, sizeof answer), 404);
    assert_int_equal(client_ask(&c, GET("/again"), answer, sizeof answer), 200);
    assert_int_equal(server_count(f->server).accepted, 1);
    client_close(&c);
}

static void a_problem_says_what_and_why(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    start_with(f, usual, 1);
    struct client c = client_new(f->port);
    assert_int_equal(client_ask(&c, GET("/nowhere"), answer, sizeof answer), 404);
    assert_non_null(strstr(answer, "Content-Type: application/problem+json"));
    json_t *o = json_loads(strstr(answer, "\r\n\r\n") + 4, 0, NULL);
    assert_non_null(o);
    assert_int_equal(json_integer_value(json_object_get(o, "status")), 404);
    assert_string_equal(json_string_value(json_object_get(o, "title")), "Not Found");
    assert_string_equal(json_string_value(json_object_get(o, "code")), "not-found");
    assert_string_equal(json_string_value(json_object_get(o, "detail")), "there is no /nowhere");
    json_decref(o);
    client_close(&c);
}

/* Else each would take 40 ms: its body would wait until the client has acknowledged its headers. */
static void answers_go_out_at_once(void **state)
{
    struct fixture *f = *state;
    int on = 0;
    socklen_t len = sizeof on;
    start_with(f, usual, 1);
    assert_true(server_drain(f->server, 5000));
    server_free(f->server);
    f->server = NULL;
    struct client c = client_connect(f->port); /* what the server would have taken */
    int taken = accept(f->listening, NULL, NULL);
    assert_int_equal(getsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_equal(on, 1);
    close(taken);
    client_close(&c);
}

static void *answer_later(void *context)
{
    struct fixture *f = context;
    sem_wait(&f->holding);
    let_go(f);
    return NULL;
}

static void another_thread_may_answer(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    pthread_t thread;
    start_with(f, usual, 2);
    struct client c = client_new(f->port);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&thread, NULL, answer_later, f), 0);
        assert_int_equal(client_ask(&c, GET("/hold"), answer, sizeof answer), 200);
        assert_non_null(strstr(answer, "let go"));
        pthread_join(thread, NULL);
    }
    assert_int_equal(server_count(f->server).requests, 3);
    client_close(&c);
}

static void a_client_is_known_by_a_certificate_that_is_vouched_for(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    struct identity stranger = identity_new("a stranger");
    start_with(f, usual, 1);
    struct client c = client_connect(f->port);
    assert_true(client_handshake(&c, &f->client, TLS1_3_VERSION));
    assert_int_equal(client_ask(&c, GET("/"), answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "\"client\":\"a client\""));
    client_close(&c);
    c = client_new(f->port);
    assert_int_equal(client_ask(&c, GET("/"), answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "\"client\":\"\""));
    client_close(&c);
    c = client_connect(f->port); /* TLS 1.3: the client learns of it when it reads */
    (void)client_handshake(&c, &stranger, TLS1_3_VERSION);
    assert_int_equal(client_ask(&c, GET("/"), answer, sizeof answer), 0);
    client_close(&c);
    identity_free(&stranger);
}

static void older_tls_and_plain_http_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char plain[] = GET("/");
    char answer[4096];
    start_with(f, usual, 1);
    struct client c = client_connect(f->port);
    assert_false(client_handshake(&c, NULL, TLS1_2_VERSION));
    client_close(&c);
    c = client_connect(f->port);
    assert_int_equal(write(c.fd, plain, sizeof plain - 1), sizeof plain - 1);
    client_wait_for_end(&c);
    client_close(&c);
    assert_int_equal(server_count(f->server).requests, 0);
    c = client_new(f->port);
    assert_int_equal(client_ask(&c, GET("/"), answer, sizeof answer), 200);
    client_close(&c);
}

static void too_large_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    static char request[40000], answer[4096];
    start_with(f, usual, 1);
    struct client c = client_new(f->port);
    int n = snprintf(request, sizeof request, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4097\r\n\r\n");
    memset(request + n, 'x', 4097);
    assert_int_equal(client_ask(&c, request, answer, sizeof answer), 413);
    assert_non_null(strstr(answer, "the request's body has 4097 bytes, and may have 4096"));
    client_close(&c);
    c = client_new(f->port); /* evhttp's own bound, at what is announced */
    assert_int_equal(client_ask(&c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
                                answer, sizeof answer),
                     413);
    client_close(&c);
    c = client_new(f->port);
    memset(request, 'x', sizeof request - 1);
    memcpy(request, "GET / HTTP/1.1\r\nA: ", 19);
    (void)client_send(&c, request);
    int status = client_answer(&c, answer, sizeof answer);
    assert_true(status == 0 || status == 400 || status == 413);
    client_close(&c);
    assert_int_equal(server_count(f->server).requests, 1);
}

static void what_cannot_be_decoded_is_refused(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    static const char *const requests[] = {GET("/a%00b"), "GARBAGE\r\n\r\n", "GET\r\n\r\n", GET("//")};
    start_with(f, usual, 1);
    for (size_t i = 0; i < 3; i++) {
        struct client c = client_new(f->port);
        int status = client_ask(&c, requests[i], answer, sizeof answer);
        assert_true(status == 400 || status == 0 || status == 501);
        client_close(&c);
    }
    struct client c = client_new(f->port);
    assert_int_equal(client_ask(&c, GET("/"), answer, sizeof answer), 200);
    client_close(&c);
}

static void another_version_of_http_is_refused(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    start_with(f, usual, 1);
    struct client c = client_new(f->port);
    assert_int_equal(client_ask(&c, "GET / HTTP/0.9\r\nHost: x\r\n\r\n", answer, sizeof answer), 505);
    assert_non_null(strstr(answer, "\"code\":\"version\""));
    client_wait_for_end(&c);
    client_close(&c);
    c = client_new(f->port);
    assert_int_equal(client_ask(&c, "GET / HTTP/2.0\r\nHost: x\r\n\r\n", answer, sizeof answer), 400);
    client_close(&c);
}

static void more_requests_than_there_is_room_for_are_told_to_come_later(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    struct server_limits limits = usual;
    struct client c[3];
    limits.pending = 2;
    start_with(f, limits, 1);
    for (int i = 0; i < 3; i++)
        c[i] = client_new(f->port);
    for (int i = 0; i < 2; i++) {
        assert_true(client_send(&c[i], GET("/hold")));
        sem_wait(&f->holding);
    }
    assert_int_equal(client_ask(&c[2], GET("/"), answer, sizeof answer), 503);
    assert_non_null(strstr(answer, "Retry-After: 1"));
    assert_non_null(strstr(answer, "\"code\":\"busy\""));
    let_go(f);
    for (int i = 0; i < 2; i++)
        assert_int_equal(client_answer(&c[i], answer, sizeof answer), 200);
    assert_int_equal(client_ask(&c[2], GET("/"), answer, sizeof answer), 200);
    assert_int_equal(server_count(f->server).refused, 1);
    for (int i = 0; i < 3; i++)
        client_close(&c[i]);
}

static void connections_beyond_the_limit_wait_for_one_to_end(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    struct server_limits limits = usual;
    struct client c[3];
    limits.connections = 2;
    start_with(f, limits, 1);
    for (int i = 0; i < 2; i++) {
        c[i] = client_new(f->port);
        assert_int_equal(client_ask(&c[i], GET("/"), answer, sizeof answer), 200);
    }
    c[2] = client_connect(f->port); /* by the kernel; the server has not taken it */
    assert_int_equal(client_ask(&c[0], GET("/"), answer, sizeof answer), 200);
    assert_int_equal(server_count(f->server).accepted, 2);
    client_close(&c[0]);
    assert_true(client_handshake(&c[2], NULL, TLS1_3_VERSION));
    assert_int_equal(client_ask(&c[2], GET("/"), answer, sizeof answer), 200);
    assert_int_equal(server_count(f->server).connections, 2);
    client_close(&c[1]);
    client_close(&c[2]);
}

/* Clients begin bodies that they do not end. Those that hold most are ended; who asks little is answered. */
static void bodies_that_never_end_hold_so_much_and_no_more(void **state)
{
    struct fixture *f = *state;
    static char part[30000], answer[4096];
    struct server_limits limits = usual;
    struct client c[8], modest;
    limits.body = 1 << 20;
    limits.held = 100000;
    start_with(f, limits, 1);
    int n = snprintf(part, sizeof part, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    memset(part + n, 'x', sizeof part - 1 - (size_t)n);
    modest = client_new(f->port);
    assert_true(client_send(&modest, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx"));
    for (size_t i = 0; i < 8; i++) {
        c[i] = client_new(f->port);
        assert_true(client_send(&c[i], part));
    }
    while (server_count(f->server).too_much < 5) /* of 8, 3 fit */
        sched_yield();
    assert_int_equal(client_ask(&modest, "y", answer, sizeof answer), 200);
    for (int i = 0; i < 20; i++) /* what was answered is held no more */
        assert_int_equal(client_ask(&modest, GET("/"), answer, sizeof answer), 200);
    assert_int_equal(server_count(f->server).too_much, 5);
    for (size_t i = 0; i < 8; i++)
        client_close(&c[i]);
    client_close(&modest);
}

/* One says nothing, one stops in the middle of a request, one sends a byte now and then; each is ended. */
static void who_dawdles_is_ended(void **state)
{
    struct fixture *f = *state;
    struct server_limits limits = usual;
    limits.seconds = 1;
    start_with(f, limits, 1);
    struct client silent = client_connect(f->port), half = client_new(f->port);
    assert_true(client_send(&half, "GET / HTTP/1.1\r\nHos"));
    client_wait_for_end(&silent);
    client_wait_for_end(&half);
    struct client slow = client_new(f->port);
    while (client_send(&slow, "x") && server_count(f->server).connections)
        continue;
    client_wait_for_end(&slow);
    assert_int_equal(server_count(f->server).requests, 0);
    client_close(&silent);
    client_close(&half);
    client_close(&slow);
}

static void a_client_that_left_is_answered_all_the_same(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    start_with(f, usual, 1);
    struct client c = client_new(f->port);
    assert_true(client_send(&c, GET("/hold")));
    sem_wait(&f->holding);
    client_close(&c);
    let_go(f);
    c = client_new(f->port);
    assert_int_equal(client_ask(&c, GET("/"), answer, sizeof answer), 200);
    client_close(&c);
    assert_true(server_drain(f->server, 5000));
    assert_int_equal(server_count(f->server).pending, 0);
}

static void what_is_under_way_is_answered_at_the_end(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    start_with(f, usual, 2);
    struct client c = client_new(f->port);
    assert_true(client_send(&c, GET("/hold")));
    sem_wait(&f->holding);
    assert_false(server_drain(f->server, 50));
    let_go(f);
    assert_int_equal(client_answer(&c, answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "Connection: close"));
    assert_true(server_drain(f->server, 5000));
    client_close(&c);
}

static void new_certificates_are_for_new_connections(void **state)
{
    struct fixture *f = *state;
    char answer[4096];
    struct identity renewed = identity_new("renewed");
    start_with(f, usual, 1);
    struct client before = client_new(f->port);
    SSL_CTX *tls = server_tls(&renewed, NULL);
    server_use_tls(f->server, tls);
    SSL_CTX_free(tls);
    struct client after = client_new(f->port);
    assert_int_equal(client_ask(&before, GET("/"), answer, sizeof answer), 200);
    assert_int_equal(client_ask(&after, GET("/"), answer, sizeof answer), 200);
    X509 *seen = SSL_get1_peer_certificate(after.ssl);
    assert_int_equal(X509_cmp(seen, renewed.cert), 0);
    X509_free(seen);
    client_close(&before);
    client_close(&after);
    identity_free(&renewed);
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(requests_are_answered_one_after_the_other),
        T(a_problem_says_what_and_why),
        T(answers_go_out_at_once),
        T(another_thread_may_answer),
        T(a_client_is_known_by_a_certificate_that_is_vouched_for),
        T(older_tls_and_plain_http_are_refused),
        T(too_large_requests_are_refused),
        T(what_cannot_be_decoded_is_refused),
        T(another_version_of_http_is_refused),
        T(more_requests_than_there_is_room_for_are_told_to_come_later),
        T(connections_beyond_the_limit_wait_for_one_to_end),
        T(bodies_that_never_end_hold_so_much_and_no_more),
        T(who_dawdles_is_ended),
        T(a_client_that_left_is_answered_all_the_same),
        T(what_is_under_way_is_answered_at_the_end),
        T(new_certificates_are_for_new_connections),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
