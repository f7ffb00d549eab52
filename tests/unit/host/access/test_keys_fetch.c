/* Key sets that are fetched: by a server of the test's own, which answers as it is told. */
#include "tests/unit/host/access/check.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <jose/jwk.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/collateral/download.h"
#include "attest/token/jwk.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/host/access/keys_fetch.h"
#include "vmm/host/access/token.h"

#define NOW 1800000000

enum mood { GOOD, MISSING, NO_SET, HUGE_SET, MOVED };
static _Atomic enum mood mood;
static atomic_uint asked;
static struct event_base *base;
static pthread_t thread;
static char *set_text, folder[] = "/tmp/cofre-fetch-XXXXXX";
static struct access_config config;

static void answer(struct evhttp_request *request, void *context)
{
    struct evbuffer *body = evbuffer_new();
    const enum mood now = mood;
    (void)context;
    asked++;
    if (now == MOVED)
        evhttp_add_header(evhttp_request_get_output_headers(request), "Location", "/elsewhere");
    if (now == GOOD || now == MOVED)
        evbuffer_add(body, set_text, strlen(set_text));
    if (now == NO_SET)
        evbuffer_add(body, "<html>", 6);
    for (int i = 0; now == HUGE_SET && i < 300; i++)
        evbuffer_add_printf(body, "%1024s", "{");
    evhttp_send_reply(request, now == MISSING ? 404 : now == MOVED ? 302 : 200, "so", body);
    evbuffer_free(body);
}

static void *serve(void *context)
{
    event_base_dispatch(base);
    return context;
}

static char *make_set(void)
{
    CLEAN_JOSE *cfg = quiet_jose();
    CLEAN_JSON *key = json_pack("{s:s, s:s}", "kty", "EC", "crv", "P-256");
    assert_true(jose_jwk_gen(cfg, key) && jose_jwk_pub(cfg, key));
    (void)json_object_del(key, "key_ops");
    CLEAN_JSON *set = json_pack("{s:[O]}", "keys", key);
    return json_dumps(set, 0);
}

static struct evhttp *http;
static int start(void **state)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    (void)state;
    assert_int_equal(download_prepare(NULL), 0);
    assert_non_null(mkdtemp(folder));
    set_text = make_set();
    assert_int_equal(evthread_use_pthreads(), 0);
    base = event_base_new();
    http = evhttp_new(base);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
    assert_non_null(bound);
    assert_int_equal(getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len), 0);
    evhttp_set_gencb(http, answer, NULL);
    struct access_issuer *issuer = &config.issuer[config.issuers++];
    (void)snprintf(issuer->name, sizeof issuer->name, "corp");
    (void)snprintf(issuer->key_file, sizeof issuer->key_file, "%s/keys", folder);
    (void)snprintf(issuer->key_url, sizeof issuer->key_url, "http://127.0.0.1:%d/keys",
                   ntohs(address.sin_port));
    return pthread_create(&thread, NULL, serve, NULL);
}

static int end(void **state)
{
    (void)state;
    event_base_loopexit(base, NULL);
    pthread_join(thread, NULL);
    evhttp_free(http);
    event_base_free(base);
    libevent_global_shutdown();
    free(set_text);
    (void)unlink(config.issuer[0].key_file);
    return rmdir(folder);
}

static void a_set_is_fetched_and_fetched_again_when_it_is_time(void **state)
{
    struct keys_fetch fetch = {0};
    struct token_key_file file = {0};
    struct cofre_err err = {""};
    (void)state;
    mood = GOOD;
    const unsigned before = asked;
    assert_int_equal(keys_fetch_round(&fetch, &config, NOW), KEYS_FETCH_INTERVAL);
    assert_int_equal(keys_fetch_round(&fetch, &config, NOW + 100), KEYS_FETCH_INTERVAL - 100);
    assert_int_equal(asked, before + 1);
    assert_int_equal(keys_fetch_round(&fetch, &config, NOW + KEYS_FETCH_INTERVAL), KEYS_FETCH_INTERVAL);
    assert_int_equal(asked, before + 2);
    struct stat st;
    assert_int_equal(stat(config.issuer[0].key_file, &st), 0);
    assert_int_equal(token_key_file_renew(&file, &config.issuer[0], st.st_mtim.tv_sec, &err), 0);
    assert_int_equal(file.keys.count, 1);
    token_key_file_free(&file);
}

static void what_is_no_set_leaves_the_file_as_it_is_and_is_asked_for_ever_less_often(void **state)
{
    static const enum mood bad[] = {MISSING, NO_SET, HUGE_SET, MOVED};
    struct keys_fetch fetch = {0};
    struct cofre_err err = {""};
    CLEAN_BYTES first = {0};
    int64_t now = NOW, pause = KEYS_FETCH_AGAIN;
    (void)state;
    mood = GOOD;
    (void)keys_fetch_round(&fetch, &config, now);
    assert_int_equal(file_read(&first, config.issuer[0].key_file, TOKEN_FILE_MAX, &err), 0);
    now += KEYS_FETCH_INTERVAL;
    for (size_t i = 0; i < 12; i++) {
        CLEAN_BYTES kept = {0};
        mood = bad[i % 4];
        const int64_t next = keys_fetch_round(&fetch, &config, now);
        assert_int_equal(next, pause < KEYS_FETCH_INTERVAL ? pause : KEYS_FETCH_INTERVAL);
        assert_int_equal(file_read(&kept, config.issuer[0].key_file, TOKEN_FILE_MAX, &err), 0);
        assert_true(view_equal(bytes_view(&kept), bytes_view(&first)));
        now += next;
        pause = 2 * next;
    }
    mood = GOOD;
    assert_int_equal(keys_fetch_round(&fetch, &config, now), KEYS_FETCH_INTERVAL);
}

static void the_process_ends_with_who_started_it(void **state)
{
    int ends[2];
    struct cofre_err err;
    (void)state;
    mood = GOOD;
    assert_int_equal(pipe(ends), 0);
    close(ends[1]);
    assert_int_equal(keys_fetch_run(&config, ends[0], &err), 0);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_fetched_and_fetched_again_when_it_is_time),
        cmocka_unit_test(what_is_no_set_leaves_the_file_as_it_is_and_is_asked_for_ever_less_often),
        cmocka_unit_test(the_process_ends_with_who_started_it),
    };
    return cmocka_run_group_tests(tests, start, end);
}
