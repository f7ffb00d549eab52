/* What takes longer than a turn may: done in a thread, and answered in the loop. */
#include "vmm/host/decide/parts.h"

static void *do_it(void *context)
{
    struct job *job = context;
    job->rc = job->work(job->context, &job->err);
    event_active(job->over, EV_READ, 0);
    return NULL;
}

static void over(evutil_socket_t fd, short events, void *context)
{
    struct job *job = context;
    (void)fd;
    (void)events;
    job_end(job);
    job->done(job->context);
}

int job_begin(struct job *job, struct event_base *base, struct cofre_err *err)
{
    job->over = event_new(base, -1, 0, over, job);
    if (!job->over || pthread_create(&job->thread, NULL, do_it, job) != 0) {
        job_end(job);
        return cofre_fail(err, COFRE_FAILED, "no thread for what takes long");
    }
    job->runs = true;
    return 0;
}

void job_end(struct job *job)
{
    if (job->runs)
        pthread_join(job->thread, NULL);
    job->runs = false;
    if (job->over)
        event_free(job->over);
    job->over = NULL;
}
