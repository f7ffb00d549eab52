/* A whole service in this process, on a folder of its own, and a client of it. */
#ifndef TESTS_UNIT_SERVICE_FIXTURE_H
#define TESTS_UNIT_SERVICE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "attest/log/entry.h"
#include "attest/service/service.h"
#include "attest/store/db.h"
#include "tests/unit/service/client.h"

struct fixture {
    char folder[64], certificate[96], key[96], ca[96], database[96];
    struct identity identity, client;
    struct trust_config config;
    struct trust *trust;
    int64_t (*clock)(void);
    struct db *db; /* the same, beside it */
    uint16_t port;
    struct client connection;
    char answer[1 << 18];
};

#define FIXTURE_NAME "https://trust.example"

/* Each role has a token of its own name, which expires a second after now. Files for the configuration may be written into the folder,
 * and config changed, between the two. */
struct fixture *fixture_new(int64_t (*clock)(void));
void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f); /* the service alone */
void fixture_free(struct fixture *f);

void fixture_add_credential(struct fixture *f, const char *token, const char *roles, const char *scope,
                            int64_t expires);

/* token NULL: none is shown; body NULL: none is sent; header: further lines, or NULL. The status; the answer is in f->answer. */
int ask_with(struct fixture *f, struct client *c, const char *method, const char *path, const char *token,
             const char *header, const char *body);
int ask(struct fixture *f, const char *method, const char *path, const char *token, const char *body);
const char *answer_body(struct fixture *f);
json_t *answer_json(struct fixture *f); /* the caller's */
/* The log's entry of that number, as an auditor gets it. */
struct log_entry entry_of(struct fixture *f, unsigned number);
void assert_member(struct fixture *f, const char *name, const char *value);

extern const char *const role_words[];
#define ROLE_WORDS 8

/* The root under which the service of a fixture keeps keys for guests. */
extern const uint8_t fixture_root[32];

#endif
