/* A host of the test's own for hands: control groups mounted in a mount namespace, a network namespace with a bridge, a directory,
 * and the stand-in for cofre-vmm. Hands runs in a process that can be killed and comes again. */
#ifndef COFRE_TEST_HANDS_WORLD_H
#define COFRE_TEST_HANDS_WORLD_H

#include <stdbool.h>

#include "vmm/host/hands/hands_client.h"
#include "vmm/host/hands/hands_server.h"

#define WORLD_FIRST_USER 870000
#ifndef WORLD_GUESTS /* a benchmark has more */
#define WORLD_GUESTS 6
#endif
/* What the stand-in prints when it is asked to end. */
#define WORLD_RESULT "{\"ended\": \"power-off\", \"exit_code\": 0}\n"

struct world {
    struct hands_config config;
    char emulated[96], directory[64], guests[96], cgroup[128], program[96], kernel[96], disk[96];
    bool bridge; /* there is one */
    unsigned controllers;
    pid_t hands;
    struct hands_client *client;
    struct event_base *base;
    /* Of the last answer */
    int rc, fd;
    struct hands_answer answer;
    struct cofre_err why;
    /* Of news, by guest (below 64) */
    bool ended[64], lost;
    unsigned launched[64];
    struct hands_ended end[64];
};

/* NULL, or why the tests cannot run here. */
const char *world_make(struct world *w, const char *stand_in);
void world_free(struct world *w);
void world_start_hands(struct world *w);
/* kill: without a chance to clean up; else its decider goes. */
void world_stop_hands(struct world *w, bool kill);

/* Asks and waits for the answer; its code. */
int world_ask(struct world *w, enum hands_what what, uint32_t guest, const void *body, const int *fds,
              unsigned count);
/* A guest whose stand-in does these words, with limits that may be NULL. */
int world_guest(struct world *w, uint32_t guest, const char *words, const struct hands_limits *limits);
/* A start message for more than that; the kernel's descriptor comes first. */
struct hands_start world_start(const char *words);
/* Turns the loop until it is so; fails the test after 60 seconds. */
void world_until(struct world *w, bool (*so)(struct world *w, uint32_t guest, const char *text),
                 uint32_t guest, const char *text);
bool world_has_ended(struct world *w, uint32_t guest, const char *none);
bool world_was_launched(struct world *w, uint32_t guest, const char *none);
/* Its file (of the console where it does not begin with "log:") has the text. */
bool world_says(struct world *w, uint32_t guest, const char *text);
/* The file's text, in one static buffer. */
const char *world_read(struct world *w, uint32_t guest, enum hands_file file);
/* Nothing of any guest is on the host: groups, directories, interfaces, processes of its users. Otherwise what it is. */
const char *world_leftover(struct world *w);

#endif
