#include "vmm/base/thread.h"

#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

static int (*begin_with)(const char *kind, struct cofre_err *err);

void thread_begin_with(int (*confine)(const char *kind, struct cofre_err *err))
{
    begin_with = confine;
}

/* Lies on the starter's stack until the thread has begun. */
struct start {
    const char *kind;
    void *(*run)(void *context);
    void *context;
    struct cofre_err *err;
    int rc;
    sem_t begun;
};

static void *begin(void *context)
{
    struct start *start = context;
    void *(*run)(void *) = start->run;
    void *its_context = start->context;
    (void)prctl(PR_SET_NAME, start->kind);
    int rc = begin_with ? begin_with(start->kind, start->err) : 0;
    start->rc = rc;
    sem_post(&start->begun);
    return rc ? NULL : run(its_context);
}

int thread_start(pthread_t *out, const char *kind, void *(*run)(void *context), void *context,
                 struct cofre_err *err)
{
    struct start start = {.kind = kind, .run = run, .context = context, .err = err};
    sigset_t all, before;
    sem_init(&start.begun, 0, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(out, NULL, begin, &start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        sem_destroy(&start.begun);
        return cofre_fail(err, COFRE_FAILED, "thread of %s: %s", kind, strerror(error));
    }
    while (sem_wait(&start.begun) < 0)
        continue;
    if (start.rc)
        pthread_join(*out, NULL);
    sem_destroy(&start.begun);
    return start.rc;
}
