/* cofred under load and under the axe: clients that ask for anything, whoever is killed meanwhile, and what must hold when it is back. */
#ifndef COFRE_TEST_HOST_KILLS_H
#define COFRE_TEST_HOST_KILLS_H

#include <stdatomic.h>

#include "attest/log/file.h"
#include "attest/store/db.h"
#include "tests/unit/host/cofred/whole.h"

#define KILLS_CLIENTS 3
#define KILLS_OBJECTS 3 /* of a client: two guests, and an image behind them */
#define KILLS_GUESTS  2
#define KILLS_HEADS   64

enum kills_operation {
    KILLS_CREATE,
    KILLS_DELETE,
    KILLS_START,
    KILLS_STOP,
    KILLS_KILL,
    KILLS_RESTART,
    KILLS_PAUSE,
    KILLS_RESUME,
    KILLS_UPDATE,
    KILLS_ADD,
    KILLS_REMOVE,
    KILLS_OPERATIONS,
};

/* Where an object comes to rest: bits, so that a set is a number. An image is there or not. */
enum {
    KILLS_ABSENT = 1,
    KILLS_STOPPED = 2,
    KILLS_RUNNING = 4,
    KILLS_PAUSED = 8,
    KILLS_FAILED = 16, /* nothing that is asked leads there: the host's end does */
    KILLS_THERE = KILLS_STOPPED
};

struct kills_object {
    char name[80];
    unsigned may;    /* set of where it may be, by what was answered and what was not */
    bool comes_back; /* started again when it failed: a stop meanwhile leaves it failed */
    bool restarts;   /* it was asked to restart, and was not seen to have done it */
    unsigned labels; /* set of values of its label, as 1 << value */
    unsigned acknowledged[KILLS_OPERATIONS], cut_off[KILLS_OPERATIONS];
};

struct kills {
    struct whole whole;
    char kernel[80];
    bool taps;     /* each client's first guest has one */
    bool restarts; /* and is started again when it failed */
    /* NULL, or who keeps what the client's objects are, before it asks and after it was answered: what is asked counts as cut off
     * until it is answered. */
    void (*note)(struct kills *k, unsigned client);
    /* Shared with clients. */
    struct kills_shared {
        atomic_bool stop;
        atomic_ulong requests, cut_off;
        struct kills_object object[KILLS_CLIENTS][KILLS_OBJECTS];
    } * shared;
    struct kills_client {
        pid_t pid;
        int go, rests; /* a byte each */
    } client[KILLS_CLIENTS];
    /* Of the log, as far as it was read: */
    int64_t entries;
    unsigned done[KILLS_CLIENTS][KILLS_OBJECTS][KILLS_OPERATIONS];
    /* Heads that were given out, the last KILLS_HEADS of them. */
    struct kills_head {
        uint64_t size;
        struct log_hash root;
    } head[KILLS_HEADS];
    uint64_t heads;
    char why[512]; /* of what the checks found */
};

/* kills_client.c */
extern const char *const kills_operation_names[KILLS_OPERATIONS]; /* "guest.create", as the log has them */
void kills_clients_start(struct kills *k, uint64_t seed);
void kills_clients_go(struct kills *k);
/* Until each has an answer, or none, to what it asked for last. */
void kills_clients_rest(struct kills *k);
void kills_clients_end(struct kills *k);
/* Guests and images by their names; none is there yet. */
void kills_name_objects(struct kills *k);
uint64_t kills_draw(uint64_t *draws, uint64_t below);

/* kills_check.c, while clients rest: true, or false and why. */
bool kills_wrong(struct kills *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
int kills_open_database(struct db **db, const struct kills *k, struct cofre_err *err);
/* Each object comes to where it may be; that is then where it is. */
bool kills_settle(struct kills *k, unsigned seconds);
/* What there is of guests on the host, and of files, is what the rows say. */
bool kills_check_host(struct kills *k, unsigned seconds);
/* kills_log.c, likewise */
/* What was acknowledged has its entry, and no more was done than was asked for. */
bool kills_check_entries(struct kills *k);
/* All of the log, every head by the public key; and that it grew out of each head that was given out. */
bool kills_check_log(struct kills *k);
/* The last entries, on standard error, for who looks for what went wrong. */
void kills_show_entries(struct kills *k);
/* Asks for the newest head, at any time, and remembers it. False: there was no answer. */
bool kills_see_head(struct kills *k);

#endif
