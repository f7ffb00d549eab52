/* cofred as a whole, as root: its own host (tests/unit/host/hands/world.h), with the stand-in for cofre-vmm, and a client of its API. */
#ifndef COFRE_TEST_HOST_WHOLE_H
#define COFRE_TEST_HOST_WHOLE_H

#include <sys/types.h>

#include "tests/unit/host/hands/world.h"
#include "vmm/base/json.h"

struct whole {
    struct world world; /* of which hands is not started by the test */
    char state[128], run[128], socket[160], config[128];
    const char *program;          /* cofred */
    unsigned first_user, decider; /* of guests; the decider's, and behind it the gate's */
    pid_t cofred;
};

/* What its configuration has besides. Texts are JSON with " and a comma before each, or empty. */
struct whole_wish {
    unsigned
        first_user; /* of guests; a hundred later, the parts'. Tests that run at the same time have others */
    const char *listen;         /* elements of "listen" */
    const char *whole, *access; /* members of the configuration; of "access" */
};
/* NULL, or why the tests cannot run here. */
const char *whole_make(struct whole *w, const char *program, const char *stand_in);
const char *whole_make_as(struct whole *w, const char *program, const char *stand_in,
                          const struct whole_wish *wish);
void whole_free(struct whole *w);
/* Until it serves. */
void whole_start(struct whole *w);
/* With that signal; its status. */
int whole_stop(struct whole *w, int number);
/* A part's process, some connection's by "parser", or a guest's by "guest"; 0: there is none. */
pid_t whole_part(struct whole *w, const char *name);

/* Of guests, whosever. */
size_t whole_guest_processes(const struct whole *w);

/* One request; its status, 0: there was no answer. path is behind /v1; body is JSON with ' for ", or NULL. *answer, where it is wanted, is the
 * caller's; NULL where the answer is no JSON. */
int whole_ask(struct whole *w, const char *method, const char *path, const char *body, json_t **answer);
/* Text of an answer that is none. The caller frees it. */
char *whole_read(struct whole *w, const char *path);
/* A page of /audit as this user has it: its status, and its text in *text, which the caller frees. */
int whole_page(struct whole *w, uid_t user, const char *path, char **text);
/* The same as whole_ask; fails the test where the status is another. */
json_t *whole_must(struct whole *w, int status, const char *method, const char *path, const char *body);
/* Bytes as an image; its digest in out. The first gives the status, 0 where there was no answer. */
int whole_put(struct whole *w, const char *tenant, const char *text, char out[static 80]);
void whole_image(struct whole *w, const char *tenant, const char *text, char out[static 80]);

#endif
