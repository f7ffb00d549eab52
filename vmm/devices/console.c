#include "vmm/devices/console.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum queue { RECEIVE = 0, TRANSMIT = 1 };

#define PIECE 4096 /* PIPE_BUF: a pipe that can be written to at all takes that much at once */

struct console {
    struct virtio_device virtio;
    struct loop_source in, out;
    bool busy; /* output is under way, and can go on at sent */
    struct queue_chain sending;
    uint64_t sent;
};

static bool can_write(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) > 0;
}

/* False when the descriptor takes no more now. Output that the host refuses for good is dropped. */
static bool send_on(struct console *c)
{
    uint8_t piece[PIECE];
    while (c->sent < c->sending.readable_len) {
        if (!can_write(c->out.fd))
            return false;
        ssize_t n = write(c->out.fd, piece, chain_read(&c->sending, c->sent, piece, sizeof piece));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        c->sent = n <= 0 ? c->sending.readable_len : c->sent + (uint64_t)n;
    }
    return true;
}

static void transmit(struct console *c)
{
    while (c->busy || virtio_next(&c->virtio, TRANSMIT, &c->sending)) {
        if (!c->busy)
            c->sent = 0;
        c->busy = !send_on(c);
        if (c->busy)
            break;
        virtio_done(&c->virtio, TRANSMIT, &c->sending, 0);
    }
    (void)loop_watch(virtio_loop(&c->virtio, 0), &c->out, c->busy ? EPOLLOUT : 0);
}

static void out_ready(void *context, uint32_t events)
{
    (void)events;
    transmit(context);
}

/* Input is read only when the guest has a buffer for it; without one the source sleeps until the queue is
 * notified. */
static void in_ready(void *context, uint32_t events)
{
    struct console *c = context;
    struct queue_chain chain;
    uint8_t input[256];
    (void)events;
    if (!virtio_next(&c->virtio, RECEIVE, &chain)) {
        (void)loop_watch(virtio_loop(&c->virtio, 0), &c->in, 0);
        return;
    }
    size_t room = chain.writable_len < sizeof input ? chain.writable_len : sizeof input;
    ssize_t n = read(c->in.fd, input, room);
    size_t written = n > 0 ? chain_write(&chain, 0, input, (size_t)n) : 0;
    virtio_done(&c->virtio, RECEIVE, &chain, written);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        (void)loop_watch(virtio_loop(&c->virtio, 0), &c->in, 0);
        c->in.fd = -1;
    }
}

static void console_queue(void *device, unsigned index)
{
    struct console *c = device;
    if (index == TRANSMIT)
        transmit(c);
    else if (c->in.fd >= 0 && !loop_watch(virtio_loop(&c->virtio, 0), &c->in, EPOLLIN))
        c->in.fd = -1; /* a regular file: nobody types into it */
}

static void console_reset(void *device)
{
    struct console *c = device;
    c->busy = false;
    (void)loop_watch(virtio_loop(&c->virtio, 0), &c->in, 0);
    (void)loop_watch(virtio_loop(&c->virtio, 0), &c->out, 0);
}

static const struct virtio_ops console_ops = {
    .name = "console",
    .id = VIRTIO_ID_CONSOLE,
    .class_code = 0x078000,
    .queues = 2,
    .queue_size = 64,
    .queue = console_queue,
    .reset = console_reset,
    .free = free,
};

int virtio_console_new(struct virtio_device **device, int in, int out, struct cofre_err *err)
{
    struct console *c = calloc(1, sizeof *c);
    if (!c)
        return cofre_fail(err, COFRE_FAILED, "console device: out of memory");
    int rc = virtio_init(&c->virtio, &console_ops, c, err);
    if (rc) {
        free(c);
        return rc;
    }
    c->virtio.config_len =
        12; /* cols, rows, max_nr_ports, emerg_wr (5.3.4): none is offered, all read as zero */
    c->in = (struct loop_source){.fd = in, .ready = in_ready, .context = c};
    c->out = (struct loop_source){.fd = out, .ready = out_ready, .context = c};
    *device = &c->virtio;
    return 0;
}
