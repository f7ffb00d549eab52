/*
 * Between the files of this room. A call is one thing to be done in a transaction with its entry in the log: what somebody asked,
 * the second half of that when hands has answered, or news. Calls that are there in one turn of the event loop share a transaction
 * (turn.c), and are answered when it was kept.
 */
#ifndef COFRE_HOST_DECIDE_PARTS_H
#define COFRE_HOST_DECIDE_PARTS_H

#include <event2/event.h>
#include <pthread.h>
#include <sys/queue.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/audit/audit.h"
#include "vmm/host/decide/decider.h"
#include "vmm/host/front/caller.h"
#include "vmm/host/hands/hands_client.h"
#include "vmm/host/images/images.h"
#include "vmm/host/store/guest.h"
#include "vmm/host/store/tenant.h"

struct decider;
struct call;

/* In the transaction, perhaps several times: from the rows alone, or from what stays in the call. Negative: it was not done, whatever
 * it wrote is taken back, and the sentence is the caller's to read. */
typedef int call_work(struct call *call, struct cofre_err *err);
/* When the transaction was kept and the call, where somebody waits, was answered: what it leads to outside of the database. */
typedef void call_then(struct call *call);

struct call {
    struct decider *decider;
    struct caller *caller;          /* NULL: nobody asked, or is gone */
    struct message_request request; /* operation NULL: nobody asked */
    struct access_caller who;
    const char *shown; /* how who was shown: "certificate", "socket", "token", "none" */
    char id[33];       /* of the request, in the log */
    call_work *work;
    bool decided; /* the second half of one that was allowed in an earlier turn */
    uint32_t
        run; /* that it is about, where nobody asked, and in the second half, when its name may be another guest's */
    struct {
        int64_t number;
        char by[ACCESS_PRINCIPAL_SIZE];
    } approval; /* that it is carried out by; 0: none */

    /* One attempt's: */
    struct db *db;
    struct audit_turn *turn;
    int64_t now;
    struct access_decision decision;
    struct tenant tenant;
    struct guest_row guest;
    char *before, *after;          /* documents, for the log */
    char object[LOG_NAME_MAX + 1]; /* what it was done to, where neither path nor name says it */
    int rc;
    struct cofre_err err;
    json_t *answer;
    bool recorded; /* the log has an entry of this attempt */
    bool begun;    /* what becomes of it is yet to be seen: the answer, if hold, and an entry of its own */
    bool hold;     /* no answer yet: then has the call, and finishes it */
    call_then *then;

    /* Between halves: what hands said, and what a job made. */
    int hands_rc;
    struct cofre_err hands_err;
    struct hands_answer *hands; /* owned */
    void *data;                 /* work's and then's own */
    void (*free_data)(void *data);
    STAILQ_ENTRY(call) entry; /* of those that wait for a turn */
    LIST_ENTRY(call) every;
};
STAILQ_HEAD(calls, call);
LIST_HEAD(every_call, call);

struct waiter;
struct stream;
struct starter;
struct alarm;
TAILQ_HEAD(waiters, waiter);
TAILQ_HEAD(streams, stream);
TAILQ_HEAD(starters, starter);
TAILQ_HEAD(alarms, alarm);

#define EVENTS_KEPT 1024

struct decider {
    const struct decider_config *config;
    struct event_base *base;
    struct db *db;
    struct access *access;
    struct audit *audit;
    struct images *images;
    struct clock *clock; /* NULL: no TPM is asked */
    struct callers *callers;
    struct hands_client *hands;
    struct calls waiting; /* for the next turn */
    struct every_call calls;
    struct event *turn, *end, *alive;
    struct hands_host host; /* as hands last said */
    struct waiters waiters;
    struct streams streams;
    struct starters starters;
    struct alarms alarms;
    struct happening {
        uint64_t number; /* 0: none */
        char name[32], tenant[64];
        json_t *what; /* owned */
        json_t *labels;
    } happened[EVENTS_KEPT];
    uint64_t happenings;  /* so far */
    uint64_t not_growth;  /* entries of the turn that no TPM need vouch for */
    bool grew;            /* the log, by others, in the turn */
    uint64_t answered[6]; /* by hundreds of their status */
    int lost;             /* why the loop ended: 0, or negative */
    struct cofre_err why;
};

/* turn.c */
enum log_operation_outcome call_outcome(const struct call *call);
/* The name of what it is of, as far as path and body say; "". */
const char *call_object(const struct call *call);
/* From a request, which is taken over; runs in the next turn. */
void call_ask(struct decider *d, struct caller *caller, struct message_request *request);
/* One that nobody asked for. NULL: no memory. */
struct call *call_new(struct decider *d, call_work *work);
void call_later(struct call *call); /* in the next turn */
void call_free(struct call *call);
void calls_forget(struct decider *d, const struct caller *caller); /* who is gone */
void turn_run(evutil_socket_t fd, short events, void *decider);
/* The second half of a call that was allowed in an earlier turn: work runs in the next one, and its caller is answered then. */
void call_again(struct call *call, call_work *work);
/* Answers now, by rc and answer, and frees; for calls that were held. */
void call_finish(struct call *call);
/* Has hands do something, and work run in a turn when it has; with what it said in hands_rc and hands. */
void call_hands(struct call *call, enum hands_what what, uint32_t run, const void *body, call_work *work);
/* Has hands do something that nobody waits for; where it cannot, a line says so. */
void hands_do(struct decider *d, enum hands_what what, uint32_t run);
const char *call_tenant(const struct call *call); /* of the path; NULL */
const char *call_part(const struct call *call, size_t index);
uint64_t call_query(const struct call *call, const char *name, uint64_t otherwise);

/* job.c: within whatever waits for it, which fills in the first three. */
struct job {
    int (*work)(
        void *context,
        struct cofre_err *err);  /* in a thread of its own, with nothing that the loop changes meanwhile */
    void (*done)(void *context); /* in the loop, when work has ended; may free the job */
    void *context;
    int rc; /* work's */
    struct cofre_err err;
    pthread_t thread;
    bool runs;
    struct event *over;
};
/* -COFRE_FAILED: it was not begun, and done is not called. */
int job_begin(struct job *job, struct event_base *base, struct cofre_err *err);
/* Waits for work, whose done is then not called. One that was not begun, or is over, is fine. */
void job_end(struct job *job);

/* telling.c: journald is told what the log was; when the transaction was kept. */
void tell_operation(const struct call *call);
void tell_guest(const struct decider *d, const char *state, const struct guest_row *guest);

/* What it is answered; of a call that has come to its end. *code: NULL where it was done. */
int call_status(const struct call *call, const char **code, const char **sentence);

/* clock.c: what a TPM vouches for of the log. A clock is NULL where none is asked. */
struct clock_figures {
    uint64_t size; /* entries that it vouches for, of this start; 0: none yet */
    uint64_t failures;
    bool fails;
};
int clock_open(struct clock **out, struct decider *d, struct cofre_err *err);
void clock_close(struct clock *c);
void clock_begin(struct clock *c);    /* it serves */
void clock_log_grew(struct clock *c); /* by entries that are not its own */
void clock_turned(struct clock *c);   /* a turn is over, and what was to be written is */
/* It is to end: true where the end waits for the TPM, and comes by itself, in 3 seconds at most. */
bool clock_holds_end(struct clock *c);
const struct clock_figures *clock_figures(const struct clock *c);

/* held.c: carries out what was approved: when it was, and, what is left of it, after the start. */
void held_carry_out(struct decider *d);
/* In the transaction: what became of it is kept. Nothing where the call is of no approval, or goes on. */
int held_settle(struct call *call, struct cofre_err *err);

/* operations.c: what is done of each of the table's operations. */
call_work *operation_work(const struct operation *operation);

/* tenants.c, guests.c, running.c, images.c, access.c, records.c, host.c, streams.c, waiting.c, events.c */
#define WORK(name) int name(struct call *call, struct cofre_err *err)
WORK(work_tenant_create);
WORK(work_tenant_list);
WORK(work_tenant_show);
WORK(work_tenant_update);
WORK(work_tenant_delete);
WORK(work_guest_create);
WORK(work_guest_list);
WORK(work_guest_show);
WORK(work_guest_update);
WORK(work_guest_delete);
WORK(work_guest_start);
WORK(work_guest_stop);
WORK(work_guest_kill);
WORK(work_guest_restart);
WORK(work_guest_pause);
WORK(work_guest_resume);
WORK(work_guest_limit);
WORK(work_guest_wait);
WORK(work_guest_console);
WORK(work_guest_input);
WORK(work_guest_logs);
WORK(work_guest_evidence);
WORK(work_guest_statistics);
WORK(work_image_add);
WORK(work_image_list);
WORK(work_image_show);
WORK(work_image_delete);
WORK(work_image_tag);
WORK(work_access);
WORK(work_audit_entries);
WORK(work_audit_head);
WORK(work_audit_proof);
WORK(work_audit_consistency);
WORK(work_audit_retain);
WORK(work_host_show);
WORK(work_host_metrics);
WORK(work_event_stream);

/* admission.c: within the transaction. -COFRE_LACKING with numbers. */
int admission_check_start(struct call *call, const struct guest_row *guest, const json_t *definition,
                          struct cofre_err *err);
int admission_check_guests(struct call *call, struct cofre_err *err);
/* *out: what the tenant's running guests hold, by the names of quotas. */
int admission_used(json_t **out, struct call *call, const char *tenant, struct cofre_err *err);
uint64_t tenant_quota(const struct tenant *tenant, const char *name); /* UINT64_MAX: none */

/* definition.c: what hands is told. -COFRE_USAGE: this host cannot have it so. Descriptors and disks are the starter's. */
int definition_to_start(struct hands_start *out, const json_t *definition,
                        const struct decider_config *config, struct cofre_err *err);
int definition_to_limits(struct hands_limits *out, const json_t *limits, struct cofre_err *err);
/* The images that it names, DEFINITION_IMAGES at most; the result is their number. */
#define DEFINITION_IMAGES 16
int definition_images(struct image_digest out[static DEFINITION_IMAGES], const json_t *definition,
                      struct cofre_err *err);
/* A definition with its name taken out, and a name put in. */
json_t *definition_unnamed(const json_t *definition);

/* starting.c: opens what a guest needs, and has hands start it; what goes wrong is told as its end. */
void starting_begin(struct decider *d, const struct guest_row *guest, uint32_t former_run);
void starters_free(struct decider *d);

/* running.c */
/* The row takes the event, or the sentence says why it cannot. Writes the row and tells who listens. */
int guest_happens(struct call *call, struct guest_row *guest, enum guest_event event, struct cofre_err *err);

/* news.c */
void news_arrive(struct decider *d, const struct hands_answer *news);
/* A run ended, or never came to be. status -1: not known. */
void news_of_end(struct decider *d, uint32_t run, int32_t status, bool out_of_memory, const char *why);
/* It ended as hands says; its result file has more. */
void news_of_run(struct decider *d, uint32_t run, const struct hands_ended *how);
/* A launch of it is final. */
void news_of_launch(struct decider *d, uint32_t run);
/* Where its row says that it is to be started again, it is. */
void news_of_time(struct decider *d, uint32_t run);
/* The row says that it starts, with a run of its own; then has it begun. For starts that somebody asks for, and for those that follow an
 * end. */
int guest_begin(struct call *call, struct cofre_err *err);
void guest_ask_to_end(struct decider *d, uint32_t run, unsigned seconds);

/* reconcile.c: after start, rows and hands' list are brought together; then decider_serve. */
void reconcile(struct decider *d);

/* decider.c: it is known what runs. Nobody is heard before: what he has started would not be in hands' list, and be begun twice. */
int decider_serve(struct decider *d, struct cofre_err *err);

/* alarms.c: timers of guests. */
void alarm_set(struct decider *d, uint32_t run, unsigned seconds,
               void (*ring)(struct decider *d, uint32_t run));
void alarms_drop(struct decider *d, uint32_t run);
void alarms_free(struct decider *d);

/* waiting.c, streams.c, events.c: what lasts longer than a turn. */
void waiters_look(struct decider *d, const struct guest_row *guest);
void waiters_forget(struct decider *d, const struct caller *caller);
void waiters_free(struct decider *d);
void streams_forget(struct decider *d, const struct caller *caller);
void streams_drained(struct decider *d, struct caller *caller);
void streams_of_run_end(struct decider *d, uint32_t run);
void streams_free(struct decider *d);
void event_happens(struct decider *d, const char *name, const struct guest_row *guest);
void events_free(struct decider *d);

#endif
