#include "vmm/host/hands/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/base/cleanup.h"

#define MESSAGE_SIZE  8192
#define ANSWER_SIZE   32768
#define HANDLE_ROOT   0x00010000u
#define HANDLE_IN     0xffff0000u /* the ingress discipline's, whatever is asked for */
#define FILTER_PRIO   1
#define BURST_MIN     131072 /* two of the largest packets that a card hands over whole */
#define BURST_PART    20     /* of a second's bytes: 50 ms */
#define WAITING_PART  10     /* how much may wait for the guest: 100 ms */
#define CELL_LOG      9
#define TICK_NS_SHIFT 6 /* of the kernel's packet scheduler */
#define NANOSECONDS   1000000000ull

void tap_name(char out[IFNAMSIZ], uint32_t guest, unsigned index)
{
    snprintf(out, IFNAMSIZ, "cofre%" PRIx32 "-%u", guest, index % 10);
}

int tap_make(const char *name, struct cofre_err *err)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    if (if_nametoindex(name)) /* it would be opened */
        return cofre_fail(err, COFRE_USAGE, "%s: there is such an interface already", name);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    CLEAN_FD fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING,
                          "/dev/net/tun: %s; the kernel's module tun gives it: modprobe tun",
                          strerror(errno));
    if (ioctl(fd, TUNSETIFF, &ifr) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: TUNSETIFF: %s", name, strerror(errno));
    return TAKE_FD(fd);
}

struct ask {
    struct nlmsghdr *message;
    char buffer[MESSAGE_SIZE];
};

static struct nlmsghdr *begin(struct ask *ask, unsigned type, unsigned flags, const void *body, size_t size)
{
    ask->message = mnl_nlmsg_put_header(ask->buffer);
    ask->message->nlmsg_type = (uint16_t)type;
    ask->message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    ask->message->nlmsg_seq = 1;
    memcpy(mnl_nlmsg_put_extra_header(ask->message, size), body, size);
    return ask->message;
}

/* 0, or the kernel's errno. answered is called with each message that is no bare word. */
static int talk(struct ask *ask, mnl_cb_t answered, void *context)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!socket)
        return errno;
    int rc = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID);
    if (rc >= 0)
        rc = (int)mnl_socket_sendto(socket, ask->message, ask->message->nlmsg_len);
    char *answer = rc < 0 ? NULL : malloc(ANSWER_SIZE);
    for (rc = answer ? MNL_CB_OK : rc; rc > MNL_CB_STOP;) {
        ssize_t n = mnl_socket_recvfrom(socket, answer, ANSWER_SIZE);
        rc = n < 0 ? -1 : mnl_cb_run(answer, (size_t)n, 1, mnl_socket_get_portid(socket), answered, context);
    }
    int error = rc < 0 ? errno : 0;
    free(answer);
    mnl_socket_close(socket);
    return error;
}

static int failed(struct cofre_err *err, const char *name, const char *what, int error)
{
    return cofre_fail(err, error == ENOENT || error == EOPNOTSUPP ? COFRE_LACKING : COFRE_FAILED,
                      "%s: %s: %s", name, what, strerror(error));
}

static int index_of(int *out, const char *name, struct cofre_err *err)
{
    *out = (int)if_nametoindex(name);
    return *out ? 0 : cofre_fail(err, COFRE_LACKING, "%s: there is no such network interface", name);
}

int tap_attach(const char *name, const char *bridge, struct cofre_err *err)
{
    struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct ask ask;
    int master;
    int rc = index_of(&link.ifi_index, name, err);
    if (rc == 0)
        rc = index_of(&master, bridge, err);
    if (rc)
        return rc;
    mnl_attr_put_u32(begin(&ask, RTM_NEWLINK, 0, &link, sizeof link), IFLA_MASTER, (uint32_t)master);
    int error = talk(&ask, NULL, NULL);
    return error ? cofre_fail(err, COFRE_FAILED, "%s: it cannot be a port of %s: %s", name, bridge,
                              strerror(error))
                 : 0;
}

static uint64_t burst_of(uint64_t rate)
{
    uint64_t burst = rate / BURST_PART;
    return burst < BURST_MIN ? BURST_MIN : burst > UINT32_MAX / 4 ? UINT32_MAX / 4 : burst;
}

static struct tc_ratespec rate_of(uint64_t rate)
{
    return (struct tc_ratespec){.cell_log = CELL_LOG,
                                .linklayer = TC_LINKLAYER_ETHERNET,
                                .rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate};
}

static struct nlmsghdr *discipline(struct ask *ask, unsigned type, unsigned flags, int interface,
                                   uint32_t parent, uint32_t handle)
{
    struct tcmsg tc = {
        .tcm_family = AF_UNSPEC, .tcm_ifindex = interface, .tcm_parent = parent, .tcm_handle = handle};
    return begin(ask, type, flags, &tc, sizeof tc);
}

/* One that is not there is removed. */
static int remove_discipline(int interface, const char *name, uint32_t parent, uint32_t handle,
                             struct cofre_err *err)
{
    struct ask ask;
    (void)discipline(&ask, RTM_DELQDISC, 0, interface, parent, handle);
    int error = talk(&ask, NULL, NULL);
    return error && error != ENOENT && error != EINVAL
               ? failed(err, name, "its limit cannot be removed", error)
               : 0;
}

static int shape(int interface, const char *name, uint64_t rate, struct cofre_err *err)
{
    struct ask ask;
    if (!rate)
        return remove_discipline(interface, name, TC_H_ROOT, HANDLE_ROOT, err);
    uint64_t burst = burst_of(rate), waiting = rate / WAITING_PART + burst;
    struct tc_tbf_qopt options = {.rate = rate_of(rate),
                                  .limit = waiting > UINT32_MAX ? UINT32_MAX : (uint32_t)waiting};
    struct nlmsghdr *m =
        discipline(&ask, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, interface, TC_H_ROOT, HANDLE_ROOT);
    mnl_attr_put_strz(m, TCA_KIND, "tbf");
    struct nlattr *nest = mnl_attr_nest_start(m, TCA_OPTIONS);
    mnl_attr_put(m, TCA_TBF_PARMS, sizeof options, &options);
    mnl_attr_put_u32(m, TCA_TBF_BURST, (uint32_t)burst);
    if (rate > UINT32_MAX)
        mnl_attr_put_u64(m, TCA_TBF_RATE64, rate);
    mnl_attr_nest_end(m, nest);
    int error = talk(&ask, NULL, NULL);
    return error ? failed(err, name, "limits.network.in (the kernel's sch_tbf)", error) : 0;
}

static void put_police(struct nlmsghdr *m, uint64_t rate)
{
    static const uint32_t cells[256]; /* a form that the kernel asks for, and computes nothing by */
    uint64_t ticks = (burst_of(rate) * NANOSECONDS / rate) >> TICK_NS_SHIFT;
    struct tc_police police = {.action = TC_POLICE_SHOT,
                               .burst = ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks,
                               .mtu = BURST_MIN,
                               .rate = rate_of(rate)};
    struct nlattr *options = mnl_attr_nest_start(m, TCA_OPTIONS);
    struct nlattr *actions = mnl_attr_nest_start(m, TCA_MATCHALL_ACT);
    struct nlattr *first = mnl_attr_nest_start(m, 1);
    mnl_attr_put_strz(m, TCA_ACT_KIND, "police");
    struct nlattr *own = mnl_attr_nest_start(m, TCA_ACT_OPTIONS);
    mnl_attr_put(m, TCA_POLICE_TBF, sizeof police, &police);
    mnl_attr_put(m, TCA_POLICE_RATE, sizeof cells, cells);
    if (rate > UINT32_MAX)
        mnl_attr_put_u64(m, TCA_POLICE_RATE64, rate);
    mnl_attr_nest_end(m, own);
    mnl_attr_nest_end(m, first);
    mnl_attr_nest_end(m, actions);
    mnl_attr_nest_end(m, options);
}

/* No filter of this kind can be changed in place: for a moment there is none. */
static int police(int interface, const char *name, uint64_t rate, struct cofre_err *err)
{
    struct ask ask;
    int rc = remove_discipline(interface, name, TC_H_INGRESS, HANDLE_IN, err);
    if (rc || !rate)
        return rc;
    struct nlmsghdr *m =
        discipline(&ask, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, interface, TC_H_INGRESS, HANDLE_IN);
    mnl_attr_put_strz(m, TCA_KIND, "ingress");
    int error = talk(&ask, NULL, NULL);
    if (error)
        return failed(err, name, "limits.network.out (the kernel's sch_ingress)", error);
    struct tcmsg tc = {.tcm_family = AF_UNSPEC,
                       .tcm_ifindex = interface,
                       .tcm_parent = HANDLE_IN,
                       .tcm_info = TC_H_MAKE(FILTER_PRIO << 16, htons(ETH_P_ALL))};
    m = begin(&ask, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof tc);
    mnl_attr_put_strz(m, TCA_KIND, "matchall");
    put_police(m, rate);
    error = talk(&ask, NULL, NULL);
    if (!error)
        return 0;
    (void)remove_discipline(interface, name, TC_H_INGRESS, HANDLE_IN, NULL);
    return failed(err, name, "limits.network.out (the kernel's cls_matchall and act_police)", error);
}

int tap_rate(const char *name, uint64_t in, uint64_t out, struct cofre_err *err)
{
    int interface;
    int rc = index_of(&interface, name, err);
    if (rc == 0)
        rc = shape(interface, name, in, err);
    return rc ? rc : police(interface, name, out, err);
}

static int take_attribute(const struct nlattr *attribute, void *context)
{
    struct rtnl_link_stats64 *out = context;
    size_t size = mnl_attr_get_payload_len(attribute);
    if (mnl_attr_get_type(attribute) == IFLA_STATS64)
        memcpy(out, mnl_attr_get_payload(attribute), size < sizeof *out ? size : sizeof *out);
    return MNL_CB_OK;
}

static int take_numbers(const struct nlmsghdr *m, void *context)
{
    return mnl_attr_parse(m, sizeof(struct ifinfomsg), take_attribute, context);
}

int tap_count(const char *name, struct tap_numbers *numbers, struct cofre_err *err)
{
    struct rtnl_link_stats64 stats = {0};
    struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(name)};
    struct ask ask;
    if (!link.ifi_index)
        return 0;
    (void)begin(&ask, RTM_GETLINK, 0, &link, sizeof link);
    int error = talk(&ask, take_numbers, &stats);
    if (error && error != ENODEV)
        return failed(err, name, "its numbers", error);
    numbers->in += stats.tx_bytes;
    numbers->out += stats.rx_bytes;
    numbers->in_packets += stats.tx_packets;
    numbers->out_packets += stats.rx_packets;
    return 0;
}
