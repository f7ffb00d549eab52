#include "vmm/devices/net_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#define LOG_ROOM "net"
#include "vmm/base/log.h"

#define TUN_PATH "/dev/net/tun"
#ifndef TUN_F_USO4 /* Linux 6.2; Debian 12's headers are of 6.1 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static enum net_outcome outcome_of_errno(void)
{
    if (errno == EAGAIN || errno == EINTR)
        return NET_LATER;
    return errno == EBADFD || errno == ENODEV ? NET_GONE
                                              : NET_DROPPED; /* the first: the interface was deleted */
}

static enum net_outcome tap_send(struct net_backend *b, unsigned pair, struct iovec *iov, unsigned count)
{
    return writev(b->fd[pair], iov, (int)count) >= 0 ? NET_DONE : outcome_of_errno();
}

static enum net_outcome tap_receive(struct net_backend *b, unsigned pair, const struct iovec *iov,
                                    unsigned count, size_t *len)
{
    ssize_t n = readv(b->fd[pair], iov, (int)count);
    if (n < 0)
        return outcome_of_errno();
    *len = (size_t)n;
    return *len > sizeof(struct net_header) && *len <= NET_PACKET_MAX ? NET_DONE : NET_DROPPED;
}

/* What the host may leave to the guest: checksums, and large packets whole. */
static const struct {
    uint64_t features; /* all of them */
    unsigned offload;
} offloads[] = {
    {NET_BIT(NET_GUEST_CSUM), TUN_F_CSUM},
    {NET_BIT(NET_GUEST_TSO4), TUN_F_TSO4},
    {NET_BIT(NET_GUEST_TSO6), TUN_F_TSO6},
    {NET_BIT(NET_GUEST_ECN), TUN_F_TSO_ECN},
    {NET_BIT(NET_GUEST_USO4) | NET_BIT(NET_GUEST_USO6), TUN_F_USO4 | TUN_F_USO6}, /* Linux: both or neither */
};

static unsigned offload_flags(uint64_t features)
{
    unsigned flags = 0;
    for (size_t i = 0; i < sizeof offloads / sizeof offloads[0]; i++)
        if ((features & offloads[i].features) == offloads[i].features)
            flags |= offloads[i].offload;
    const unsigned tso = TUN_F_TSO4 | TUN_F_TSO6;
    if (!(flags & tso))
        flags &= ~(unsigned)TUN_F_TSO_ECN;
    return flags & TUN_F_CSUM ? flags : 0;
}

static int tap_start(struct net_backend *b, uint64_t features, struct cofre_err *err)
{
    if (ioctl(b->fd[0], TUNSETOFFLOAD, offload_flags(features)) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: TUNSETOFFLOAD: %s", b->name, strerror(errno));
    return 0;
}

/* A queue that is attached already, or detached, says EINVAL. */
static int tap_use_pairs(struct net_backend *b, unsigned pairs, struct cofre_err *err)
{
    for (unsigned i = 1; i < b->pairs; i++) {
        struct ifreq ifr = {.ifr_flags = i < pairs ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};
        if (ioctl(b->fd[i], TUNSETQUEUE, &ifr) < 0 && errno != EINVAL)
            return cofre_fail(err, COFRE_FAILED, "%s: queue %u: TUNSETQUEUE: %s", b->name, i,
                              strerror(errno));
    }
    return 0;
}

static void tap_free(struct net_backend *b)
{
    for (unsigned i = 0; i < b->pairs; i++)
        cleanup_close(&b->fd[i]);
    free(b);
}

static const struct net_backend_ops tap_ops = {
    .send = tap_send,
    .receive = tap_receive,
    .start = tap_start,
    .use_pairs = tap_use_pairs,
    .free = tap_free,
};

static struct net_backend *tap_new(void)
{
    struct net_backend *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->ops = &tap_ops;
    for (unsigned i = 0; i < NET_PAIRS_MAX; i++)
        b->fd[i] = -1;
    return b;
}

/* The guest's address differs from the interface's, which is the host's end, in one bit: as unique, and as lasting, as that. */
static void derive_mac(uint8_t mac[NET_MAC_LEN], const void *interface)
{
    memcpy(mac, interface, NET_MAC_LEN);
    mac[0] = (uint8_t)(((mac[0] ^ 0x40) | 0x02) & 0xfe);
}

/* What this kernel can do is found by asking for it; until a driver is there, the guest is asked nothing. */
static int probe(struct net_backend *b, struct cofre_err *err)
{
    const int header_len = sizeof(struct net_header);
    struct ifreq ifr = {0};
    b->features = NET_BIT(NET_CSUM) | NET_BIT(NET_HOST_TSO4) | NET_BIT(NET_HOST_TSO6) |
                  NET_BIT(NET_HOST_ECN) | NET_BIT(NET_GUEST_CSUM) | NET_BIT(NET_GUEST_TSO4) |
                  NET_BIT(NET_GUEST_TSO6) | NET_BIT(NET_GUEST_ECN);
    if (ioctl(b->fd[0], TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6) == 0)
        b->features |= NET_BIT(NET_HOST_USO) | NET_BIT(NET_GUEST_USO4) | NET_BIT(NET_GUEST_USO6);
    if (ioctl(b->fd[0], TUNSETOFFLOAD, 0) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: TUNSETOFFLOAD: %s", b->name, strerror(errno));
    for (unsigned i = 0; i < b->pairs; i++)
        if (ioctl(b->fd[i], TUNSETVNETHDRSZ, &header_len) < 0)
            return cofre_fail(err, COFRE_FAILED, "%s: TUNSETVNETHDRSZ: %s", b->name, strerror(errno));
    if (ioctl(b->fd[0], SIOCGIFHWADDR, &ifr) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: SIOCGIFHWADDR: %s", b->name, strerror(errno));
    derive_mac(b->mac, ifr.ifr_hwaddr.sa_data);
    return 0;
}

/* By name */

static int open_tun(struct cofre_err *err)
{
    int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        return fd;
    if (errno == EACCES || errno == EPERM)
        return cofre_fail(err, COFRE_LACKING,
                          TUN_PATH
                          ": this user may not open it; root can allow it (chmod 666, as Debian has it), "
                          "or hand over an open descriptor with tap-fd=N");
    return cofre_fail(err, COFRE_LACKING, TUN_PATH ": %s; the kernel's module tun gives it: modprobe tun",
                      strerror(errno));
}

static int refused(const char *name, unsigned pairs, struct cofre_err *err)
{
    const char *queues = pairs > 1 ? " multi_queue" : "";
    switch (errno) {
    case EPERM:
        return cofre_fail(err, COFRE_LACKING,
                          "%s: it is another user's; as root: ip tuntap add dev %s mode tap user %u%s, after "
                          "ip link delete %s",
                          name, name, (unsigned)geteuid(), queues, name);
    case EBUSY:
        return cofre_fail(err, COFRE_LACKING, "%s: another program has it open, with all its queues", name);
    case EINVAL:
        return cofre_fail(err, COFRE_LACKING,
                          "%s: it is no tap interface%s; as root: ip tuntap add dev NAME mode tap user %u%s",
                          name, pairs > 1 ? " with several queues" : "", (unsigned)geteuid(), queues);
    default:
        return cofre_fail(err, COFRE_FAILED, "%s: TUNSETIFF: %s", name, strerror(errno));
    }
}

static bool set_interface(int fd, const char *name, short flags)
{
    struct ifreq ifr = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    return ioctl(fd, TUNSETIFF, &ifr) == 0;
}

/* An interface made for several queues can be opened for one, but only in its own way. */
static int open_queue(const char *name, unsigned pairs, struct cofre_err *err)
{
    CLEAN_FD fd = open_tun(err);
    if (fd < 0)
        return fd;
    if (!(pairs == 1 && set_interface(fd, name, 0)) && !set_interface(fd, name, IFF_MULTI_QUEUE))
        return refused(name, pairs, err);
    return TAKE_FD(fd);
}

/* The interface's MTU, and a word where it is down: then nothing goes through, and nobody says so. */
static void look_at(struct net_backend *b)
{
    struct ifreq ifr = {0};
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", b->name);
    CLEAN_FD s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s >= 0 && ioctl(s, SIOCGIFMTU, &ifr) == 0 && ifr.ifr_mtu >= 68 && ifr.ifr_mtu <= 65535)
        b->mtu = (uint16_t)ifr.ifr_mtu;
    if (s >= 0 && ioctl(s, SIOCGIFFLAGS, &ifr) == 0 && !(ifr.ifr_flags & IFF_UP))
        log_warn("%s is down, so no packet gets through; as root: ip link set %s up", b->name, b->name);
}

int net_tap_open(struct net_backend **out, const char *name, unsigned pairs, struct cofre_err *err)
{
    if (!if_nametoindex(name)) /* opening it would make one, without an address or a bridge */
        return cofre_fail(err, COFRE_LACKING,
                          "%s: there is no such network interface; as root: ip tuntap add dev %s mode tap "
                          "user %u%s && ip link set %s up",
                          name, name, (unsigned)geteuid(), pairs > 1 ? " multi_queue" : "", name);
    struct net_backend *b = tap_new();
    if (!b)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", name);
    snprintf(b->name, sizeof b->name, "%s", name);
    int rc = 0;
    for (; b->pairs < pairs && rc == 0; b->pairs++) {
        int fd = open_queue(name, pairs, err);
        b->fd[b->pairs] = fd;
        rc = fd < 0 ? fd : 0;
    }
    if (rc == 0)
        rc = probe(b, err);
    if (rc) {
        tap_free(b);
        return rc;
    }
    look_at(b);
    *out = b;
    return 0;
}

/* By descriptor */

static int check_descriptor(const struct net_backend *b, int fd, char name[IFNAMSIZ], struct cofre_err *err)
{
    struct ifreq ifr = {0};
    if (ioctl(fd, TUNGETIFF, &ifr) < 0)
        return cofre_fail(err, COFRE_USAGE, "descriptor %d: %s", fd,
                          errno == EBADF    ? "it is not open here; is it inherited?"
                          : errno == EBADFD ? "no interface is set in it (TUNSETIFF)"
                                            : "it is not of " TUN_PATH);
    unsigned flags = (unsigned short)ifr.ifr_flags;
    if (!(flags & IFF_TAP) || !(flags & IFF_NO_PI) || !(flags & IFF_VNET_HDR))
        return cofre_fail(err, COFRE_USAGE,
                          "descriptor %d: %s was not opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", fd,
                          ifr.ifr_name);
    if (b->pairs > 1 && !(flags & IFF_MULTI_QUEUE))
        return cofre_fail(err, COFRE_USAGE, "descriptor %d: %s was not opened with IFF_MULTI_QUEUE", fd,
                          ifr.ifr_name);
    if (name[0] && strcmp(name, ifr.ifr_name) != 0)
        return cofre_fail(err, COFRE_USAGE, "descriptor %d: it is of %s, the first one of %s", fd,
                          ifr.ifr_name, name);
    memcpy(name, ifr.ifr_name, IFNAMSIZ);
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "descriptor %d: %s", fd, strerror(errno));
}

int net_tap_adopt(struct net_backend **out, const int *fd, unsigned pairs, struct cofre_err *err)
{
    char name[IFNAMSIZ] = "";
    struct net_backend *b = tap_new();
    if (!b)
        return cofre_fail(err, COFRE_FAILED, "descriptor %d: out of memory", fd[0]);
    memcpy(b->fd, fd, pairs * sizeof *fd);
    b->pairs = pairs;
    int rc = 0;
    for (unsigned i = 0; i < pairs && rc == 0; i++)
        rc = check_descriptor(b, fd[i], name, err);
    snprintf(b->name, sizeof b->name, "%s", name);
    if (rc == 0)
        rc = probe(b, err);
    if (rc) {
        tap_free(b);
        return rc;
    }
    *out = b;
    return 0;
}
