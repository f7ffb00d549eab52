/* A decider as cofred starts it, in a process of its own, at the other end of whose hands and gate is the test. */
#ifndef COFRE_TEST_HOST_DECIDE_MADE_UP_HANDS_H
#define COFRE_TEST_HOST_DECIDE_MADE_UP_HANDS_H

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/host/hands/hands.h"
#include "vmm/host/images/images.h"

struct made_decider {
    char folder[64], database[96], key[96], images[96];
    pid_t pid;
    int hands, gate, alive;
    bool heard_early; /* a caller, before it was told what runs */
    bool asked_early; /* something of hands, by its news alone */
    int journal[2];   /* what journald would hear comes at the second */
};

/* A folder with a key, an image store and cofred's tables. */
void made_decider_make(struct made_decider *m);
void made_decider_remove(struct made_decider *m);
/* An image of a tenant's, as its definition names it. */
void made_decider_image(struct made_decider *m, const char *tenant, char out[static IMAGE_DIGEST_TEXT]);
/* Runs it: answers what it asks of hands, all with success, the list with this one; until it asks for nothing more. Then ends it. Each
 * request for a run is told, in order. */
void made_decider_run(struct made_decider *m, const struct hands_list *list,
                      void (*asked)(void *context, const struct hands_request *request), void *context);

#endif
