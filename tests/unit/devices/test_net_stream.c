#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/bytes.h"
#include "vmm/devices/net_passt.h"
#include "vmm/devices/net_stream.h"

#define HEADER sizeof(struct net_header)

/* A backend on one end of a pair of sockets, and the test on the other. */
struct wire {
    struct net_backend *backend;
    int end;
    uint8_t packet[NET_PACKET_MAX];
};

static void wire_open(struct wire *w)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(net_stream_new(&w->backend, "wire", ends[0], NULL), 0);
    w->end = ends[1];
}

static void wire_close(struct wire *w)
{
    w->backend->ops->free(w->backend);
    if (w->end >= 0)
        close(w->end);
}

static enum net_outcome send_frame(struct wire *w, size_t len, uint8_t fill)
{
    static uint8_t frame[NET_FRAME_MAX];
    struct net_header h = {0};
    memset(frame, fill, len);
    struct iovec iov[3] = {{&h, HEADER}, {frame, len / 2}, {frame + len / 2, len - len / 2}};
    return w->backend->ops->send(w->backend, 0, iov, 3);
}

/* Into two buffers, so that frames cross their bound. */
static enum net_outcome receive(struct wire *w, size_t *len)
{
    struct iovec iov[2] = {{w->packet, 20}, {w->packet + 20, sizeof w->packet - 20}};
    return w->backend->ops->receive(w->backend, 0, iov, 2, len);
}

static void put_frame(struct wire *w, uint32_t len, size_t there, uint8_t fill)
{
    static uint8_t bytes[4 + NET_FRAME_MAX];
    uint32_t prefix = htonl(len);
    memcpy(bytes, &prefix, 4);
    memset(bytes + 4, fill, there);
    assert_int_equal(send(w->end, bytes, 4 + there, 0), 4 + there);
}

static void put_rest(struct wire *w, size_t len, uint8_t fill)
{
    static uint8_t bytes[NET_FRAME_MAX];
    memset(bytes, fill, len);
    assert_int_equal(send(w->end, bytes, len, 0), len);
}

static void expect_packet(struct wire *w, size_t frame, uint8_t fill)
{
    size_t len = 0;
    memset(w->packet, 0xee, sizeof w->packet);
    assert_int_equal(receive(w, &len), NET_DONE);
    assert_int_equal(len, HEADER + frame);
    assert_true(bytes_are_zero(w->packet, HEADER));
    for (size_t i = 0; i < frame; i++)
        assert_int_equal(w->packet[HEADER + i], fill);
}

static void a_frame_is_sent_after_its_length(void **state)
{
    struct wire w;
    uint8_t got[200];
    (void)state;
    wire_open(&w);
    assert_int_equal(send_frame(&w, 60, 7), NET_DONE);
    assert_int_equal(recv(w.end, got, sizeof got, 0), 64);
    assert_memory_equal(got, "\0\0\0\74\7\7\7", 7);
    assert_int_equal(send_frame(&w, NET_STREAM_FRAME_MAX + 1, 7), NET_DROPPED);
    assert_int_equal(recv(w.end, got, sizeof got, 0), -1);
    wire_close(&w);
}

static void frames_are_received_one_by_one(void **state)
{
    struct wire w;
    size_t len;
    (void)state;
    wire_open(&w);
    assert_int_equal(receive(&w, &len), NET_LATER);
    put_frame(&w, 100, 100, 1);
    put_frame(&w, 14, 14, 2);
    put_frame(&w, 9000, 9000, 3);
    expect_packet(&w, 100, 1);
    expect_packet(&w, 14, 2);
    expect_packet(&w, 9000, 3);
    assert_int_equal(receive(&w, &len), NET_LATER);
    wire_close(&w);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
    struct wire w;
    size_t len = 0;
    uint8_t bytes[4 + 40 + 4 + 20];
    (void)state;
    wire_open(&w);
    memset(bytes, 9, sizeof bytes);
    memcpy(bytes, "\0\0\0\50", 4);
    memcpy(bytes + 44, "\0\0\0\24", 4);
    for (size_t i = 0, packets = 0; i < sizeof bytes; i++) {
        assert_int_equal(send(w.end, bytes + i, 1, 0), 1);
        enum net_outcome o = receive(&w, &len);
        bool whole = i == 43 || i == sizeof bytes - 1;
        assert_int_equal(o == NET_DONE, whole);
        packets += whole;
        if (whole)
            assert_int_equal(len, HEADER + (packets == 1 ? 40 : 20));
        else
            assert_int_equal(o, (i < 3 || (i > 43 && i < 47)) ? NET_LATER : NET_PARTIAL);
    }
    wire_close(&w);
}

static void a_length_that_is_no_frames_ends_the_connection(void **state)
{
    static const uint32_t lengths[] = {0, 13, NET_FRAME_MAX + 1, 0x80000000, UINT32_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct wire w;
        size_t len;
        wire_open(&w);
        put_frame(&w, lengths[i], 20, 1);
        assert_int_equal(receive(&w, &len), NET_GONE);
        assert_int_equal(receive(&w, &len), NET_GONE); /* it stays so */
        wire_close(&w);
    }
}

static void a_closed_connection_is_gone_both_ways(void **state)
{
    struct wire w;
    size_t len;
    (void)state;
    wire_open(&w);
    close(w.end);
    w.end = -1;
    assert_int_equal(receive(&w, &len), NET_GONE);
    assert_int_equal(send_frame(&w, 60, 1), NET_GONE);
    wire_close(&w);
}

/* Fills the socket; returns how many whole frames went in before one did not. */
static unsigned fill(struct wire *w)
{
    unsigned n = 0;
    while (send_frame(w, 60000, (uint8_t)n) == NET_DONE)
        n++;
    return n;
}

static size_t drain(struct wire *w, uint8_t *out, size_t size)
{
    size_t done = 0;
    ssize_t n;
    while (done < size && (n = recv(w->end, out + done, size - done, 0)) > 0)
        done += (size_t)n;
    return done;
}

static void what_does_not_go_at_once_goes_on_where_it_was(void **state)
{
    static uint8_t got[8 << 20];
    struct wire w;
    (void)state;
    wire_open(&w);
    unsigned n = fill(&w);
    size_t done = drain(&w, got, sizeof got);
    enum net_outcome o;
    while ((o = send_frame(&w, 60000, (uint8_t)n)) == NET_LATER)
        done += drain(&w, got + done, sizeof got - done);
    assert_int_equal(o, NET_DONE);
    done += drain(&w, got + done, sizeof got - done);
    assert_int_equal(done, (n + 1) * 60004ul);
    for (unsigned i = 0; i <= n; i++) {
        assert_memory_equal(got + i * 60004ul, "\0\0\352\140", 4);
        assert_int_equal(got[i * 60004ul + 60003], (uint8_t)i);
    }
    wire_close(&w);
}

/* The driver went away in the middle of a frame each way: the other end still sees whole frames, and so does the next driver. */
static void a_new_driver_begins_with_a_new_frame(void **state)
{
    static uint8_t got[8 << 20];
    struct wire w;
    size_t len;
    (void)state;
    wire_open(&w);
    unsigned n = fill(&w);
    put_frame(&w, 100, 30, 5);
    assert_int_equal(receive(&w, &len), NET_PARTIAL);
    w.backend->ops->forget(w.backend);
    size_t done = drain(&w, got, sizeof got);
    enum net_outcome o;
    while ((o = send_frame(&w, 60, 9)) == NET_LATER)
        done += drain(&w, got + done, sizeof got - done);
    assert_int_equal(o, NET_DONE);
    done += drain(&w, got + done, sizeof got - done);
    assert_true(done == n * 60004ul + 64 || done == (n + 1) * 60004ul + 64);
    assert_memory_equal(got + done - 64, "\0\0\0\74\11", 5);
    assert_int_equal(receive(&w, &len), NET_LATER);
    put_rest(&w, 70, 5);
    put_frame(&w, 50, 50, 6);
    expect_packet(&w, 50, 6);
    wire_close(&w);
}

/* A passt of the test's own, found by PATH. */
static void with_passt(const char *script, int *rc, struct cofre_err *err, struct net_backend **out)
{
    char dir[] = "/tmp/cofre-test-passt-XXXXXX", path[64], before[4096];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/passt", dir);
    snprintf(before, sizeof before, "%s", getenv("PATH"));
    if (script) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(script, f);
        fclose(f);
        assert_int_equal(chmod(path, 0700), 0);
    }
    setenv("PATH", dir, 1);
    *rc = net_passt_start(out, err);
    setenv("PATH", before, 1);
    unlink(path);
    rmdir(dir);
}

static void a_missing_passt_is_said_with_its_package(void **state)
{
    struct net_backend *b;
    struct cofre_err err;
    int rc;
    (void)state;
    with_passt(NULL, &rc, &err, &b);
    assert_int_equal(rc, -COFRE_LACKING);
    assert_string_equal(err.text, "passt is not installed here; Debian's package: apt install passt");
}

static void what_passt_says_of_its_failure_is_passed_on(void **state)
{
    struct net_backend *b;
    struct cofre_err err;
    int rc;
    (void)state;
    with_passt(
        "#!/bin/sh\necho 'Failed to send 3 bytes to syslog' >&2\necho 'External interface not usable' >&2\n"
        "echo 'Failed to send 9 bytes to syslog' >&2\nexit 1\n",
        &rc, &err, &b);
    assert_int_equal(rc, -COFRE_LACKING);
    assert_string_equal(err.text, "passt did not start: External interface not usable");
    with_passt("#!/bin/sh\nkill -9 $$\n", &rc, &err, &b);
    assert_int_equal(rc, -COFRE_LACKING);
    assert_string_equal(err.text, "passt did not start: it gave no reason");
}

/* It has its end of the connection as descriptor 3, no other of ours, and ends when we close. */
static void a_passt_has_its_socket_and_nothing_else(void **state)
{
    struct net_backend *b;
    struct cofre_err err;
    int rc, leak = open("/dev/null", O_RDONLY);
    uint8_t said[64] = {0};
    (void)state;
    with_passt("#!/bin/sh\n[ \"$*\" = '--quiet --fd 3' ] || { echo \"called with $*\" >&2; exit 1; }\n"
               "for fd in 4 5 6 7 8 9; do [ ! -e /proc/self/fd/$fd ] || { echo \"$fd is open\" >&2; exit 1; "
               "}; done\n"
               "(printf '\\000\\000\\000\\016fourteen bytes' >&3) 2>/dev/null &\nexit 0\n",
               &rc, &err, &b);
    if (rc)
        fail_msg("%s", err.text);
    struct pollfd p = {.fd = b->fd[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(recv(b->fd[0], said, sizeof said, 0), 18);
    assert_memory_equal(said + 4, "fourteen bytes", 14);
    assert_int_equal(b->mtu, 65520);
    assert_int_equal(b->mac[0] & 3, 2); /* local, of one machine */
    b->ops->free(b);
    close(leak);
}

static void a_passt_that_listens_is_connected_to(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/tmp/cofre-test-passt.socket"};
    struct net_backend *b;
    struct cofre_err err;
    (void)state;
    (void)unlink(address.sun_path);
    assert_int_equal(net_passt_connect(&b, address.sun_path, &err), -COFRE_LACKING);
    assert_string_equal(err.text, "passt at /tmp/cofre-test-passt.socket: nobody listens there");
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s, 1), 0);
    assert_int_equal(net_passt_connect(&b, address.sun_path, &err), 0);
    b->ops->free(b);
    close(s);
    (void)unlink(address.sun_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_sent_after_its_length),
        cmocka_unit_test(frames_are_received_one_by_one),
        cmocka_unit_test(a_frame_may_come_byte_by_byte),
        cmocka_unit_test(a_length_that_is_no_frames_ends_the_connection),
        cmocka_unit_test(a_closed_connection_is_gone_both_ways),
        cmocka_unit_test(what_does_not_go_at_once_goes_on_where_it_was),
        cmocka_unit_test(a_new_driver_begins_with_a_new_frame),
        cmocka_unit_test(a_missing_passt_is_said_with_its_package),
        cmocka_unit_test(what_passt_says_of_its_failure_is_passed_on),
        cmocka_unit_test(a_passt_has_its_socket_and_nothing_else),
        cmocka_unit_test(a_passt_that_listens_is_connected_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
