#include "vmm/host/images/work.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

struct images_work {
    images_run run;
    void *context;
    void (*release)(void *context); /* of ours; NULL: it is the caller's */
    pthread_t thread;
    int stop, over; /* event counters */
    int result;
    struct cofre_err err;
};

static void tell(int counter)
{
    const uint64_t one = 1;
    while (write(counter, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void *run(void *context)
{
    struct images_work *work = context;
    work->result = work->run(work->context, work->stop, &work->err);
    tell(work->over);
    return NULL;
}

static void release(struct images_work *work)
{
    if (work->release)
        work->release(work->context);
    if (work->stop >= 0)
        close(work->stop);
    if (work->over >= 0)
        close(work->over);
    free(work);
}

/* Signals are the loop's to handle. */
static int start_thread(struct images_work *work)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&work->thread, NULL, run, work);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static int start(struct images_work **out, images_run what, void *context, void (*free_context)(void *),
                 struct cofre_err *err)
{
    struct images_work *work = malloc(sizeof *work);
    if (!work) {
        if (free_context)
            free_context(context);
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    *work = (struct images_work){.run = what,
                                 .context = context,
                                 .release = free_context,
                                 .stop = eventfd(0, EFD_CLOEXEC),
                                 .over = eventfd(0, EFD_CLOEXEC)};
    int error = work->stop < 0 || work->over < 0 ? errno : start_thread(work);
    if (error) {
        release(work);
        return cofre_fail(err, COFRE_LACKING, "the host has no thread left for it: %s", strerror(error));
    }
    *out = work;
    return 0;
}

int images_work_start(struct images_work **out, images_run what, void *context, struct cofre_err *err)
{
    return start(out, what, context, NULL, err);
}

int images_work_fd(const struct images_work *work)
{
    return work->over;
}

int images_work_end(struct images_work *work, struct cofre_err *err)
{
    tell(work->stop);
    pthread_join(work->thread, NULL);
    const int result = work->result;
    if (err && result < 0)
        *err = work->err;
    release(work);
    return result;
}

/* An upload. */

#define PIECE (256u << 10)

struct receiving {
    int fd;
    struct image_upload *upload;
};

static void free_receiving(void *context)
{
    struct receiving *r = context;
    close(r->fd);
    free(r);
}

/* 1: there is something to read, or the end of it. */
static int wait_for(const struct receiving *r, int stop, struct cofre_err *err)
{
    struct pollfd fds[] = {{.fd = r->fd, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
    int n;
    do
        n = poll(fds, 2, IMAGE_RECEIVE_SECONDS * 1000);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return cofre_fail(err, COFRE_MALFORMED, "the upload stopped: no byte of it came for %d seconds",
                          IMAGE_RECEIVE_SECONDS);
    if (n < 0 || fds[1].revents)
        return cofre_fail(err, COFRE_FAILED, "the upload was given up");
    return 1;
}

static int receive(void *context, int stop, struct cofre_err *err)
{
    const struct receiving *r = context;
    CLEAN_FREE uint8_t *buffer = malloc(PIECE);
    if (!buffer)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    for (;;) {
        int rc = wait_for(r, stop, err);
        if (rc < 0)
            return rc;
        const ssize_t n = read(r->fd, buffer, PIECE);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n == 0)
            return image_upload_finish(r->upload, err);
        rc = n < 0 ? cofre_fail(err, COFRE_FAILED, "the upload broke off: %s", strerror(errno))
                   : image_upload_write(r->upload, (struct view){buffer, (size_t)n}, err);
        if (rc < 0)
            return rc;
    }
}

int image_receive(struct images_work **out, int fd, struct image_upload *upload, struct cofre_err *err)
{
    struct receiving *r = malloc(sizeof *r);
    if (!r) {
        close(fd);
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    *r = (struct receiving){fd, upload};
    return start(out, receive, r, free_receiving, err);
}

/* A disk. */

struct making {
    struct images *images;
    struct guest_disk disk;
    int image;
};

static void free_making(void *context)
{
    struct making *m = context;
    if (m->image >= 0)
        close(m->image);
    free(m);
}

static int make(void *context, int stop, struct cofre_err *err)
{
    const struct making *m = context;
    (void)stop;
    return guest_disk_make(m->images, &m->disk, m->image, err);
}

int guest_disk_make_apart(struct images_work **out, struct images *images, const struct guest_disk *disk,
                          int image, struct cofre_err *err)
{
    struct making *m = malloc(sizeof *m);
    if (!m) {
        if (image >= 0)
            close(image);
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    *m = (struct making){images, *disk, image};
    return start(out, make, m, free_making, err);
}
