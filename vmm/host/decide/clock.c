/*
 * Heads of the log that a TPM vouches for: at the start, each minute in which the log grew, and at the end. What it says is an entry of
 * the log; that entry is no growth that would be asked about. A TPM that is slow or fails holds up nothing: that is told, once in the
 * log and in the metrics, and the next growth asks again.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/log/clock.h"
#include "vmm/base/file.h"
#include "vmm/host/audit/about.h"
#include "vmm/host/clock/clock.h"
#include "vmm/host/decide/parts.h"

#define LOG_ROOM "decide"
#include "vmm/base/log.h"

/* A test's is 0: then it is seen without waiting what asks for more, and what does not. */
#ifndef MINUTE
#define MINUTE 60
#endif
#define LATE_SECONDS (CLOCK_MILLISECONDS / 1000 + 5) /* until an answer is none any more */
#define END_SECONDS  3
#define KEYS_MAX     65536

struct clock {
    struct decider *decider;
    struct event *answers, *due, *late, *over;
    uint64_t number; /* of the last question */
    struct log_state state;
    bool asked;  /* no answer to it yet */
    bool grew;   /* since it was asked */
    bool failed; /* the last one, and the log says so */
    bool ends;   /* when this is settled, so does the decider */
    struct clock_figures figures;
};

/* Entries */

static int write_entry(struct call *call, struct cofre_err *err)
{
    struct log_entry entry = *(const struct log_entry *)call->data;
    int64_t number;
    entry.time = call->now;
    call->decider->not_growth++;
    return audit_write(call->turn, &entry, &number, err);
}

static int write_failure(struct call *call, struct cofre_err *err)
{
    const struct audit_operation said = {.outcome = LOG_OPERATION_FAILED,
                                         .operation = "audit.attest",
                                         .request = call->id,
                                         .subject = "cofred",
                                         .identity = "none",
                                         .detail = call->data};
    call->decider->not_growth++;
    return audit_operation(call->turn, &said, NULL, err);
}

static void write_later(struct clock *c, call_work *work, void *data)
{
    struct call *call = data ? call_new(c->decider, work) : NULL;
    if (!call) {
        free(data);
        log_error("no memory for what the TPM said");
        return;
    }
    call->data = data;
    call->free_data = free;
    call_later(call);
}

static void failed(struct clock *c, const char *why)
{
    c->asked = false;
    c->grew = true; /* what was asked about is still to be */
    c->figures.failures++;
    (void)event_del(c->late);
    if (!c->failed) {
        log_warn("no TPM vouches for the log: %s", why);
        write_later(c, write_failure, strdup(why));
    } else if (c->ends) {
        event_base_loopbreak(c->decider->base);
    }
    c->failed = c->figures.fails = true;
}

/* Questions */

static int copy(void *context, struct view bytes, struct cofre_err *err)
{
    return bytes_copy(context, bytes, err);
}

static int newest(struct log_state *out, struct db *db, struct cofre_err *err)
{
    CLEAN_BYTES bytes = {0};
    struct log_head head;
    int64_t size;
    int rc = db_log_head(db, &size, copy, &bytes, err);
    if (rc == 0)
        rc = log_head_read(&head, bytes_view(&bytes), err);
    if (rc == 0)
        *out = head.state;
    return rc;
}

static void ask(struct clock *c)
{
    struct cofre_err err = {""};
    const struct timeval late = {.tv_sec = LATE_SECONDS};
    struct clock_question q = {.number = c->number + 1};
    if (c->asked)
        return;
    if (newest(&q.state, c->decider->db, &err) < 0) {
        failed(c, err.text);
        return;
    }
    c->number = q.number;
    c->state = q.state;
    c->asked = true;
    c->grew = false;
    if (send(c->decider->config->clock, &q, sizeof q, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof q)
        failed(c, "the part of cofred that asks the TPM takes no question");
    else if (event_add(c->late, &late) < 0)
        log_error("no timer for the TPM's answer");
}

static void on_due(evutil_socket_t fd, short events, void *context)
{
    (void)fd, (void)events;
    ask(context);
}

static void on_late(evutil_socket_t fd, short events, void *context)
{
    (void)fd, (void)events;
    failed(context, "the TPM has not answered in time");
}

static void ask_later(struct clock *c)
{
    const struct timeval minute = {.tv_sec = MINUTE};
    if (!event_pending(c->due, EV_TIMEOUT, NULL) && event_add(c->due, &minute) < 0)
        log_error("no timer for asking the TPM");
}

void clock_log_grew(struct clock *c)
{
    if (!c)
        return;
    c->grew = true;
    ask_later(c);
}

/* Answers */

/* Public keys as auditors want them, PEM behind PEM: a host that got another TPM has two. */
static int keep_key(const char *path, const uint8_t *point, const struct log_hash *thumbprint,
                    struct cofre_err *err)
{
    CLEAN_BYTES file = {0}, text = {0};
    CLEAN_COSE_KEYS known = {0};
    int rc = access(path, F_OK) == 0 ? file_read(&file, path, KEYS_MAX, err) : 0;
    if (rc == 0 && file.len)
        rc = cose_keys_parse_pem(&known, bytes_view(&file), err);
    if (rc < 0 || cose_keys_find(&known, (struct view){thumbprint->data, sizeof thumbprint->data}))
        return rc;
    if (known.count)
        log_warn("the TPM is another one than before: %s has its key as well", path);
    rc = log_clock_pem(&text, bytes_view(&file), point, err);
    return rc < 0 ? rc : file_write(path, bytes_view(&text), 0644, err);
}

static int take(struct clock *c, const struct clock_answer *a, struct log_entry *entry, struct cofre_err *err)
{
    if (a->rc < 0)
        return cofre_fail(err, COFRE_LACKING, "%.*s", (int)sizeof a->why, a->why);
    int rc =
        log_clock_entry(entry, &c->state, a->clock.key, (struct view){a->clock.attest, a->clock.attest_len},
                        (struct view){a->clock.signature, a->clock.signature_len}, err);
    return rc < 0 ? rc : keep_key(c->decider->config->clock_keys, a->clock.key, &entry->tpm_key, err);
}

static void answered(struct clock *c, const struct clock_answer *a)
{
    struct log_entry *entry = malloc(sizeof *entry);
    struct cofre_err err = {""};
    int rc = entry ? take(c, a, entry, &err) : cofre_fail(&err, COFRE_FAILED, "no memory for an answer");
    if (rc < 0) {
        free(entry);
        failed(c, err.text);
        return;
    }
    c->asked = false;
    (void)event_del(c->late);
    if (c->failed)
        log_info("a TPM vouches for the log again");
    c->failed = c->figures.fails = false;
    c->figures.size = c->state.size;
    write_later(c, write_entry, entry);
    if (c->grew)
        ask_later(c);
}

static void on_answer(evutil_socket_t fd, short events, void *context)
{
    struct clock *c = context;
    struct clock_answer a;
    const ssize_t len = recv(fd, &a, sizeof a, MSG_DONTWAIT | MSG_TRUNC);
    (void)events;
    if (len == 0) /* it is gone; whoever started both does the rest */
        (void)event_del(c->answers);
    if (len == sizeof a && c->asked && a.number == c->number)
        answered(c, &a);
}

/* The end */

static void on_over(evutil_socket_t fd, short events, void *context)
{
    struct clock *c = context;
    (void)fd, (void)events;
    log_warn("it ends without the TPM's word on the end of the log");
    event_base_loopbreak(c->decider->base);
}

bool clock_holds_end(struct clock *c)
{
    const struct timeval seconds = {.tv_sec = END_SECONDS};
    if (!c || c->ends || (!c->asked && !c->grew) || event_add(c->over, &seconds) < 0)
        return false;
    c->ends = true;
    if (c->grew)
        ask(c);
    return true;
}

/* What was to be written is. Where more has come to pass meanwhile, that is asked about as well. */
void clock_turned(struct clock *c)
{
    if (!c || !c->ends || c->asked)
        return;
    if (c->grew && !c->failed)
        ask(c);
    if (!c->asked)
        event_base_loopbreak(c->decider->base);
}

const struct clock_figures *clock_figures(const struct clock *c)
{
    return c ? &c->figures : NULL;
}

int clock_open(struct clock **out, struct decider *d, struct cofre_err *err)
{
    *out = NULL;
    if (d->config->clock < 0)
        return 0;
    struct clock *c = calloc(1, sizeof *c);
    if (!c)
        return cofre_fail(err, COFRE_FAILED, "no memory for what the TPM says");
    *out = c;
    c->decider = d;
    c->answers = event_new(d->base, d->config->clock, EV_READ | EV_PERSIST, on_answer, c);
    c->due = evtimer_new(d->base, on_due, c);
    c->late = evtimer_new(d->base, on_late, c);
    c->over = evtimer_new(d->base, on_over, c);
    return c->answers && c->due && c->late && c->over && event_add(c->answers, NULL) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "no event for the TPM");
}

void clock_begin(struct clock *c)
{
    if (c)
        ask(c);
}

void clock_close(struct clock *c)
{
    if (!c)
        return;
    struct event *const all[] = {c->answers, c->due, c->late, c->over};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            event_free(all[i]);
    close(c->decider->config->clock);
    free(c);
}
