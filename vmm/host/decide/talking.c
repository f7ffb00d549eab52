/* What is said to a guest: keys at its console, and a nonce to its agent. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "attest/evidence.h"
#include "vmm/agent/attest_answer.h"
#include "vmm/agent/client.h"
#include "vmm/host/decide/parts.h"

#define ANSWER_SECONDS 20

struct talk {
    struct call *call;
    int fd; /* the guest's end; -1 */
    struct job fetch;
    struct bytes answer;
    int rc;
    struct cofre_err err;
};

static void talk_free(void *data)
{
    struct talk *t = data;
    if (!t)
        return;
    if (t->fd >= 0) /* so that nothing waits for the guest any more */
        (void)shutdown(t->fd, SHUT_RDWR);
    job_end(&t->fetch);
    if (t->fd >= 0)
        close(t->fd);
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

static void ask(struct call *call, enum hands_file file, hands_answered *opened)
{
    struct talk *t = call->data;
    const struct hands_open open = {.file = file};
    t->rc = hands_client_ask(call->decider->hands, HANDS_OPEN, call->guest.run, &open, NULL, 0, opened, call,
                             &t->err);
    if (t->rc < 0)
        call_again(call, ended);
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
    call_again(call, ended);
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

static int fetch(void *context, struct cofre_err *err)
{
    struct talk *t = context;
    CLEAN_EVIDENCE evidence = {0};
    CLEAN_BYTES said = {0};
    uint8_t report_data[64] = {0};
    char request[AGENT_EVIDENCE_SIZE];
    int rc = hex_decode_some(&evidence.nonce, EVIDENCE_NONCE_MAX,
                             member_text(t->call->request.body, "nonce", ""), err);
    if (rc < 0)
        return rc;
    memcpy(report_data, evidence.nonce.data, evidence.nonce.len);
    agent_evidence_request(request, report_data, NULL);
    rc = agent_ask_connected(&said, t->fd, t->call->guest.name, request, ANSWER_SECONDS, err);
    if (rc == 0)
        rc = attest_answer_parse(&evidence, NULL, (const char *)said.data, err);
    return rc < 0 ? cofre_fail(err, COFRE_FAILED, "%s", err->text)
                  : evidence_write(&t->answer, &evidence, err);
}

static void fetched(void *context)
{
    struct talk *t = context;
    t->rc = t->fetch.rc;
    t->err = t->fetch.err;
    call_again(t->call, ended);
}

static void agent_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                         const struct cofre_err *why)
{
    struct call *call = context;
    struct talk *t = call->data;
    (void)answer;
    t->fd = fd;
    t->rc = rc;
    t->fetch = (struct job){.work = fetch, .done = fetched, .context = t};
    if (rc < 0)
        t->err = *why;
    else
        t->rc = job_begin(&t->fetch, call->decider->base, &t->err);
    if (t->rc < 0)
        call_again(call, ended);
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
