#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/devices/driver.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/net.h"

#define BUFFER (DRIVER_GPA + DRIVER_BUFFER)
#define HEADER sizeof(struct net_header)
#define MERGE  NET_BIT(NET_MRG_RXBUF)

enum { RX = 0, TX = 1 };

/* A backend of datagrams: each is a packet, header first, as a tap interface's. The test has the other ends. */
struct fake {
    struct net_backend backend;
    int ends[NET_PAIRS_MAX];
    unsigned used_pairs, forgotten;
    uint64_t started_with;
};

static enum net_outcome of_errno(void)
{
    return errno == EAGAIN ? NET_LATER : errno == EMSGSIZE ? NET_DROPPED : NET_GONE;
}

static enum net_outcome fake_send(struct net_backend *b, unsigned pair, struct iovec *iov, unsigned count)
{
    const struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
    return sendmsg(b->fd[pair], &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? of_errno() : NET_DONE;
}

static enum net_outcome fake_receive(struct net_backend *b, unsigned pair, const struct iovec *iov,
                                     unsigned count, size_t *len)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    ssize_t n = recvmsg(b->fd[pair], &m, MSG_DONTWAIT);
    if (n <= 0)
        return n == 0 ? NET_GONE : of_errno();
    *len = (size_t)n;
    return *len > NET_PACKET_MAX ? NET_DROPPED : NET_DONE;
}

static int fake_start(struct net_backend *b, uint64_t features, struct cofre_err *err)
{
    (void)err;
    ((struct fake *)b)->started_with = features;
    return 0;
}

static int fake_use_pairs(struct net_backend *b, unsigned pairs, struct cofre_err *err)
{
    ((struct fake *)b)->used_pairs = pairs;
    return pairs == 7 ? cofre_fail(err, COFRE_FAILED, "not seven") : 0;
}

static void fake_forget(struct net_backend *b)
{
    ((struct fake *)b)->forgotten++;
}

static void fake_free(struct net_backend *b)
{
    struct fake *f = (struct fake *)b;
    for (unsigned i = 0; i < b->pairs; i++)
        close(b->fd[i]);
    free(f);
}

static const struct net_backend_ops fake_ops = {fake_send,      fake_receive, fake_start,
                                                fake_use_pairs, fake_forget,  fake_free};
static const uint8_t fake_mac[NET_MAC_LEN] = {2, 1, 2, 3, 4, 5};

struct card {
    struct driver d;
    struct fake *fake;
    int host[NET_PAIRS_MAX];
};

static void card_open(struct card *c, unsigned pairs)
{
    struct virtio_device *device;
    struct fake *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->backend = (struct net_backend){.ops = &fake_ops, .name = "fake", .pairs = pairs, .mtu = 9000};
    f->backend.features = NET_BIT(NET_CSUM) | NET_BIT(NET_HOST_TSO4);
    memcpy(f->backend.mac, fake_mac, sizeof fake_mac);
    for (unsigned i = 0; i < pairs; i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        f->backend.fd[i] = ends[0];
        c->host[i] = ends[1];
    }
    c->fake = f;
    assert_int_equal(virtio_net_on(&device, &f->backend, NULL, NULL), 0);
    driver_open(&c->d, device);
}

static void card_close(struct card *c, unsigned pairs)
{
    driver_close(&c->d);
    for (unsigned i = 0; i < pairs; i++)
        if (c->host[i] >= 0)
            close(c->host[i]);
}

static void give_buffer(struct card *c, unsigned queue, uint16_t i, uint32_t len)
{
    memset(at(&c->d, BUFFER + i * 0x1000u), 0, len);
    c->d.queue[queue].desc[i] = (struct desc){BUFFER + i * 0x1000u, len, DESC_WRITE, 0};
    driver_post(&c->d, queue, i);
}

static void host_sends(struct card *c, unsigned pair, size_t frame, uint8_t seed)
{
    static uint8_t packet[NET_PACKET_MAX + 100];
    memset(packet, 0, HEADER);
    for (size_t i = 0; i < frame; i++)
        packet[HEADER + i] = (uint8_t)(seed + i * 7);
    assert_int_equal(send(c->host[pair], packet, HEADER + frame, 0), HEADER + frame);
}

static void expect_frame(const uint8_t *frame, size_t offset, size_t len, uint8_t seed)
{
    for (size_t i = 0; i < len; i++)
        if (frame[i] != (uint8_t)(seed + (offset + i) * 7))
            fail_msg("byte %zu of the frame is wrong", offset + i);
}

/* Posts a packet of header and frame for sending; the test has filled the buffer at 64 KiB. */
#define SENT (BUFFER + 0x10000)
static void guest_posts(struct card *c, unsigned queue, struct net_header h, uint32_t frame)
{
    memcpy(at(&c->d, SENT), &h, sizeof h);
    c->d.queue[queue].desc[0] = (struct desc){SENT, (uint32_t)(HEADER + frame), 0, 0};
    driver_post(&c->d, queue, 0);
}

static void offers_what_its_backend_can_and_tells_its_configuration(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    uint64_t offered = driver_offered(&c.d);
    assert_int_equal(offered & 0xffffff, NET_BIT(NET_CSUM) | NET_BIT(NET_HOST_TSO4) | NET_BIT(NET_MAC) |
                                             NET_BIT(NET_STATUS) | NET_BIT(NET_MTU) | MERGE);
    assert_int_equal(driver_read(&c.d, c.d.config, 4), 0x03020102);
    assert_int_equal(driver_read(&c.d, c.d.config + 4, 2), 0x0504);
    assert_int_equal(driver_read(&c.d, c.d.config + 6, 2), 1);
    assert_int_equal(driver_read(&c.d, c.d.config + 8, 2), 1);
    assert_int_equal(driver_read(&c.d, c.d.config + 10, 2), 9000);
    assert_int_equal(driver_read(&c.d, c.d.common + 0x12, 2), 2);
    driver_go(&c.d, MERGE | NET_BIT(NET_CSUM));
    assert_int_equal(c.fake->started_with & UINT32_MAX, MERGE | NET_BIT(NET_CSUM));
    assert_int_equal(c.fake->used_pairs, 1);
    card_close(&c, 1);
}

static void a_frame_goes_each_way(void **state)
{
    struct card c;
    uint8_t packet[200];
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, MERGE);
    give_buffer(&c, RX, 0, 0x600);
    host_sends(&c, 0, 100, 5);
    assert_int_equal(driver_wait(&c.d, RX, NULL), HEADER + 100);
    assert_int_equal(le16((uint8_t *)at(&c.d, BUFFER) + 10), 1); /* num_buffers */
    expect_frame((uint8_t *)at(&c.d, BUFFER) + HEADER, 0, 100, 5);
    memset(at(&c.d, SENT + HEADER), 0x5a, 60);
    guest_posts(&c, TX, (struct net_header){0}, 60);
    assert_int_equal(driver_wait(&c.d, TX, NULL), 0);
    assert_int_equal(recv(c.host[0], packet, sizeof packet, 0), HEADER + 60);
    assert_true(bytes_are_zero(packet, HEADER));
    assert_int_equal(packet[HEADER + 59], 0x5a);
    card_close(&c, 1);
}

static void a_large_packet_is_spread_over_buffers_and_comes_at_once(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, MERGE);
    for (uint16_t i = 0; i < 4; i++)
        give_buffer(&c, RX, i, 1000);
    host_sends(&c, 0, 2500, 9);
    for (uint16_t i = 0; i < 3; i++) {
        uint16_t head;
        uint32_t len = driver_wait(&c.d, RX, &head);
        assert_int_equal(head, i);
        assert_int_equal(len, i < 2 ? 1000 : HEADER + 2500 - 2000);
        size_t skip = i == 0 ? HEADER : 0;
        expect_frame((uint8_t *)at(&c.d, BUFFER + i * 0x1000u) + skip, i * 1000u - (i ? HEADER : 0),
                     len - skip, 9);
    }
    assert_int_equal(le16((uint8_t *)at(&c.d, BUFFER) + 10), 3);
    assert_int_equal(c.d.interrupts[1], 1);
    host_sends(&c, 0, 50, 1); /* into the buffer that was left */
    assert_int_equal(driver_wait(&c.d, RX, NULL), HEADER + 50);
    card_close(&c, 1);
}

/* What does not fit into the buffers that there are waits for more, and nothing of it is lost. */
static void a_packet_waits_for_more_buffers(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, MERGE);
    give_buffer(&c, RX, 0, 1000);
    host_sends(&c, 0, 1800, 3);
    host_sends(&c, 0, 20, 4);
    give_buffer(&c, RX, 1, 500);
    give_buffer(&c, RX, 2, 500);
    for (uint16_t i = 0, from = 0; i < 3; i++) {
        uint32_t len = driver_wait(&c.d, RX, NULL);
        size_t skip = i == 0 ? HEADER : 0;
        expect_frame((uint8_t *)at(&c.d, BUFFER + i * 0x1000u) + skip, from, len - skip, 3);
        from = (uint16_t)(from + len - skip);
        assert_int_equal(from, i == 0 ? 988 : i == 1 ? 1488 : 1800);
    }
    give_buffer(&c, RX, 3, 500);
    assert_int_equal(driver_wait(&c.d, RX, NULL), HEADER + 20);
    expect_frame((uint8_t *)at(&c.d, BUFFER + 3 * 0x1000u) + HEADER, 0, 20, 4);
    card_close(&c, 1);
}

/* A driver whose ring is all given away cannot give more: the packet is dropped, the next one comes. */
static void a_packet_that_can_never_fit_is_dropped(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, MERGE);
    for (uint16_t i = 0; i < DRIVER_QUEUE; i++)
        give_buffer(&c, RX, i, 100);
    host_sends(&c, 0, 2000, 3);
    host_sends(&c, 0, 30, 8);
    assert_int_equal(driver_wait(&c.d, RX, NULL), HEADER + 30);
    expect_frame((uint8_t *)at(&c.d, BUFFER) + HEADER, 0, 30, 8);
    card_close(&c, 1);
}

static void without_mergeable_buffers_a_packet_has_one_or_is_dropped(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, 0);
    give_buffer(&c, RX, 0, 1000);
    give_buffer(&c, RX, 1, 1000);
    host_sends(&c, 0, 1500, 3);
    host_sends(&c, 0, 900, 4);
    uint16_t head;
    assert_int_equal(driver_wait(&c.d, RX, &head), HEADER + 900);
    assert_int_equal(head, 0);
    expect_frame((uint8_t *)at(&c.d, BUFFER) + HEADER, 0, 900, 4);
    assert_int_equal(le16((uint8_t *)at(&c.d, BUFFER) + 10), 1);
    card_close(&c, 1);
}

static void a_packet_beyond_all_bounds_is_dropped(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, MERGE);
    give_buffer(&c, RX, 0, 0x1000);
    host_sends(&c, 0, NET_FRAME_MAX + 1, 3);
    host_sends(&c, 0, 40, 4);
    assert_int_equal(driver_wait(&c.d, RX, NULL), HEADER + 40);
    card_close(&c, 1);
}

static void a_hostile_header_reaches_no_backend(void **state)
{
    static const struct net_header hostile[] = {
        {.flags = NET_NEEDS_CSUM, .csum_start = 60000, .csum_offset = 60000},
        {.gso_type = NET_GSO_TCPV4, .gso_size = 1000},
        {.flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV6, .gso_size = 1000}, /* not negotiated */
        {.flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV4, .gso_size = 0},
        {.flags = NET_NEEDS_CSUM, .gso_type = 2, .gso_size = 1000},
    };
    struct card c;
    uint8_t packet[100];
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, NET_BIT(NET_CSUM) | NET_BIT(NET_HOST_TSO4));
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        guest_posts(&c, TX, hostile[i], 60);
        assert_int_equal(driver_wait(&c.d, TX, NULL), 0);
    }
    guest_posts(&c, TX, (struct net_header){0}, 13); /* no frame */
    assert_int_equal(driver_wait(&c.d, TX, NULL), 0);
    guest_posts(&c, TX, (struct net_header){0}, 61);
    assert_int_equal(driver_wait(&c.d, TX, NULL), 0);
    assert_int_equal(recv(c.host[0], packet, sizeof packet, 0),
                     HEADER + 61); /* the first that came through */
    card_close(&c, 1);
}

static void a_packet_without_a_header_breaks_the_device(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, MERGE);
    c.d.queue[TX].desc[0] = (struct desc){SENT, HEADER - 1, 0, 0};
    driver_post(&c.d, TX, 0);
    driver_wait_broken(&c.d);
    driver_go(&c.d, MERGE); /* and a reset mends it */
    give_buffer(&c, RX, 0, HEADER - 1);
    driver_wait_broken(&c.d);
    card_close(&c, 1);
}

static void a_full_backend_is_waited_for(void **state)
{
    struct card c;
    static uint8_t packet[70000];
    const int small = 4096;
    unsigned sent = 0;
    (void)state;
    card_open(&c, 1);
    (void)setsockopt(c.fake->backend.fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    driver_go(&c.d, 0);
    for (uint16_t i = 0; i < DRIVER_QUEUE; i++) {
        c.d.queue[TX].desc[i] = (struct desc){SENT, HEADER + 1000, 0, 0};
        driver_post(&c.d, TX, i);
    }
    for (; sent < DRIVER_QUEUE; sent++)
        assert_int_equal(recv(c.host[0], packet, sizeof packet, 0), HEADER + 1000);
    for (unsigned i = 0; i < DRIVER_QUEUE; i++)
        (void)driver_wait(&c.d, TX, NULL);
    card_close(&c, 1);
}

static void a_backend_that_ends_takes_the_link_down(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, MERGE);
    give_buffer(&c, RX, 0, 1000);
    close(c.host[0]);
    c.host[0] = -1;
    driver_wait_interrupts(&c.d, 0, 1);
    assert_int_equal(driver_read(&c.d, c.d.config + 6, 2), 0);
    guest_posts(&c, TX, (struct net_header){0}, 60); /* the guest's packets are taken, and go nowhere */
    assert_int_equal(driver_wait(&c.d, TX, NULL), 0);
    card_close(&c, 1);
}

static void a_reset_forgets_the_buffers(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 1);
    driver_go(&c.d, MERGE);
    give_buffer(&c, RX, 0, 100);
    host_sends(&c, 0, 500, 3); /* waits for buffers */
    guest_posts(&c, TX, (struct net_header){0}, 60);
    (void)driver_wait(&c.d, TX, NULL);
    unsigned before = c.fake->forgotten;
    driver_go(&c.d, MERGE);
    assert_true(c.fake->forgotten > before);
    host_sends(&c, 0, 40, 6);
    give_buffer(&c, RX, 1, 1000);
    uint16_t head;
    uint32_t len = driver_wait(&c.d, RX, &head);
    assert_int_equal(head, 1);
    if (len == HEADER + 500) { /* the first was read only now */
        give_buffer(&c, RX, 2, 1000);
        len = driver_wait(&c.d, RX, NULL);
    }
    assert_int_equal(len, HEADER + 40);
    card_close(&c, 1);
}

static uint8_t ask_control(struct card *c, unsigned queue, const void *command, uint32_t len)
{
    memcpy(at(&c->d, BUFFER), command, len);
    *(uint8_t *)at(&c->d, BUFFER + 0x100) = 0xee;
    assert_int_equal(driver_ask(&c->d, queue, BUFFER, len, BUFFER + 0x100, 1), 1);
    return *(uint8_t *)at(&c->d, BUFFER + 0x100);
}

static void the_control_queue_says_how_many_pairs_are_used(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 8);
    assert_int_equal(driver_read(&c.d, c.d.config + 8, 2), 8);
    assert_int_equal(driver_read(&c.d, c.d.common + 0x12, 2), 17);
    driver_go(&c.d, MERGE | NET_BIT(NET_MQ) | NET_BIT(NET_CTRL_VQ));
    assert_int_equal(c.fake->used_pairs, 1);
    assert_int_equal(ask_control(&c, 16, "\4\0\3\0", 4), 0);
    assert_int_equal(c.fake->used_pairs, 3);
    assert_int_equal(ask_control(&c, 16, "\4\0\0\0", 4), 1);
    assert_int_equal(ask_control(&c, 16, "\4\0\11\0", 4), 1);
    assert_int_equal(ask_control(&c, 16, "\4\0\0\1", 4), 1);
    assert_int_equal(ask_control(&c, 16, "\4\1\2\0", 4), 1); /* another command */
    assert_int_equal(ask_control(&c, 16, "\0\0\2\0", 4), 1); /* another class */
    assert_int_equal(ask_control(&c, 16, "\4\0\2", 3), 1);
    assert_int_equal(c.fake->used_pairs, 3);
    assert_int_equal(ask_control(&c, 16, "\4\0\7\0", 4), 1); /* the backend cannot */
    card_close(&c, 8);
}

static void without_mq_the_third_queue_is_control_and_has_no_command(void **state)
{
    struct card c;
    (void)state;
    card_open(&c, 2);
    driver_go(&c.d, MERGE | NET_BIT(NET_CTRL_VQ));
    assert_int_equal(ask_control(&c, 2, "\4\0\2\0", 4), 1);
    card_close(&c, 2);
}

static void each_pair_has_its_own_way_to_the_host(void **state)
{
    struct card c;
    uint8_t packet[100];
    (void)state;
    card_open(&c, 3);
    driver_go(&c.d, MERGE | NET_BIT(NET_MQ) | NET_BIT(NET_CTRL_VQ));
    for (unsigned i = 0; i < 3; i++) {
        give_buffer(&c, 2 * i, 0, 1000);
        host_sends(&c, i, 40 + i, (uint8_t)i);
        assert_int_equal(driver_wait(&c.d, 2 * i, NULL), HEADER + 40 + i);
        guest_posts(&c, 2 * i + 1, (struct net_header){0}, 50 + i);
        (void)driver_wait(&c.d, 2 * i + 1, NULL);
        assert_int_equal(recv(c.host[i], packet, sizeof packet, 0), HEADER + 50 + i);
    }
    card_close(&c, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_what_its_backend_can_and_tells_its_configuration),
        cmocka_unit_test(a_frame_goes_each_way),
        cmocka_unit_test(a_large_packet_is_spread_over_buffers_and_comes_at_once),
        cmocka_unit_test(a_packet_waits_for_more_buffers),
        cmocka_unit_test(a_packet_that_can_never_fit_is_dropped),
        cmocka_unit_test(without_mergeable_buffers_a_packet_has_one_or_is_dropped),
        cmocka_unit_test(a_packet_beyond_all_bounds_is_dropped),
        cmocka_unit_test(a_hostile_header_reaches_no_backend),
        cmocka_unit_test(a_packet_without_a_header_breaks_the_device),
        cmocka_unit_test(a_full_backend_is_waited_for),
        cmocka_unit_test(a_backend_that_ends_takes_the_link_down),
        cmocka_unit_test(a_reset_forgets_the_buffers),
        cmocka_unit_test(the_control_queue_says_how_many_pairs_are_used),
        cmocka_unit_test(without_mq_the_third_queue_is_control_and_has_no_command),
        cmocka_unit_test(each_pair_has_its_own_way_to_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
