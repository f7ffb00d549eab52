/* A client that asks for one thing after the other, and keeps what it was told. */
#include "tests/unit/host/cofred/kills.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/number.h"

const char *const kills_operation_names[KILLS_OPERATIONS] = {
    [KILLS_CREATE] = "guest.create", [KILLS_DELETE] = "guest.delete", [KILLS_START] = "guest.start",
    [KILLS_STOP] = "guest.stop",     [KILLS_KILL] = "guest.kill",     [KILLS_RESTART] = "guest.restart",
    [KILLS_PAUSE] = "guest.pause",   [KILLS_RESUME] = "guest.resume", [KILLS_UPDATE] = "guest.update",
    [KILLS_ADD] = "image.add",       [KILLS_REMOVE] = "image.delete",
};

/* from: where it must be; to: where it then comes to rest. */
static const struct {
    const char *method, *suffix;
    unsigned from, to, often;
} operations[KILLS_OPERATIONS] = {
    [KILLS_CREATE] = {"POST", "", KILLS_ABSENT, KILLS_STOPPED, 6},
    [KILLS_DELETE] = {"DELETE", "", KILLS_STOPPED | KILLS_FAILED, KILLS_ABSENT, 2},
    [KILLS_START] = {"POST", "/start", KILLS_STOPPED | KILLS_FAILED, KILLS_RUNNING, 5},
    [KILLS_STOP] = {"POST", "/stop", KILLS_RUNNING | KILLS_PAUSED | KILLS_STOPPED, KILLS_STOPPED, 2},
    [KILLS_KILL] = {"POST", "/kill", KILLS_RUNNING | KILLS_PAUSED | KILLS_STOPPED, KILLS_STOPPED, 1},
    [KILLS_RESTART] = {"POST", "/restart", KILLS_RUNNING | KILLS_PAUSED | KILLS_STOPPED | KILLS_FAILED,
                       KILLS_RUNNING, 2},
    [KILLS_PAUSE] = {"POST", "/pause", KILLS_RUNNING, KILLS_PAUSED, 3},
    [KILLS_RESUME] = {"POST", "/resume", KILLS_PAUSED, KILLS_RUNNING, 3},
    [KILLS_UPDATE] = {"PUT", "", 0, 0, 2},
    [KILLS_ADD] = {"PUT", "", KILLS_ABSENT, KILLS_THERE, 1},
    [KILLS_REMOVE] = {"DELETE", "", KILLS_THERE, KILLS_ABSENT, 1},
};

uint64_t kills_draw(uint64_t *draws, uint64_t below)
{
    *draws ^= *draws << 13;
    *draws ^= *draws >> 7;
    *draws ^= *draws << 17;
    return (*draws >> 11) % below;
}

static enum kills_operation draw_operation(uint64_t *draws, bool image)
{
    if (image)
        return kills_draw(draws, 2) ? KILLS_ADD : KILLS_REMOVE;
    for (;;) {
        const enum kills_operation o = (enum kills_operation)kills_draw(draws, KILLS_ADD);
        if (kills_draw(draws, 6) < operations[o].often)
            return o;
    }
}

/* One that is started anew is stopped for a moment, in which it can be deleted. */
static unsigned after(const struct kills_object *object, enum kills_operation o)
{
    const unsigned may = object->may,
                   from = operations[o].from | (o == KILLS_DELETE && object->restarts ? KILLS_RUNNING : 0),
                   to = operations[o].to |
                        (object->comes_back && (o == KILLS_STOP || o == KILLS_KILL) ? KILLS_FAILED : 0);
    return (may & ~from) | (may & from ? to : 0);
}

static void image_text(char out[static 32], unsigned client)
{
    (void)snprintf(out, 32, "image of client %u", client);
}

/* Its digest. */
static void image_name(char out[static 80], unsigned client)
{
    uint8_t digest[32];
    char text[32];
    image_text(text, client);
    (void)SHA256((const uint8_t *)text, strlen(text), digest);
    strcpy(out, "sha256:");
    hex_encode(out + 7, digest, sizeof digest);
}

void kills_name_objects(struct kills *k)
{
    for (unsigned client = 0; client < KILLS_CLIENTS; client++)
        for (unsigned place = 0; place < KILLS_OBJECTS; place++) {
            struct kills_object *o = &k->shared->object[client][place];
            o->may = KILLS_ABSENT;
            o->comes_back = k->restarts && place == 0;
            if (place < KILLS_GUESTS)
                (void)snprintf(o->name, sizeof o->name, "c%u-%u", client, place);
            else
                image_name(o->name, client);
        }
}

static int ask(struct kills *k, unsigned client, unsigned place, enum kills_operation o, unsigned label)
{
    struct kills_object *object = &k->shared->object[client][place];
    char path[256], body[1024], text[96];
    if (o == KILLS_ADD) { /* by its bytes */
        image_text(text, client);
        return whole_put(&k->whole, "shop", text, object->name);
    }
    (void)snprintf(path, sizeof path, "/tenants/shop/%s%s%s%s", o == KILLS_REMOVE ? "images" : "guests",
                   o == KILLS_CREATE ? "" : "/", o == KILLS_CREATE ? "" : object->name, operations[o].suffix);
    if (o != KILLS_CREATE && o != KILLS_UPDATE)
        return whole_ask(&k->whole, operations[o].method, path, NULL, NULL);
    (void)snprintf(text, sizeof text, "'name': '%s', ", object->name);
    (void)snprintf(
        body, sizeof body,
        "{%s'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s', 'cmdline': 'launch wait', "
        "'labels': {'n': '%u'}%s%s}",
        o == KILLS_CREATE ? text : "", k->kernel, label,
        place == 0 && k->restarts ? ", 'restart': 'on-failure'" : "",
        place == 0 && k->taps ? ", 'networks': [{'kind': 'tap', 'bridge': 'cofre-br0'}]"
        : place == 1          ? ", 'disks': [{'size': 1048576}]"
                              : "");
    return whole_ask(&k->whole, operations[o].method, path, body, NULL);
}

static void note(struct kills *k, unsigned client)
{
    if (k->note)
        k->note(k, client);
}

/* Nobody knows, but for an answer, whether it was done. */
static void was_cut_off(struct kills_object *object, enum kills_operation o, unsigned labels)
{
    object->cut_off[o]++;
    object->may |= after(object, o);
    object->restarts |= o == KILLS_RESTART;
    object->labels |= labels;
}

static void was_acknowledged(struct kills_object *object, enum kills_operation o, unsigned labels)
{
    object->acknowledged[o]++;
    object->may = after(object, o);
    object->restarts |= o == KILLS_RESTART;
    object->labels = labels ? labels : object->labels;
}

/* False: its connection was cut off. */
static bool ask_one(struct kills *k, unsigned client, uint64_t *draws)
{
    const unsigned place = (unsigned)kills_draw(draws, KILLS_OBJECTS),
                   label = (unsigned)kills_draw(draws, 10);
    struct kills_object *object = &k->shared->object[client][place];
    const enum kills_operation o = draw_operation(draws, place >= KILLS_GUESTS);
    const unsigned labels = o == KILLS_CREATE || o == KILLS_UPDATE ? 1U << label : 0;
    struct kills_object known = *object;
    was_cut_off(object, o, labels);
    note(k, client);
    const int status = ask(k, client, place, o, label);
    k->shared->requests++;
    k->shared->cut_off += status == 0;
    if (status / 100 == 2)
        was_acknowledged(&known, o, labels);
    if (status != 0) {
        *object = known;
        note(k, client);
    }
    return status != 0;
}

static void live(struct kills *k, unsigned client, uint64_t draws, int go, int rests)
{
    char byte;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(go, &byte, 1) == 1) {
        while (!k->shared->stop && ask_one(k, client, &draws))
            continue;
        if (write(rests, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

void kills_clients_start(struct kills *k, uint64_t seed)
{
    for (unsigned i = 0; i < KILLS_CLIENTS; i++) {
        int go[2], rests[2];
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        assert_int_equal(pipe2(rests, O_CLOEXEC), 0);
        (void)fflush(NULL);
        k->client[i].pid = fork();
        if (k->client[i].pid == 0) {
            for (unsigned other = 0; other < i; other++)
                (void)close(k->client[other].go);
            (void)close(go[1]);
            live(k, i, seed * 1000003 + i + 1, go[0], rests[1]);
        }
        (void)close(go[0]);
        (void)close(rests[1]);
        k->client[i].go = go[1];
        k->client[i].rests = rests[0];
    }
}

void kills_clients_go(struct kills *k)
{
    k->shared->stop = false;
    for (unsigned i = 0; i < KILLS_CLIENTS; i++)
        assert_int_equal(write(k->client[i].go, "g", 1), 1);
}

void kills_clients_rest(struct kills *k)
{
    char byte;
    k->shared->stop = true;
    for (unsigned i = 0; i < KILLS_CLIENTS; i++)
        assert_int_equal(read(k->client[i].rests, &byte, 1), 1);
}

void kills_clients_end(struct kills *k)
{
    for (unsigned i = 0; i < KILLS_CLIENTS; i++) {
        int status;
        (void)close(k->client[i].go);
        assert_int_equal(waitpid(k->client[i].pid, &status, 0), k->client[i].pid);
        assert_int_equal(status, 0);
        (void)close(k->client[i].rests);
    }
}
