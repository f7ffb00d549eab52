/*
 * A soak of cofre-trust as a process: clients that ask well, badly, slowly, or leave, while it is killed at moments drawn from a
 * seed. What any client was told is noted, and held against the service, its log and its database afterwards.
 */
#ifndef TESTS_UNIT_SERVICE_SOAK_H
#define TESTS_UNIT_SERVICE_SOAK_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "attest/cose/key.h"
#include "attest/log/head.h"
#include "attest/store/result.h"
#include "tests/unit/service/process.h"

/* In a client's thread, where cmocka has no say. */
#define SOAK_CHECK(CONDITION, ...)                                                                           \
    do {                                                                                                     \
        if (!(CONDITION)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #CONDITION);                                  \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fputc('\n', stderr);                                                                             \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* A result that was acknowledged: 200, read whole. */
struct acknowledged {
    char id[RESULT_ID_SIZE];
    uint8_t nonce[32];
    uint8_t token[32], body[32]; /* SHA-256 of the CWT, and of the answer */
    int64_t entry;               /* its number in the log */
};

struct soak {
    struct fixture *f;
    struct process process;
    struct cose_keys keys;
    atomic_uint begun;  /* requests of this run */
    unsigned requests;  /* that it has */
    sem_t progress;     /* posted as each begins */
    atomic_uint broken; /* answers that a kill or the service's own end of a connection cut off */
    /* Under the lock. */
    pthread_mutex_t lock;
    struct acknowledged *told;
    size_t count, room;
    struct log_head *head; /* that clients have seen, and verified */
    size_t heads, head_room;
};

/* soak_seen.c */
void soak_note_result(struct soak *soak, const struct acknowledged *told);
bool soak_any_result(struct soak *soak, struct acknowledged *out, uint64_t number); /* false: none yet */
/* Two heads of one size have one root. */
void soak_note_head(struct soak *soak, const struct log_head *head);
bool soak_any_head(struct soak *soak, struct log_head *out, uint64_t number);

#define SOAK_SLOW 4 /* connections of one client on which a request comes byte by byte */

/* One of several clients, each a thread. */
struct talk {
    struct client client;
    bool open;
};
struct soak_client {
    struct soak *soak;
    uint64_t state; /* of its random numbers */
    struct talk talk[2], slow[SOAK_SLOW];
    size_t slow_sent[SOAK_SLOW];
    char request[1 << 17], answer[1 << 18];
};

/* soak_ask.c */
uint64_t soak_any(struct soak_client *c, uint64_t below);
void soak_write(struct soak_client *c, const char *method, const char *path, const char *token,
                const char *body);
bool talk_open(struct soak_client *c, struct talk *t);
void talk_close(struct talk *t);
/* Sends this text, whatever it is; opens the connection where it is not. False where it broke. */
bool talk_send(struct soak_client *c, struct talk *t, const char *text);
/* The status of the answer, in c->answer; 0 where the connection broke, which is then closed. */
int talk_answer(struct soak_client *c, struct talk *t);
/* Asks c->request until it is answered, and not by 503: what a client does that wants its answer. */
int soak_ask(struct soak_client *c);
const char *soak_body(const struct soak_client *c);

/* soak_kinds.c: a client's whole life: takes requests of the run until there are no more, and is freed. */
void *soak_client_run(void *client);

/* soak_check.c: everything that was noted, against what is there; afterwards no process is needed. */
void soak_check_results(struct soak *soak, size_t from);
void soak_check_log(struct soak *soak);
void soak_check_database(struct soak *soak);
/* What one answer says; verified. */
void soak_read_result(struct soak *soak, struct acknowledged *out, const char *body, const char *outcome);

#endif
