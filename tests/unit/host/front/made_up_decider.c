#include "tests/unit/host/front/made_up_decider.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/front/caller.h"

struct decider {
    struct event_base *base;
    struct callers *callers;
    unsigned waits; /* requests that were not answered, so far */
    unsigned gone;  /* callers that went while something was open */
};

/* session.show: the identity of the pair, and the token of the message. */
static void show_session(struct caller *c, const struct message_request *r)
{
    const struct identity *who = caller_identity(c);
    CLEAN_JSON *out =
        json_pack("{s:i, s:i, s:s, s:s, s:s}", "kind", (int)who->kind, "uid", (int)who->uid, "subject",
                  who->subject, "address", who->address, "token", r->token ? r->token : "");
    caller_answer(c, r->id, 200, out);
}

static void list_tenants(struct caller *c, const struct message_request *r)
{
    char name[SCHEMA_NAME_MAX + 1];
    CLEAN_JSON *list = json_array();
    for (int i = 0; i < MANY_TENANTS; i++) {
        (void)snprintf(name, sizeof name, "tenant-%d", i);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:{}, s:s}", "name", name, "quotas", "created", "2026-01-31T12:00:00Z"));
    }
    CLEAN_JSON *out = json_pack("{s:O}", "tenants", list);
    caller_answer(c, r->id, 200, out);
}

/* The upload's bytes: how many, and what digest they have. */
struct upload {
    struct caller *caller;
    uint64_t id, len;
    EVP_MD_CTX *digest;
    struct event *event;
};

static void upload_end(struct upload *u)
{
    unsigned char hash[32];
    char text[65];
    caller_set_data(u->caller, NULL);
    (void)EVP_DigestFinal_ex(u->digest, hash, NULL);
    hex_encode(text, hash, sizeof hash);
    CLEAN_JSON *out = json_pack("{s:s+, s:I}", "digest", "sha256:", text, "size", (json_int_t)u->len);
    caller_answer(u->caller, u->id, 201, out);
    close(event_get_fd(u->event));
    event_free(u->event);
    EVP_MD_CTX_free(u->digest);
    free(u);
}

static void on_upload(evutil_socket_t fd, short what, void *context)
{
    struct upload *u = context;
    static char buffer[65536];
    ssize_t len;
    (void)what;
    while ((len = read(fd, buffer, sizeof buffer)) > 0) {
        u->len += (size_t)len;
        (void)EVP_DigestUpdate(u->digest, buffer, (size_t)len);
    }
    if (len == 0)
        upload_end(u);
}

/* An upload that announces 13 bytes is refused before; one of 14 when it has begun. */
static void take_upload(struct decider *d, struct caller *c, const struct message_request *r)
{
    int fd;
    if (r->upload == 13) {
        caller_problem(c, r->id, 507, 0, "no-room", "13 bytes are too many");
        return;
    }
    if (caller_upload(c, r->id, &fd, NULL) < 0)
        abort();
    if (r->upload == 14) {
        close(fd);
        caller_problem(c, r->id, 409, 0, "unlucky", "14 bytes are too many, after all");
        return;
    }
    struct upload *u = calloc(1, sizeof *u);
    *u = (struct upload){.caller = c, .id = r->id, .digest = EVP_MD_CTX_new()};
    (void)EVP_DigestInit_ex(u->digest, EVP_sha256(), NULL);
    u->event = event_new(d->base, fd, EV_READ | EV_PERSIST, on_upload, u);
    (void)event_add(u->event, NULL);
    caller_set_data(c, u);
}

static void stream_events(struct caller *c, const struct message_request *r)
{
    caller_begin(c, r->id, 200, "text/event-stream");
    for (uint64_t i = 1; i <= 3; i++) {
        CLEAN_JSON *event = json_pack("{s:I}", "n", (json_int_t)i);
        caller_event(c, r->id, "guest.state", i, event);
    }
    if (member_text(r->query, "after", NULL)) /* goes on without a word */
        return;
    caller_end(c, r->id);
}

/* 3 MiB, of which each byte says where it is; with "follow" no end. */
#define CONSOLE_BYTES (3u << 20)
static void console(struct caller *c, const struct message_request *r)
{
    CLEAN_FREE uint8_t *data = malloc(CONSOLE_BYTES);
    for (size_t i = 0; data && i < CONSOLE_BYTES; i++)
        data[i] = (uint8_t)(i >> 8 ^ i);
    caller_begin(c, r->id, 200, "application/octet-stream");
    if (!member_boolean(r->query, "follow", false)) {
        caller_chunk(c, r->id, (struct view){data, CONSOLE_BYTES});
        caller_end(c, r->id);
    }
}

static void on_request(void *context, struct caller *c, struct message_request *r)
{
    struct decider *d = context;
    switch (operation_number(r->operation)) {
    case OPERATION_SESSION_SHOW:
        show_session(c, r);
        break;
    case OPERATION_TENANT_LIST:
        list_tenants(c, r);
        break;
    case OPERATION_TENANT_CREATE:
        caller_answer(c, r->id, 201, r->body);
        break;
    case OPERATION_TENANT_DELETE:
        caller_problem(c, r->id, 409, 7, "not-empty", "tenant %s has %d guests", r->part.text[0], 3);
        break;
    case OPERATION_GUEST_INPUT:
        caller_empty(c, r->id, 204);
        break;
    case OPERATION_GUEST_WAIT: /* for ever */
        break;
    case OPERATION_GUEST_CONSOLE:
        console(c, r);
        break;
    case OPERATION_IMAGE_ADD:
        take_upload(d, c, r);
        break;
    case OPERATION_EVENT_STREAM:
        stream_events(c, r);
        break;
    case OPERATION_HOST_SHOW: {
        CLEAN_JSON *out = json_pack("{s:I, s:I, s:I}", "callers", (json_int_t)callers_count(d->callers),
                                    "waits", (json_int_t)d->waits, "gone", (json_int_t)d->gone);
        caller_answer(c, r->id, 200, out);
        break;
    }
    default:
        caller_problem(c, r->id, 404, 0, "no-such-thing", "%s is not done here", r->operation->name);
    }
    d->waits += caller_open(c) != 0;
}

static void on_gone(void *context, struct caller *c)
{
    struct decider *d = context;
    struct upload *u = caller_data(c);
    d->gone += caller_open(c) != 0;
    if (!u)
        return;
    close(event_get_fd(u->event));
    event_free(u->event);
    EVP_MD_CTX_free(u->digest);
    free(u);
}

static void on_gate(evutil_socket_t fd, short what, void *context)
{
    char byte;
    (void)what;
    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        (void)event_base_loopbreak(((struct decider *)context)->base);
}

int made_up_decider(int gate)
{
    struct decider d = {.base = event_base_new()};
    const struct callers_handler handler = {on_request, on_gone, NULL, &d};
    const struct callers_limits limits = {.waiting = 8u << 20};
    struct cofre_err err;
    if (callers_new(&d.callers, d.base, gate, &handler, &limits, &err) < 0)
        return 1;
    struct event *end = event_new(d.base, gate, EV_READ | EV_PERSIST, on_gate, &d);
    (void)event_add(end, NULL);
    (void)event_base_dispatch(d.base);
    event_free(end);
    callers_free(d.callers);
    event_base_free(d.base);
    return 0;
}
