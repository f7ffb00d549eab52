/* What hands says of guests without being asked: each leads to one event of the row. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/decide/parts.h"
#include "vmm/machine/restart.h"

#define LOG_ROOM "news"
#include "vmm/base/log.h"

#define FILE_MAX 65536 /* bytes of what cofre-vmm wrote */

/* What came to pass, until it is in the database. */
struct tidings {
    struct decider *decider;
    uint32_t run;
    int32_t status; /* of an end; -1: not known */
    bool out_of_memory;
    char why[512];
    json_t *result; /* what cofre-vmm printed of it, of launches a list; NULL: nothing that can be read */
};

static void tidings_free(void *data)
{
    struct tidings *t = data;
    if (t)
        json_decref(t->result);
    free(t);
}

static struct tidings *tidings_new(struct decider *d, uint32_t run)
{
    struct tidings *t = calloc(1, sizeof *t);
    if (t) {
        t->decider = d;
        t->run = run;
        t->status = -1;
    } else
        log_error("no memory for what happened to run %u", run);
    return t;
}

static void write_down(struct tidings *t, call_work *work)
{
    struct call *call = call_new(t->decider, work);
    if (!call) {
        log_error("no memory for what happened to run %u", t->run);
        tidings_free(t);
        return;
    }
    call->data = t;
    call->free_data = tidings_free;
    call_later(call);
}

/* The last line of a file, free() it; NULL: there is none. */
static char *read_last_line(int fd)
{
    const off_t size = lseek(fd, 0, SEEK_END), from = size > FILE_MAX ? size - FILE_MAX : 0;
    CLEAN_FREE char *text = malloc(FILE_MAX + 1);
    const ssize_t got = text ? pread(fd, text, FILE_MAX, from) : -1;
    if (got <= 0)
        return NULL;
    text[got] = 0;
    for (size_t len = strlen(text); len && text[len - 1] == '\n'; len--)
        text[len - 1] = 0;
    const char *line = strrchr(text, '\n');
    return strdup(line ? line + 1 : text);
}

/* What is no JSON is nothing. */
static void add_result(struct tidings *t, int rc, int fd)
{
    CLEAN_FREE char *line = rc == 0 ? read_last_line(fd) : NULL;
    if (fd >= 0)
        close(fd);
    if (line)
        (void)json_read(&t->result, (struct view){(const uint8_t *)line, strlen(line)}, COFRE_MALFORMED,
                        NULL);
}

/* Launched */

/* Each whole line, null for one that is no JSON. NULL where there is none. */
static json_t *read_lines(int fd)
{
    CLEAN_FREE char *text = malloc(FILE_MAX);
    CLEAN_JSON *lines = json_array();
    const ssize_t got = text ? pread(fd, text, FILE_MAX, 0) : -1;
    const char *line = text, *end;
    for (; got > 0 && (end = memchr(line, '\n', (size_t)(text + got - line))); line = end + 1) {
        json_t *one = NULL;
        (void)json_read(&one, (struct view){(const uint8_t *)line, (size_t)(end - line)}, COFRE_MALFORMED,
                        NULL);
        (void)json_array_append_new(lines, one ? one : json_null());
    }
    return json_array_size(lines) ? json_incref(lines) : NULL;
}

static void set_digest(struct log_digest *out, const json_t *definition, const char *member)
{
    struct image_digest digest;
    const char *text = member_text(definition, member, NULL);
    if (!text || image_digest_parse(&digest, text, NULL) < 0)
        return;
    out->len = sizeof digest.sha256;
    memcpy(out->data, digest.sha256, sizeof digest.sha256);
}

static void set_hex(struct log_measurement *out, const char *text)
{
    const size_t len = text ? strlen(text) / 2 : 0;
    if (len && len <= sizeof out->data && hex_decode(out->data, len, text))
        out->len = (uint8_t)len;
}

static int record_launch(struct call *call, const struct guest_row *g, const json_t *result,
                         enum log_launch_outcome outcome, struct cofre_err *err)
{
    CLEAN_JSON *definition = NULL;
    struct log_entry launch = {.outcome = outcome, .guest = g->number};
    int rc = guest_definition(&definition, call->db, g->number, g->started_version, err);
    if (rc < 0)
        return rc;
    (void)snprintf(launch.object_name, sizeof launch.object_name, "%s", g->name);
    (void)snprintf(launch.tenant, sizeof launch.tenant, "%s", g->tenant);
    (void)snprintf(launch.request, sizeof launch.request, "%s", g->request);
    (void)snprintf(launch.detail, sizeof launch.detail, "%.200s", g->why);
    (void)snprintf(launch.tee, sizeof launch.tee, "%s", g->tee);
    launch.emulated = member_boolean(definition, "emulated", false);
    set_digest(&launch.kernel, definition, "kernel");
    set_digest(&launch.initrd, definition, "initrd");
    set_digest(&launch.id_block, definition, "id_block");
    set_hex(&launch.expected, g->expected);
    set_hex(&launch.host_data,
            member_text(definition, "host_data", member_text(definition, "mrconfigid", NULL)));
    const char *bits = member_text(definition, "policy", member_text(definition, "attributes", "0"));
    launch.guest_policy = strtoull(bits, NULL, 16);
    if (result && audit_launch_result(&launch, result, err) < 0)
        log_warn("guest %s of tenant %s: %s", g->name, g->tenant, err->text);
    return audit_launch(call->turn, &launch, NULL, err);
}

static void tell(struct call *call)
{
    event_happens(call->decider, guest_state_names[call->guest.state], &call->guest);
    waiters_look(call->decider, &call->guest);
}

static int take_launch(struct call *call, const json_t *result, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    const char *given = json_string_value(json_object_get(json_object_get(result, "measurement"), "given"));
    g->launches++;
    (void)snprintf(g->measurement, sizeof g->measurement, "%s", given ? given : "");
    return record_launch(call, g, result, LOG_LAUNCH_RUNS, err);
}

/* All that the row does not have: while cofred was away there may have been several, and of two that followed one another both news
 * may come when both are there. */
static int launched(struct call *call, struct cofre_err *err)
{
    const struct tidings *t = call->data;
    struct guest_row *g = &call->guest;
    const int64_t there = (int64_t)json_array_size(t->result);
    int rc = guest_row_find_run(g, call->db, t->run, err);
    if (rc != 0)
        return rc < 0 ? rc : 0; /* it was started anew, or deleted, meanwhile */
    if (there && there <= g->launches)
        return 0;
    if (!there)
        rc = take_launch(call, NULL, err);
    while (rc == 0 && g->launches < there)
        rc = take_launch(call, json_array_get(t->result, (size_t)g->launches), err);
    if (rc == 0) /* where it cannot be, nothing of this was */
        rc = guest_happens(call, g, GUEST_LAUNCHED, err);
    call->then = tell;
    return rc;
}

static void launches_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                            const struct cofre_err *why)
{
    struct tidings *t = context;
    (void)answer;
    if (rc < 0)
        log_warn("%s", why->text);
    else
        t->result = read_lines(fd);
    if (fd >= 0)
        close(fd);
    write_down(t, launched);
}

/* Ended */

static bool wants_again(const struct guest_row *g, const json_t *definition, bool broke)
{
    const char *policy = member_text(definition, "restart", "never");
    if (g->asked)
        return g->again;
    return strcmp(policy, "always") == 0 || (broke && strcmp(policy, "on-failure") == 0);
}

/* Where it cannot be started the row says why, and waits for somebody. */
static int give_up(struct call *call, const char *why, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    guest_row_free(g);
    int rc = guest_row_find_run(g, call->db, call->run, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    log_warn("guest %s of tenant %s is not started again: %s", g->name, g->tenant, why);
    g->again = false;
    (void)snprintf(g->why, sizeof g->why, "it is not started again: %s", why);
    call->then = tell;
    return guest_row_change(call->db, g, err);
}

static int start_again(struct call *call, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    int rc = guest_row_find_run(g, call->db, call->run, err);
    if (rc != 0 || !guest_waits(g))
        return rc < 0 ? rc : 0;
    rc = tenant_find(&call->tenant, call->db, g->tenant, err);
    if (rc == 0)
        rc = guest_begin(call, err);
    return rc < 0 ? give_up(call, err->text, err) : 0;
}

void news_of_time(struct decider *d, uint32_t run)
{
    struct call *call = call_new(d, start_again);
    if (!call) {
        log_error("no memory to start run %u again", run);
        return;
    }
    call->run = run;
    call_later(call);
}

static void has_ended(struct call *call)
{
    struct decider *d = call->decider;
    const struct guest_row *g = &call->guest;
    struct restarts restarts = {(unsigned)g->early};
    tell(call);
    alarms_drop(d, g->run);
    streams_of_run_end(d, g->run);
    if (g->again)
        alarm_set(d, g->run, g->early ? restart_wait(&restarts, 0) : 0, news_of_time);
}

static int ended(struct call *call, struct cofre_err *err)
{
    const struct tidings *t = call->data;
    struct guest_row *g = &call->guest;
    CLEAN_JSON *definition = NULL;
    int rc = guest_row_find_run(g, call->db, t->run, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (g->state == GUEST_STOPPED || g->state == GUEST_FAILED || g->state == GUEST_DELETING)
        return 0; /* it is known */
    const bool started = g->launches > 0, broke = t->status != 0;
    const char *said = json_string_value(json_object_get(t->result, "why"));
    (void)snprintf(g->why, sizeof g->why, "%s%s",
                   t->out_of_memory ? "it used more memory than its limit; " : "",
                   *t->why           ? t->why
                   : said            ? said
                   : t->status > 128 ? "it was killed"
                                     : "");
    g->early = !g->asked && call->now - g->started < RESTART_SETTLED ? g->early + 1 : 0;
    g->ended = call->now;
    rc = guest_definition(&definition, call->db, g->number, g->started_version, err);
    g->again = rc == 0 && wants_again(g, definition, broke);
    if (rc == 0)
        rc = guest_happens(call, g, broke ? GUEST_BROKE : GUEST_ENDED, err);
    if (rc == 0 && !started)
        rc = record_launch(call, g, t->result, LOG_LAUNCH_FAILED, err);
    call->then = has_ended;
    return rc;
}

static void open_file(struct tidings *t, enum hands_file file, hands_answered *answered)
{
    const struct hands_open open = {.file = file};
    struct cofre_err err = {""};
    if (hands_client_ask(t->decider->hands, HANDS_OPEN, t->run, &open, NULL, 0, answered, t, &err) < 0)
        answered(t, -COFRE_FAILED, NULL, -1, &err);
}

/* One that did not come so far as to have a result has said why in its log. */
static void log_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                       const struct cofre_err *why)
{
    struct tidings *t = context;
    CLEAN_FREE char *line = rc == 0 ? read_last_line(fd) : NULL;
    (void)answer;
    (void)why;
    if (fd >= 0)
        close(fd);
    if (line)
        (void)snprintf(t->why, sizeof t->why, "%s", line);
    write_down(t, ended);
}

static void result_opened(void *context, int rc, const struct hands_answer *answer, int fd,
                          const struct cofre_err *why)
{
    struct tidings *t = context;
    (void)answer;
    (void)why;
    add_result(t, rc, fd);
    const json_t *code = json_object_get(t->result, "exit_code");
    if (t->status < 0 && json_is_integer(code)) /* hands was not there to see it */
        t->status = (int32_t)json_integer_value(code);
    if (t->result)
        write_down(t, ended);
    else
        open_file(t, HANDS_FILE_LOG, log_opened);
}

void news_of_end(struct decider *d, uint32_t run, int32_t status, bool out_of_memory, const char *why)
{
    struct tidings *t = tidings_new(d, run);
    if (!t)
        return;
    t->status = status;
    t->out_of_memory = out_of_memory;
    (void)snprintf(t->why, sizeof t->why, "%s", why);
    write_down(t, ended);
}

void news_of_run(struct decider *d, uint32_t run, const struct hands_ended *ended_how)
{
    struct tidings *t = tidings_new(d, run);
    if (!t)
        return;
    t->status = ended_how->status;
    t->out_of_memory = ended_how->out_of_memory;
    open_file(t, HANDS_FILE_RESULT, result_opened);
}

void news_of_launch(struct decider *d, uint32_t run)
{
    struct tidings *t = tidings_new(d, run);
    if (t)
        open_file(t, HANDS_FILE_LAUNCHES, launches_opened);
}

void news_arrive(struct decider *d, const struct hands_answer *news)
{
    if (news->header.what == HANDS_LAUNCHED)
        news_of_launch(d, news->header.guest);
    else
        news_of_run(d, news->header.guest, &news->ended);
}
