#include "vmm/devices/net_pair.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "vmm/base/bytes.h"
#define LOG_ROOM "net"
#include "vmm/base/log.h"

#define BURST              16 /* packets to the driver before it hears of them, and the other direction has its turn */
#define OFFSET_NUM_BUFFERS 10

static unsigned queue_of(const struct net_pair *pair, enum net_direction direction)
{
    return 2 * pair->index + direction;
}

static void drop(struct net_pair *pair, enum net_direction direction)
{
    atomic_fetch_add(&pair->net->dropped[direction], 1);
}

/* Whether more may move that way now. If not, the pair is called again when it may. */
static bool may_move(struct net_pair *pair, enum net_direction direction)
{
    static const enum rate rate_of[] = {[NET_RECEIVE] = RATE_NETWORK_IN, [NET_TRANSMIT] = RATE_NETWORK_OUT};
    struct virtio_device *virtio = &pair->net->virtio;
    struct pace *pace = direction == NET_RECEIVE ? &pair->rx.pace : &pair->tx.pace;
    uint64_t wait =
        pair->net->backend->paced ? rates_network_wait(virtio->rates, rate_of[direction], pace) : 0;
    pair->slow[direction] = wait != 0;
    if (wait && (!pair->wait || wait < pair->wait))
        pair->wait = wait;
    return !wait;
}

static void has_moved(struct net_pair *pair, enum net_direction direction, size_t packet)
{
    const struct rates *rates = pair->net->virtio.rates;
    size_t frame = packet - sizeof(struct net_header);
    if (!pair->net->backend->paced)
        return;
    if (direction == NET_RECEIVE)
        rates_network_moved(rates, RATE_NETWORK_IN, &pair->rx.pace, frame);
    else
        rates_network_moved(rates, RATE_NETWORK_OUT, &pair->tx.pace, frame);
}

/* To the driver */

/* Takes buffers until a packet of that length fits; a driver without NET_MRG_RXBUF has each packet in one. */
static void gather(struct net_pair *pair, size_t want)
{
    struct net_receive *rx = &pair->rx;
    struct virtio_device *virtio = &pair->net->virtio;
    unsigned most = virtio_has(virtio, NET_MRG_RXBUF) ? QUEUE_SIZE_MAX : 1;
    while (rx->room < want && rx->buffers < most && rx->iovs + QUEUE_CHAIN_MAX < NET_IOV_MAX &&
           virtio_next(virtio, queue_of(pair, NET_RECEIVE), &rx->chain)) {
        const struct queue_chain *chain = &rx->chain;
        if (chain->writable_len < sizeof(struct net_header)) {
            virtio_break(virtio, &(struct cofre_err){"a receive buffer that holds no header"});
            return;
        }
        memcpy(rx->iov + rx->iovs, chain->iov + chain->readable, chain->writable * sizeof rx->iov[0]);
        rx->buffer[rx->buffers].used = (struct queue_used){.head = chain->head};
        rx->buffer[rx->buffers].iovs = chain->writable;
        rx->buffer[rx->buffers++].len = chain->writable_len;
        rx->iovs += chain->writable;
        rx->room += chain->writable_len;
    }
}

/* Gives the driver the packet that lies in the buffers, all parts of it at once. */
static void deliver(struct net_pair *pair, size_t len)
{
    struct net_receive *rx = &pair->rx;
    struct queue_used used[QUEUE_SIZE_MAX];
    unsigned n = 0, iovs = 0;
    uint8_t num_buffers[2];
    for (size_t left = len; left; n++) {
        size_t part = rx->buffer[n].len < left ? rx->buffer[n].len : left;
        used[n] = rx->buffer[n].used;
        used[n].written = (uint32_t)part;
        iovs += rx->buffer[n].iovs;
        rx->room -= rx->buffer[n].len;
        left -= part;
    }
    put_le16(num_buffers, (uint16_t)n);
    net_scatter(rx->iov, rx->iovs, OFFSET_NUM_BUFFERS, num_buffers, sizeof num_buffers);
    rx->buffers -= n;
    rx->iovs -= iovs;
    memmove(rx->buffer, rx->buffer + n, rx->buffers * sizeof rx->buffer[0]);
    memmove(rx->iov, rx->iov + iovs, rx->iovs * sizeof rx->iov[0]);
    virtio_done_all(&pair->net->virtio, queue_of(pair, NET_RECEIVE), used, n);
}

/* Brings the packet in wait to its end, if the driver has given buffers for it; drops it where the driver has no more to
 * give. False: not yet. */
static bool unspill(struct net_pair *pair)
{
    struct net_receive *rx = &pair->rx;
    const struct virtio_queue *q = &pair->net->virtio.queue[queue_of(pair, NET_RECEIVE)];
    gather(pair, rx->packet);
    bool fits = rx->room >= rx->packet;
    bool more = virtio_has(&pair->net->virtio, NET_MRG_RXBUF) && rx->iovs < q->ring.size;
    if (!fits && more) {
        rx->starved = true;
        return false;
    }
    if (fits) {
        net_scatter(rx->iov, rx->iovs, rx->spilled_at, rx->spill, rx->packet - rx->spilled_at);
        deliver(pair, rx->packet);
    } else {
        drop(pair, NET_RECEIVE);
    }
    rx->packet = 0;
    rx->starved = false;
    return true;
}

static bool place(struct net_pair *pair, size_t len)
{
    struct net_receive *rx = &pair->rx;
    if (len <= rx->room) {
        deliver(pair, len);
        return true;
    }
    rx->packet = len;
    rx->spilled_at = rx->room;
    return unspill(pair);
}

/* One packet from the backend; false when there is none, or nowhere to put it. */
static bool receive_one(struct net_pair *pair)
{
    struct net_receive *rx = &pair->rx;
    struct net_backend *backend = pair->net->backend;
    size_t len = 0;
    if (rx->packet)
        return unspill(pair);
    if (!rx->partial && !may_move(pair, NET_RECEIVE))
        return false;
    if (!rx->partial)
        gather(pair, NET_PACKET_MAX);
    rx->starved = rx->buffers == 0;
    if (rx->starved || !virtio_live(&pair->net->virtio, queue_of(pair, NET_RECEIVE)))
        return false;
    rx->iov[rx->iovs] = (struct iovec){rx->spill, sizeof rx->spill};
    enum net_outcome outcome = backend->ops->receive(backend, pair->index, rx->iov, rx->iovs + 1, &len);
    rx->partial = outcome == NET_PARTIAL;
    if (outcome == NET_DROPPED)
        drop(pair, NET_RECEIVE);
    if (outcome == NET_GONE)
        net_gone(pair->net);
    if (outcome == NET_DONE)
        has_moved(pair, NET_RECEIVE, len);
    return outcome == NET_DROPPED || (outcome == NET_DONE && place(pair, len));
}

/* From the driver */

/* Reads the header once, and checks it. */
static bool prepare(struct net_pair *pair)
{
    struct net_transmit *tx = &pair->tx;
    struct virtio_device *virtio = &pair->net->virtio;
    if (chain_read(&tx->chain, 0, &tx->header, sizeof tx->header) == sizeof tx->header)
        return net_header_check(&tx->header, tx->chain.readable_len - sizeof tx->header,
                                virtio->driver_features);
    virtio_break(virtio, &(struct cofre_err){"a packet without its header"});
    return false;
}

static enum net_outcome send_held(struct net_pair *pair)
{
    struct net_transmit *tx = &pair->tx;
    struct net_backend *backend = pair->net->backend;
    struct iovec iov[1 + QUEUE_CHAIN_MAX] = {{&tx->header, sizeof tx->header}};
    if (pair->net->gone)
        return NET_DROPPED;
    unsigned n = chain_slice(&tx->chain, false, sizeof tx->header, tx->chain.readable_len - sizeof tx->header,
                             iov + 1);
    return backend->ops->send(backend, pair->index, iov, 1 + n);
}

/* One packet to the backend; false when there is none, or it takes none now. */
static bool transmit_one(struct net_pair *pair)
{
    struct net_transmit *tx = &pair->tx;
    struct virtio_device *virtio = &pair->net->virtio;
    unsigned queue = queue_of(pair, NET_TRANSMIT);
    enum net_outcome outcome = NET_DROPPED;
    if (!tx->held && (!may_move(pair, NET_TRANSMIT) || !virtio_next(virtio, queue, &tx->chain)))
        return false;
    if (tx->held || prepare(pair))
        outcome = send_held(pair);
    tx->held = outcome == NET_LATER;
    if (tx->held || !virtio_live(virtio, queue))
        return false;
    if (outcome == NET_GONE)
        net_gone(pair->net);
    if (outcome == NET_DONE)
        has_moved(pair, NET_TRANSMIT, tx->chain.readable_len);
    else
        drop(pair, NET_TRANSMIT);
    virtio_done(virtio, queue, &tx->chain, 0);
    return true;
}

/* Both */

static void wait_for_more(struct net_pair *pair)
{
    struct virtio_device *virtio = &pair->net->virtio;
    bool in =
        !pair->rx.starved && !pair->slow[NET_RECEIVE] && virtio_live(virtio, queue_of(pair, NET_RECEIVE));
    bool out = pair->tx.held;
    uint32_t events = pair->net->gone ? 0 : (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u);
    struct loop *loop = virtio_loop(virtio, virtio->thread_of[queue_of(pair, NET_RECEIVE)]);
    (void)loop_watch(loop, &pair->source, events);
    if (pair->wait)
        loop_call_later(loop, &pair->again, pair->wait);
    pair->wait = 0;
}

void net_pair_serve(struct net_pair *pair, uint32_t events)
{
    unsigned n = 0;
    while ((events & ~(uint32_t)EPOLLOUT) && !pair->net->gone && n < BURST && receive_one(pair))
        n++;
    while ((events & EPOLLOUT) && transmit_one(pair)) /* virtio_next bounds it */
        continue;
    wait_for_more(pair);
}

static void backend_ready(void *context, uint32_t events)
{
    net_pair_serve(context, events);
}

/* One call serves both directions. */
static void pace_ready(void *context, uint32_t events)
{
    (void)events;
    net_pair_serve(context, EPOLLIN | EPOLLOUT);
}

/* vhost says that a ring is none, and has stopped there. */
static void vhost_fault(void *context, uint32_t events)
{
    struct net_pair *pair = context;
    (void)events;
    (void)loop_watch(virtio_loop(&pair->net->virtio, pair->index), &pair->fault, 0);
    virtio_break(&pair->net->virtio, &(struct cofre_err){"vhost-net found a ring that is none"});
}

static void hand_back(struct net_pair *pair, const struct virtio_vring *vring, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        virtio_take_back(&pair->net->virtio, queue_of(pair, (enum net_direction)i), vring[i].base);
}

static int hand_over(struct net_pair *pair, struct cofre_err *err)
{
    struct virtio_device *virtio = &pair->net->virtio;
    struct virtio_vring vring[2];
    unsigned n = 0;
    eventfd_t count;
    int rc = 0;
    for (; n < 2 && rc == 0; n += rc == 0)
        rc = virtio_hand_over(virtio, queue_of(pair, (enum net_direction)n), &vring[n], err);
    (void)eventfd_read(pair->vhost.fault, &count); /* of a driver before */
    if (rc == 0)
        rc = net_vhost_start(&pair->vhost, virtio->mem, virtio->driver_features, vring,
                             pair->net->backend->fd[pair->index], err);
    if (rc)
        hand_back(pair, vring, n);
    return rc;
}

void net_pair_start(struct net_pair *pair)
{
    const struct virtio_queue *queue = &pair->net->virtio.queue[queue_of(pair, NET_RECEIVE)];
    struct cofre_err err;
    const char *rest;
    if (pair->vhost.fd < 0 || !queue[NET_RECEIVE].enabled || !queue[NET_TRANSMIT].enabled)
        return;
    if (hand_over(pair, &err) == 0)
        (void)loop_watch(virtio_loop(&pair->net->virtio, pair->index), &pair->fault, EPOLLIN);
    else if ((rest = log_allow(&pair->net->complaints)))
        log_warn("%s: served without vhost-net: %s%s", pair->net->backend->name, err.text, rest);
}

void net_pair_init(struct net_pair *pair, struct net *net, unsigned index)
{
    pair->net = net;
    pair->index = index;
    pair->source =
        (struct loop_source){.fd = net->backend->fd[index], .ready = backend_ready, .context = pair};
    pair->again = (struct loop_source){.fd = -1, .ready = pace_ready, .context = pair};
    pair->vhost.fd = pair->vhost.fault = -1;
}

int net_pair_use_vhost(struct net_pair *pair, struct cofre_err *err)
{
    int rc = net_vhost_open(&pair->vhost, err);
    pair->fault = (struct loop_source){.fd = pair->vhost.fault, .ready = vhost_fault, .context = pair};
    return rc;
}

void net_pair_close(struct net_pair *pair)
{
    net_vhost_close(&pair->vhost);
}

void net_pair_reset(struct net_pair *pair)
{
    struct virtio_device *virtio = &pair->net->virtio;
    net_vhost_stop(&pair->vhost);
    (void)loop_watch(virtio_loop(virtio, pair->index), &pair->fault, 0);
    (void)loop_watch(virtio_loop(virtio, pair->index), &pair->source, 0);
    loop_forget_later(virtio_loop(virtio, pair->index));
    struct net_receive *rx = &pair->rx;
    rx->starved = rx->partial = false;
    rx->iovs = rx->buffers = 0;
    rx->room = rx->packet = 0;
    pair->tx.held = false;
}
