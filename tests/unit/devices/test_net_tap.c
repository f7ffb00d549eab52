#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/devices/net_tap.h"

#define TAP "cofretest0"

/* A descriptor of an interface of the test's own, which ends with its last descriptor; -1 where none can be made. */
static int tap_fd(short flags)
{
    struct ifreq ifr = {.ifr_flags = flags, .ifr_name = TAP};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int need(int fd)
{
    if (fd < 0) {
        print_message("# no tap interface can be made here\n");
        skip();
    }
    return fd;
}

static void refused(int rc, int expected, const struct cofre_err *err, const char *sentence)
{
    assert_int_equal(rc, expected);
    if (!strstr(err->text, sentence))
        fail_msg("%s", err->text);
}

static void an_interface_that_is_not_there_is_not_made(void **state)
{
    struct net_backend *b;
    struct cofre_err err;
    (void)state;
    refused(net_tap_open(&b, TAP "x", 1, &err), -COFRE_LACKING, &err,
            "no such network interface; as root: ip tuntap add");
    assert_int_equal(if_nametoindex(TAP "x"), 0);
    refused(net_tap_open(&b, TAP "x", 4, &err), -COFRE_LACKING, &err, "multi_queue");
}

static void an_interface_of_another_kind_is_refused(void **state)
{
    struct net_backend *b;
    struct cofre_err err;
    (void)state;
    close(need(tap_fd(IFF_TAP | IFF_NO_PI)));
    refused(net_tap_open(&b, "lo", 1, &err), -COFRE_LACKING, &err, "it is no tap interface");
}

static void a_descriptor_must_be_a_taps_and_set_up(void **state)
{
    struct net_backend *b;
    struct cofre_err err;
    (void)state;
    int fd = open("/dev/null", O_RDWR);
    refused(net_tap_adopt(&b, &fd, 1, &err), -COFRE_USAGE, &err, "not of /dev/net/tun");
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was the backend's, and is closed */
    refused(net_tap_adopt(&b, &fd, 1, &err), -COFRE_USAGE, &err, "not open here");
    fd = need(open("/dev/net/tun", O_RDWR));
    refused(net_tap_adopt(&b, &fd, 1, &err), -COFRE_USAGE, &err, "no interface is set");
    fd = need(tap_fd(IFF_TAP | IFF_NO_PI));
    refused(net_tap_adopt(&b, &fd, 1, &err), -COFRE_USAGE, &err, "IFF_VNET_HDR");
    fd = need(tap_fd(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR));
    refused(net_tap_adopt(&b, &fd, 1, &err), -COFRE_USAGE, &err, "IFF_TAP");
    fd = need(tap_fd(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
    int two[] = {fd, dup(fd)};
    refused(net_tap_adopt(&b, two, 2, &err), -COFRE_USAGE, &err, "IFF_MULTI_QUEUE");
}

static void a_descriptor_becomes_a_backend(void **state)
{
    struct net_backend *b;
    struct cofre_err err;
    struct ifreq ifr = {.ifr_name = TAP};
    struct net_header h = {0};
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct iovec iov[2] = {{&h, sizeof h}, {frame, sizeof frame}};
    (void)state;
    int fd = need(tap_fd(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
    assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &ifr), 0);
    if (net_tap_adopt(&b, &fd, 1, &err))
        fail_msg("%s", err.text);
    assert_string_equal(b->name, TAP);
    const uint8_t *own = (const uint8_t *)ifr.ifr_hwaddr.sa_data;
    assert_int_equal(b->mac[0], ((own[0] ^ 0x40) | 2) & 0xfe);
    assert_memory_equal(b->mac + 1, own + 1, 5);
    assert_true(b->features & NET_BIT(NET_HOST_TSO4));
    assert_int_equal(b->ops->start(b, UINT64_MAX, &err), 0);
    assert_int_equal(b->ops->start(b, 0, &err), 0);
    size_t len;
    assert_int_equal(b->ops->receive(b, 0, iov, 2, &len), NET_LATER);
    assert_int_equal(b->ops->send(b, 0, iov, 2), NET_DROPPED); /* the interface is down */
    b->ops->free(b);
    assert_int_equal(if_nametoindex(TAP), 0);
}

static void queues_are_used_as_the_driver_says(void **state)
{
    struct net_backend *b;
    struct cofre_err err;
    int fd[3];
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        fd[i] = need(tap_fd(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE));
    if (net_tap_adopt(&b, fd, 3, &err))
        fail_msg("%s", err.text);
    static const unsigned pairs[] = {1, 3, 3, 2, 1};
    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(b->ops->use_pairs(b, pairs[i], &err), 0);
    b->ops->free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interface_that_is_not_there_is_not_made),
        cmocka_unit_test(an_interface_of_another_kind_is_refused),
        cmocka_unit_test(a_descriptor_must_be_a_taps_and_set_up),
        cmocka_unit_test(a_descriptor_becomes_a_backend),
        cmocka_unit_test(queues_are_used_as_the_driver_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
