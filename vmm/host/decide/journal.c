#include "vmm/host/decide/journal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define VALUE_MAX    1024  /* bytes of one text; the rest is cut off */
#define MESSAGE_SIZE 16384 /* seven fields, and a sentence of four of their texts */
_Static_assert(MESSAGE_SIZE > 12 * (VALUE_MAX + 64), "room for every text");

static const struct {
    const char *id;
    int priority;
    const char *words; /* behind what it is about */
} kinds[JOURNAL_KINDS] = {
    [JOURNAL_DONE] = {"5451ef72847a1fffd235a74a9d24b932", LOG_NOTICE, "done"},
    [JOURNAL_BEGUN] = {"c3e8d02ba34c8b72558b52e475b9ecdf", LOG_NOTICE, "under way"},
    [JOURNAL_REFUSED] = {"843ab2024c55cad2972a58fbeb3df393", LOG_WARNING, "refused"},
    [JOURNAL_FAILED] = {"3d5c25d71b1ba26e69194727931f1053", LOG_WARNING, "not done"},
    [JOURNAL_GUEST] = {"61bd62d7e423f4644c9cd3e8f33ac167", LOG_INFO, NULL},
    [JOURNAL_GUEST_FAILED] = {"56da87669305b92e6365288ada572fdc", LOG_ERR, NULL},
};

const char *journal_id(enum journal_kind kind)
{
    return kinds[kind].id;
}

int journal_open(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return -1;
    strcpy(a.sun_path, path);
    CLEAN_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 ? TAKE_FD(fd) : -1;
}

struct text {
    size_t used;
    char at[MESSAGE_SIZE];
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...)
{
    const size_t room = sizeof t->at - t->used;
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(t->at + t->used, room, format, args);
    va_end(args);
    t->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

/* From there to the end is one value: no byte in it ends it. */
static void end_value(struct text *t, size_t begin)
{
    for (size_t i = begin; i < t->used; i++)
        if ((unsigned char)t->at[i] < ' ' || t->at[i] == 0x7f)
            t->at[i] = '?';
    add(t, "\n");
}

static bool given(const char *text)
{
    return text && text[0];
}

static void field(struct text *t, const char *name, const char *value)
{
    if (!given(value))
        return;
    add(t, "%s=", name);
    const size_t begin = t->used;
    add(t, "%.*s", VALUE_MAX, value);
    end_value(t, begin);
}

/* "guest.start of guest web of tenant shop: refused: ..." */
static void sentence(struct text *t, const struct journal_message *m)
{
    const char *words = kinds[m->kind].words ? kinds[m->kind].words : m->state;
    add(t, "MESSAGE=");
    const size_t begin = t->used;
    const char *object = given(m->guest) ? m->guest : m->object;
    if (given(m->operation))
        add(t, "%.*s%s", VALUE_MAX, m->operation, given(object) || given(m->tenant) ? " of " : "");
    if (given(object))
        add(t, "%s%.*s%s", given(m->guest) ? "guest " : "", VALUE_MAX, object,
            given(m->tenant) ? " of " : "");
    if (given(m->tenant))
        add(t, "tenant %.*s", VALUE_MAX, m->tenant);
    add(t, ": %s%s%.*s", words, given(m->why) ? ": " : "", VALUE_MAX, given(m->why) ? m->why : "");
    end_value(t, begin);
}

void journal_tell(int journal, const struct journal_message *m)
{
    struct text t;
    if (journal < 0)
        return;
    t.used = 0;
    add(&t, "MESSAGE_ID=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=cofred\n", kinds[m->kind].id,
        kinds[m->kind].priority);
    const struct {
        const char *name, *value;
    } fields[] = {{"COFRE_OPERATION", m->operation}, {"COFRE_REQUEST_ID", m->request},
                  {"COFRE_TENANT", m->tenant},       {"COFRE_GUEST", m->guest},
                  {"COFRE_OBJECT", m->object},       {"COFRE_BY", m->by},
                  {"COFRE_STATE", m->state}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        field(&t, fields[i].name, fields[i].value);
    sentence(&t, m);
    (void)send(journal, t.at, t.used, MSG_NOSIGNAL | MSG_DONTWAIT);
}
