/* cofred under load and under the axe: clients that ask for anything, whoever is killed meanwhile, and what must hold when it is back. */
#ifndef COFRE_TEST_HOST_KILLS_H
#define COFRE_TEST_HOST_KILLS_H

#include <stdatomic.h>

#include "tests/unit/host/cofred/whole.h"

#define KILLS_CLIENTS 3
#define KILLS_OBJECTS 3 /* of a client: two guests, and an image behind them */
#define KILLS_GUESTS  2

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
    KILLS_THERE = KILLS_STOPPED
};

struct kills_object {
    char name[80];
    unsigned may;    /* set of where it may be, by what was answered and what was not */
    unsigned labels; /* set of values of its label, as 1 << value */
    unsigned acknowledged[KILLS_OPERATIONS], cut_off[KILLS_OPERATIONS];
};

struct kills {
    struct whole whole;
    char kernel[80];
    bool taps; /* each client's first guest has one */
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
    char why[512]; /* of what the checks found */
};

/* kills_client.c */
extern const char *const kills_operation_names[KILLS_OPERATIONS]; /* "guest.create", as the log has them */
void kills_clients_start(struct kills *k, uint64_t seed);
void kills_clients_go(struct kills *k);
/* Until each has an answer, or none, to what it asked for last. */
void kills_clients_rest(struct kills *k);
void kills_clients_end(struct kills *k);
/* The digest of the client's image. */
void kills_image_name(char out[static 80], unsigned client);
uint64_t kills_draw(uint64_t *draws, uint64_t below);

/* kills_check.c, while clients rest: true, or false and why. */
/* Each object comes to where it may be; that is then where it is. */
bool kills_settle(struct kills *k, unsigned seconds);
/* What there is of guests on the host, and of files, is what the rows say. */
bool kills_check_host(struct kills *k, unsigned seconds);
/* What was acknowledged has its entry, and no more was done than was asked for. */
bool kills_check_entries(struct kills *k);
/* All of the log, every head by the public key. */
bool kills_check_log(struct kills *k);

#endif
