#include "vmm/devices/net.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "vmm/base/bytes.h"
#define LOG_ROOM "net"
#include "vmm/base/log.h"
#include "vmm/devices/net_pair.h"
#include "vmm/devices/net_passt.h"
#include "vmm/devices/net_spec.h"
#include "vmm/devices/net_tap.h"

/* virtio 1.2, 5.1.4 */
enum net_config { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_PAIRS = 8, CONFIG_MTU = 10, CONFIG_LEN = 12 };
#define LINK_UP 1

/* virtio 1.2, 5.1.6.5 */
enum net_control { CONTROL_MQ = 4, CONTROL_MQ_PAIRS = 0, CONTROL_LEN = 4 };
enum net_ack { ACK_OK = 0, ACK_ERROR = 1 };

void net_gone(struct net *net)
{
    const uint8_t down[2] = {0};
    if (atomic_exchange(&net->gone, true))
        return;
    log_warn("%s has ended; the guest's network card has no link any more", net->backend->name);
    virtio_config_set(&net->virtio, CONFIG_STATUS, down, sizeof down);
}

/* The control queue comes after all pairs, or after the one that a driver without NET_MQ knows of (5.1.2). */
static bool is_control(const struct net *net, unsigned index)
{
    unsigned pairs = virtio_has(&net->virtio, NET_MQ) ? net->backend->pairs : 1;
    return virtio_has(&net->virtio, NET_CTRL_VQ) && index == 2 * pairs;
}

static void complain(struct net *net, const struct cofre_err *err)
{
    const char *rest = log_allow(&net->complaints);
    if (rest)
        log_warn("%s%s", err->text, rest);
}

static enum net_ack command(struct net *net, const struct queue_chain *chain)
{
    uint8_t c[CONTROL_LEN];
    struct cofre_err err;
    if (chain_read(chain, 0, c, sizeof c) != sizeof c || c[0] != CONTROL_MQ || c[1] != CONTROL_MQ_PAIRS ||
        !virtio_has(&net->virtio, NET_MQ))
        return ACK_ERROR;
    unsigned pairs = le16(c + 2);
    if (pairs == 0 || pairs > net->backend->pairs)
        return ACK_ERROR;
    if (net->backend->ops->use_pairs(net->backend, pairs, &err) == 0)
        return ACK_OK;
    complain(net, &err);
    return ACK_ERROR;
}

static void control(struct net *net, unsigned index)
{
    struct queue_chain chain;
    while (virtio_next(&net->virtio, index, &chain)) {
        uint8_t ack = (uint8_t)command(net, &chain);
        virtio_done(&net->virtio, index, &chain, chain_write(&chain, 0, &ack, sizeof ack));
    }
}

static void net_queue(void *device, unsigned index)
{
    struct net *net = device;
    if (is_control(net, index))
        control(net, index);
    else if (index / 2 < net->backend->pairs)
        net_pair_serve(&net->pair[index / 2], index % 2 == NET_RECEIVE ? EPOLLIN : EPOLLOUT);
}

static void net_start(void *device)
{
    struct net *net = device;
    const struct net_backend_ops *ops = net->backend->ops;
    struct cofre_err err;
    int rc = ops->start ? ops->start(net->backend, net->virtio.driver_features, &err) : 0;
    if (rc == 0 && ops->use_pairs)
        rc = ops->use_pairs(net->backend, 1, &err);
    if (rc)
        complain(net, &err);
    for (unsigned i = 0; i < net->backend->pairs; i++)
        net_pair_start(&net->pair[i]);
}

static void net_reset(void *device)
{
    struct net *net = device;
    for (unsigned i = 0; i < net->backend->pairs; i++)
        net_pair_reset(&net->pair[i]);
    if (net->backend->ops->forget)
        net->backend->ops->forget(net->backend);
}

static void net_free(void *device)
{
    struct net *net = device;
    unsigned long sent = net->dropped[NET_TRANSMIT], received = net->dropped[NET_RECEIVE];
    if (sent || received)
        log_info("%s: dropped %lu packets of the guest, and %lu for it", net->backend->name, sent, received);
    for (unsigned i = 0; i < net->backend->pairs; i++)
        net_pair_close(&net->pair[i]);
    net->backend->ops->free(net->backend);
    free(net);
}

static const struct virtio_ops net_ops = {
    .name = "net",
    .id = VIRTIO_ID_NET,
    .class_code = 0x020000,
    .queues = 2,
    .queue_size = QUEUE_SIZE_MAX,
    .queue = net_queue,
    .start = net_start,
    .reset = net_reset,
    .free = net_free,
};

static void configure(struct net *net, const uint8_t *mac)
{
    struct virtio_device *virtio = &net->virtio;
    const struct net_backend *backend = net->backend;
    virtio->features = backend->features | NET_BIT(NET_MAC) | NET_BIT(NET_STATUS) | NET_BIT(NET_MRG_RXBUF);
    virtio->config_len = CONFIG_LEN;
    memcpy(virtio->config + CONFIG_MAC, mac ? mac : backend->mac, NET_MAC_LEN);
    put_le16(virtio->config + CONFIG_STATUS, LINK_UP);
    put_le16(virtio->config + CONFIG_PAIRS, (uint16_t)backend->pairs);
    if (backend->mtu) {
        virtio->features |= NET_BIT(NET_MTU);
        put_le16(virtio->config + CONFIG_MTU, backend->mtu);
    }
    if (backend->pairs == 1)
        return;
    virtio->features |= NET_BIT(NET_MQ) | NET_BIT(NET_CTRL_VQ);
    virtio->queues = 2 * backend->pairs + 1;
    for (unsigned i = 0; i < 2 * backend->pairs; i++)
        virtio->thread_of[i] = (uint8_t)(i / 2);
}

int virtio_net_on(struct virtio_device **out, struct net_backend *backend, const uint8_t *mac,
                  struct cofre_err *err)
{
    struct net *net = calloc(1, sizeof *net + backend->pairs * sizeof net->pair[0]);
    int rc = net ? virtio_init(&net->virtio, &net_ops, net, err)
                 : cofre_fail(err, COFRE_FAILED, "%s: out of memory", backend->name);
    if (rc) {
        backend->ops->free(backend);
        free(net);
        return rc;
    }
    net->backend = backend;
    configure(net, mac);
    for (unsigned i = 0; i < backend->pairs; i++)
        net_pair_init(&net->pair[i], net, i);
    rc = virtio_set_threads(&net->virtio, backend->pairs, err);
    if (rc)
        virtio_free(&net->virtio);
    else
        *out = &net->virtio;
    return rc;
}

static int open_backend(struct net_backend **out, const struct net_spec *spec, struct cofre_err *err)
{
    switch (spec->kind) {
    case NET_KIND_TAP:
        return net_tap_open(out, spec->name, spec->pairs, err);
    case NET_KIND_TAP_FD:
        return net_tap_adopt(out, spec->fd, spec->pairs, err);
    default:
        return spec->name[0] ? net_passt_connect(out, spec->name, err) : net_passt_start(out, err);
    }
}

static int use_vhost(struct net *net, struct cofre_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < net->backend->pairs && rc == 0; i++)
        rc = net_pair_use_vhost(&net->pair[i], err);
    for (unsigned i = 0; i < net->backend->pairs && rc; i++)
        net_pair_close(&net->pair[i]);
    if (rc == 0)
        net->virtio.ring_features &= NET_VHOST_RING_FEATURES;
    return rc;
}

/* The kernel serves what is on a tap interface, where it can, unless it is not to. */
static int choose_server(struct virtio_device *virtio, const struct net_spec *spec, struct cofre_err *err)
{
    struct cofre_err why;
    if (spec->kind == NET_KIND_PASST || spec->vhost == NET_NEVER)
        return 0;
    int rc = use_vhost(virtio->device, &why);
    if (rc && spec->vhost == NET_REQUIRED)
        return cofre_fail(err, (enum cofre_error) - rc, "%s", why.text);
    if (rc)
        log_debug("served without vhost-net: %s", why.text);
    return 0;
}

int virtio_net_new(struct virtio_device **out, const char *text, struct cofre_err *err)
{
    struct net_spec spec;
    struct net_backend *backend;
    struct virtio_device *virtio = NULL;
    int rc = net_spec_parse(&spec, text, err);
    if (rc == 0)
        rc = open_backend(&backend, &spec, err);
    if (rc == 0)
        rc = virtio_net_on(&virtio, backend, spec.has_mac ? spec.mac : NULL, err);
    if (rc == 0)
        rc = choose_server(virtio, &spec, err);
    if (rc) {
        virtio_free(virtio);
        return cofre_within(err, rc, "network %s", text);
    }
    *out = virtio;
    return 0;
}
