/* What is said to a guest: keys at its console, and a nonce to its agent. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "vmm/agent/attest_answer.h"
#include "vmm/agent/client.h"
#include "vmm/host/decide/parts.h"

#define ANSWER_SECONDS 20

struct talk {
    struct call *call;
    int fd; /* the guest's end; -1 */
    pthread_t thread;
    bool threaded;
    struct event *over;
    struct bytes answer;
    int rc;
    struct cofre_err err;
};

static void talk_free(void *data)
{
    struct talk *t = data;
    if (!t)
        return;
    if (t->threaded)
        pthread_join(t->thread, NULL);
    if (t->fd >= 0)
        close(t->fd);
    if (t->over)
        event_free(t->over);
    bytes_free(&t->answer);
    free(t);
}

static int begin(struct call *call, struct cofre_err *err)
{
    struct talk *t = calloc(1, sizeof *t);
    if (call->free_data)
        call->free_data(call->data);
    call->data = t;
    call->free_data = talk_free;
    if (!t)
        return cofre_fail(err, COFRE_FAILED, "no memory to talk to a guest");
    t->call = call;
    t->fd = -1;
    if (call->guest.state != GUEST_RUNNING)
        return cofre_fail(err, COFRE_USAGE, "guest %s is %s, and hears nothing", call->guest.name,
                          guest_state_names[call->guest.state]);
    return 0;
}

static int ended(struct call *call, struct cofre_err *err)
{
    struct talk *t = call->data;
    if (t->rc < 0)
        return cofre_fail(err, (enum cofre_error) - t->rc, "%s", t->err.text);
    if (!t->answer.len)
        return 0;
    json_t *evidence = NULL;
    int rc = json_read(&evidence, bytes_view(&t->answer), COFRE_FAILED, err);
    if (rc < 0)
        return rc;
    call->answer = json_pack("{s:o}", "evidence", evidence);
    return call->answer ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}

static void second_half(struct call *call)
{
    call->hold = false;
    call->then = NULL;
    call->decided = true;
    call->work = ended;
    call_later(call);
}

static void ask(struct call *call, enum hands_file file, hands_answered *opened)
{
    struct talk *t = call->data;
    const struct hands_open open = {.file = file};
    t->rc = hands_client_ask(call->decider->hands, HANDS_OPEN, call->guest.run, &open, NULL, 0, opened, call,
                             &t->err);
    if (t->rc < 0)
        second_half(call);
}

/* Keys */

static void console_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                           const struct cofre_err *why)
{
    struct call *call = context;
    struct talk *t = call->data;
    CLEAN_BYTES keys = {0};
    (void)answer;
    t->fd = fd;
    t->rc = rc;
    if (rc < 0)
        t->err = *why;
    else
        t->rc = base64_decode(&keys, 4096, member_text(call->request.body, "data", ""), &t->err);
    if (t->rc == 0 && write(fd, keys.data, keys.len) != (ssize_t)keys.len)
        t->rc =
            cofre_fail(&t->err, COFRE_LACKING, "the guest does not read its console: %s", strerror(errno));
    second_half(call);
}

static void open_input(struct call *call)
{
    ask(call, HANDS_FILE_INPUT, console_opened);
}

int work_guest_input(struct call *call, struct cofre_err *err)
{
    int rc = begin(call, err);
    call->begun = call->hold = rc == 0;
    call->then = open_input;
    return rc;
}

/* Evidence: the agent's answer is the guest's word, and the verifier's to judge. */

static int fetch(struct talk *t, struct cofre_err *err)
{
    CLEAN_EVIDENCE evidence = {0};
    CLEAN_BYTES said = {0};
    uint8_t report_data[64] = {0};
    char request[AGENT_EVIDENCE_SIZE];
    int rc = hex_decode_some(&evidence.nonce, EVIDENCE_NONCE_MAX,
                             member_text(t->call->request.body, "nonce", ""), err);
    if (rc < 0)
        return rc;
    memcpy(report_data, evidence.nonce.data, evidence.nonce.len);
    agent_evidence_request(request, report_data);
    rc = agent_ask_connected(&said, t->fd, t->call->guest.name, request, ANSWER_SECONDS, err);
    if (rc == 0)
        rc = attest_answer_parse(&evidence, (const char *)said.data, err);
    return rc < 0 ? cofre_fail(err, COFRE_FAILED, "%s", err->text)
                  : evidence_write(&t->answer, &evidence, err);
}

static void *ask_agent(void *context)
{
    struct talk *t = context;
    t->rc = fetch(t, &t->err);
    event_active(t->over, EV_READ, 0);
    return NULL;
}

static void over(evutil_socket_t fd, short events, void *context)
{
    struct talk *t = context;
    (void)fd;
    (void)events;
    pthread_join(t->thread, NULL);
    t->threaded = false;
    second_half(t->call);
}

static void agent_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                         const struct cofre_err *why)
{
    struct call *call = context;
    struct talk *t = call->data;
    (void)answer;
    t->fd = fd;
    t->rc = rc;
    if (rc < 0)
        t->err = *why;
    t->over = event_new(call->decider->base, -1, 0, over, t);
    if (rc == 0 && t->over && pthread_create(&t->thread, NULL, ask_agent, t) == 0) {
        t->threaded = true;
        return;
    }
    if (rc == 0)
        t->rc = cofre_fail(&t->err, COFRE_FAILED, "no thread to talk to a guest in");
    second_half(call);
}

static void open_agent(struct call *call)
{
    ask(call, HANDS_FILE_VSOCK, agent_opened);
}

int work_guest_evidence(struct call *call, struct cofre_err *err)
{
    int rc = begin(call, err);
    call->begun = call->hold = rc == 0;
    call->then = open_agent;
    return rc;
}
