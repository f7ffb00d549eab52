/* Answers that go on: bytes as they come, events (server-sent: the WHATWG's HTML standard, section 9.2), and what is shown anew at each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"

#define EVENT_MAX (1u << 20)

/* Events. */

struct events {
    struct host_run *run;
    char *text; /* a line that has not ended, then data */
    size_t len;
    char data[65536];
    size_t data_len;
    char name[64];
    bool seen; /* an event, since the last look */
    int (*event)(struct events *events, struct cofre_err *err);
};

static void field(struct events *e, const char *line)
{
    const char *colon = strchr(line, ':');
    const size_t len = colon ? (size_t)(colon - line) : strlen(line);
    const char *value = colon ? colon + 1 + (colon[1] == ' ') : "";
    if (len == 5 && memcmp(line, "event", 5) == 0)
        (void)snprintf(e->name, sizeof e->name, "%s", value);
    if (len == 4 && memcmp(line, "data", 4) == 0) {
        int n = snprintf(e->data + e->data_len, sizeof e->data - e->data_len, "%s%s", e->data_len ? "\n" : "",
                         value);
        e->data_len += n > 0 && (size_t)n < sizeof e->data - e->data_len ? (size_t)n : 0;
    }
}

static int line(struct events *e, char *text, struct cofre_err *err)
{
    if (*text) {
        field(e, text);
        return 0;
    }
    int rc = e->data_len ? e->event(e, err) : 0;
    e->data_len = 0;
    e->name[0] = 0;
    return rc;
}

static int take_lines(struct events *e, struct view bytes, struct cofre_err *err)
{
    if (bytes.len > EVENT_MAX - e->len)
        return cofre_fail(err, COFRE_MALFORMED, "the service sends an event that does not end");
    char *more = realloc(e->text, e->len + bytes.len + 1);
    if (!more)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    e->text = more;
    memcpy(more + e->len, bytes.data, bytes.len);
    e->len += bytes.len;
    size_t from = 0;
    for (char *end; (end = memchr(more + from, '\n', e->len - from));) {
        *end = 0;
        if (end > more + from && end[-1] == '\r')
            end[-1] = 0;
        int rc = line(e, more + from, err);
        if (rc < 0)
            return rc;
        from = (size_t)(end - more) + 1;
    }
    memmove(more, more + from, e->len - from);
    e->len -= from;
    return 0;
}

/* Shown one after another. */

static int print_event(struct events *e, struct cofre_err *err)
{
    CLEAN_JSON *data = NULL;
    int rc = json_read(&data, (struct view){(const uint8_t *)e->data, e->data_len}, COFRE_MALFORMED, err);
    if (rc < 0)
        return cofre_within(err, rc, "an event");
    CLEAN_FREE char *text = json_dumps(data, JSON_COMPACT);
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    if (!e->run->json)
        printf("%s ", *e->name ? e->name : "event");
    printf("%s\n", text);
    return fflush(stdout) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}

static int take_events(void *context, struct view bytes, struct cofre_err *err)
{
    return bytes.len ? take_lines(context, bytes, err) : 0;
}

static int take_bytes(void *context, struct view bytes, struct cofre_err *err)
{
    (void)context;
    return bytes.len == 0 || (fwrite(bytes.data, 1, bytes.len, stdout) == bytes.len && fflush(stdout) == 0)
               ? 0
               : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}

static int stream(struct host_run *run, enum operation_number operation, const json_t *query, host_take take,
                  void *context, struct cofre_err *err)
{
    struct host_request request = {.upload = -1, .take = take, .context = context};
    CLEAN_FREE char *path = NULL;
    json_t *none;
    int rc = host_prepare(&request, &path, run, &operations[operation], run->word, query, err);
    return rc < 0 ? rc : host_call(&none, &run->server, &request, err);
}

int host_follow(struct host_run *run, struct cofre_err *err)
{
    struct events events = {.run = run, .event = print_event};
    const bool are_events = run->action->operation == OPERATION_EVENT_STREAM;
    int rc =
        stream(run, run->action->operation, run->query, are_events ? take_events : take_bytes, &events, err);
    free(events.text);
    return rc;
}

/* Shown anew. */

static int note(struct events *e, struct cofre_err *err)
{
    (void)err;
    e->seen = true;
    return 0;
}

/* Events that came together cause one look. The first is when the stream begins: what happens after it is told. */
static int look(void *context, struct view bytes, struct cofre_err *err)
{
    struct events *e = context;
    int rc = 0;
    e->seen = bytes.len == 0;
    if (bytes.len)
        rc = take_lines(e, bytes, err);
    if (rc < 0 || !e->seen)
        return rc;
    if (!e->run->json && isatty(STDOUT_FILENO))
        fputs("\033[H\033[J", stdout);
    json_object_del(e->run->query, "after");
    return host_show(e->run, err);
}

int host_watch(struct host_run *run, struct cofre_err *err)
{
    struct events events = {.run = run, .event = note};
    const char *tenant = strcmp(run->action->noun, "tenant") == 0 ? run->word[0] : run->tenant;
    CLEAN_JSON *query = tenant ? json_pack("{s:s}", "tenant", tenant) : json_object();
    if (!query)
        return cofre_fail(err, COFRE_USAGE, "--tenant: it is no UTF-8");
    int rc = stream(run, OPERATION_EVENT_STREAM, query, look, &events, err);
    free(events.text);
    return rc < 0 ? rc : cofre_fail(err, COFRE_FAILED, "the service ended the stream of events");
}
