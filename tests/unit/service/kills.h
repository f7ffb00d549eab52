/*
 * cofre-trust killed at named points while it works on keys. What it acknowledged is noted, and held against the database that is
 * found after each death; what it did not acknowledge may have happened or not, as a whole.
 */
#ifndef TESTS_UNIT_SERVICE_KILLS_H
#define TESTS_UNIT_SERVICE_KILLS_H

#include <pthread.h>

#include "keys/guest_key.h"
#include "tests/unit/service/bound_guest.h"
#include "tests/unit/service/faults/power.h"
#include "tests/unit/service/process.h"

#define KILLS_VERSIONS 5   /* of one key, at most */
#define KILLS_KEYS     600 /* names, of all that ever were */
#define KILLS_VALUE    32

/* One key: what it is, or what it has to be. */
struct kept {
    char name[16];
    bool there;
    enum guest_key_state state;
    int64_t current, releases;
    bool granted;
    struct {
        bool there, known; /* known: its value was seen */
        uint8_t value[KILLS_VALUE];
    } version[KILLS_VERSIONS + 1];
    bool gone_for_good; /* its destruction was acknowledged */
};

/* Bytes that the files had of some version. */
struct trace {
    unsigned key;
    int64_t version;
    uint8_t bytes[48];
    unsigned age; /* rounds since it was to be gone */
};

struct kills {
    struct fixture *f;
    struct process process;
    struct power power;
    char root[96];
    /* The process's death, which ends what is being asked. */
    pthread_t watcher;
    pthread_mutex_t lock;
    bool dead, watched;
    int fd;
    struct client client;
    bool open;
    char answer[1 << 18];
    /* What must be. */
    struct kept key[KILLS_KEYS];
    unsigned keys;
    int doubt;             /* the key that a request was about which nobody answered; -1: none */
    struct kept otherwise; /* what that key is, if it was done */
    struct trace *trace;
    size_t traces, room;
    /* The last backup, as a request restores it has it, and the keys that it has. */
    char *backup;
    struct kept *backed_up;
    unsigned backed_up_keys;
    bool restoring; /* a restore of all of it was not answered */
    int64_t wiped;  /* releases of keys before they were wiped */
    /* Of the run. */
    bool harsh; /* each death is one of the power, and nothing is there but what was synced */
    unsigned acknowledged, unanswered, deaths;
    char complaint[512]; /* the first; "": none */
};

extern uint64_t kills_draws;
uint64_t kills_draw(uint64_t below);
void kills_complain(struct kills *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* kills_ask.c. The answer's status, or 0 where the process died of it. */
int kills_ask(struct kills *k, const char *method, const char *path, const char *token, const char *body);
/* One of the requests that there are, on a key that may have it; false where the process died. */
bool kills_deed(struct kills *k);
bool kills_restore_all(struct kills *k);
void kills_hang_up(struct kills *k);

/* kills_check.c */
void kills_look(struct kills *k, unsigned key); /* values and traces of a key as it is now */
void kills_check(struct kills *k);              /* all keys; what was in doubt is decided */
void kills_search(struct kills *k,
                  bool all); /* the files, for what was destroyed; all: also where nobody was answered */
void kills_check_log(struct kills *k); /* as many releases as rows */

/* kills_client.c: of $COFRE_PROGRAM, while it writes a backup or another passphrase for a root; the service runs. */
void kills_of_clients(struct kills *k, unsigned backups, unsigned passphrases);

#endif
