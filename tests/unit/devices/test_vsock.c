#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/devices/driver.h"
#include "vmm/devices/vsock.h"
#include "vmm/devices/vsock_stream.h"

#define CID     7
#define RX      0
#define TX      1
#define SLOT    0x1000u /* of a packet's buffer */
#define RX_AREA (DRIVER_GPA + DRIVER_BUFFER)
#define TX_AREA (RX_AREA + 16 * SLOT)
#define PAYLOAD (SLOT - sizeof(struct vsock_header))
#define ALLOC   0x4000u

/* The guest's side of the protocol, and the directory of the host's sockets. */
struct guest {
    struct driver d;
    char dir[64], path[80];
    uint32_t received[8];
};

static void give_buffer(struct guest *g, uint16_t i)
{
    g->d.queue[RX].desc[i] = (struct desc){RX_AREA + i * SLOT, SLOT, DESC_WRITE, 0};
    driver_post(&g->d, RX, i);
}

static int vsock_new(struct virtio_device **out, uint64_t cid, char *path, struct cofre_err *err)
{
    return virtio_vsock_new(out, cid, path, (struct vsock_way){vsock_connect, path}, err);
}

static void guest_open(struct guest *g, unsigned buffers)
{
    struct virtio_device *device;
    struct cofre_err err;
    strcpy(g->dir, "/tmp/cofre-test-vsock-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    snprintf(g->path, sizeof g->path, "%s/vsock", g->dir);
    if (vsock_new(&device, CID, g->path, &err))
        fail_msg("%s", err.text);
    driver_open(&g->d, device);
    driver_go(&g->d, 1);
    for (uint16_t i = 0; i < buffers; i++)
        give_buffer(g, i);
}

static void guest_close(struct guest *g)
{
    driver_close(&g->d);
    unlink(g->path);
    assert_int_equal(rmdir(g->dir), 0);
}

static void guest_send(struct guest *g, struct vsock_header h, const void *data, uint32_t len)
{
    h.src_cid = h.src_cid ? h.src_cid : CID;
    h.dst_cid = h.dst_cid ? h.dst_cid : 2;
    h.type = h.type ? h.type : 1;
    h.buf_alloc = h.buf_alloc ? h.buf_alloc : ALLOC;
    h.len = len;
    uint64_t gpa = TX_AREA;
    memcpy(at(&g->d, gpa), &h, sizeof h);
    if (len)
        memcpy(at(&g->d, gpa + SLOT), data, len);
    driver_ask(&g->d, TX, gpa, sizeof h, 0, 0); /* the header alone, where there is no data */
}

/* Header and data as one readable chain of two descriptors. */
static void guest_send_data(struct guest *g, struct vsock_header h, const void *data, uint32_t len)
{
    struct desc *desc = g->d.queue[TX].desc;
    h = (struct vsock_header){CID, 2, h.src_port, h.dst_port, len, 1, VSOCK_RW, 0, ALLOC, h.fwd_cnt};
    memcpy(at(&g->d, TX_AREA), &h, sizeof h);
    memcpy(at(&g->d, TX_AREA + SLOT), data, len);
    desc[0] = (struct desc){TX_AREA, sizeof h, DESC_NEXT, 1};
    desc[1] = (struct desc){TX_AREA + SLOT, len, 0, 0};
    driver_post(&g->d, TX, 0);
    (void)driver_wait(&g->d, TX, NULL);
}

static bool has_come(struct guest *g)
{
    return driver_came_back(&g->d, RX);
}

/* The next packet from the device; its data goes to data, which has room, or is NULL where there is none. The buffer is given back. */
static struct vsock_header guest_receive(struct guest *g, void *data)
{
    struct vsock_header h;
    uint16_t head;
    uint32_t len = driver_wait(&g->d, RX, &head);
    assert_true(len >= sizeof h);
    memcpy(&h, at(&g->d, RX_AREA + head * SLOT), sizeof h);
    assert_int_equal(len, sizeof h + h.len);
    assert_int_equal(h.src_cid, 2);
    assert_int_equal(h.dst_cid, CID);
    if (data)
        memcpy(data, at(&g->d, RX_AREA + head * SLOT + sizeof h), h.len);
    else
        assert_int_equal(h.len, 0);
    give_buffer(g, head);
    return h;
}

static struct vsock_header expect_op(struct guest *g, enum vsock_op op)
{
    char data[SLOT];
    struct vsock_header h = guest_receive(g, data);
    if (h.op != op)
        fail_msg("operation %u, expected %d", h.op, (int)op);
    return h;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    return a;
}

static int host_connect(struct guest *g)
{
    struct sockaddr_un a = address_of(g->path);
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void host_write(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void host_reads(int fd, const char *expected)
{
    char line[256] = "";
    size_t n = 0;
    while (n < strlen(expected)) {
        ssize_t got = recv(fd, line + n, strlen(expected) - n, 0);
        if (got <= 0)
            fail_msg("'%s' and then the end, expected '%s'", line, expected);
        n += (size_t)got;
    }
    assert_string_equal(line, expected);
}

static void host_reads_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* A stream that the host began, as far as both sides know it; *h has the ports as the guest sends them. */
static int host_stream(struct guest *g, struct vsock_header *h)
{
    char ok[32];
    int fd = host_connect(g);
    host_write(fd, "CONNECT 4050\n");
    struct vsock_header request = expect_op(g, VSOCK_REQUEST);
    assert_int_equal(request.dst_port, 4050);
    *h = (struct vsock_header){.src_port = 4050, .dst_port = request.src_port, .op = VSOCK_RESPONSE};
    guest_send(g, *h, NULL, 0);
    snprintf(ok, sizeof ok, "OK %u\n", request.src_port);
    host_reads(fd, ok);
    return fd;
}

static void a_host_program_reaches_a_guests_port(void **state)
{
    struct guest g;
    struct vsock_header h;
    char data[SLOT];
    (void)state;
    guest_open(&g, 8);
    int fd = host_stream(&g, &h);
    host_write(fd, "hello, guest");
    struct vsock_header in = guest_receive(&g, data);
    assert_int_equal(in.op, VSOCK_RW);
    assert_int_equal(in.len, 12);
    assert_memory_equal(data, "hello, guest", 12);
    assert_int_equal(in.buf_alloc, VSOCK_BUFFER);
    guest_send_data(&g, h, "hello, host", 11);
    host_reads(fd, "hello, host");
    close(fd);
    in = expect_op(&g, VSOCK_SHUTDOWN);
    assert_int_equal(in.flags, VSOCK_NEITHER);
    h.op = VSOCK_RST;
    guest_send(&g, h, NULL, 0);
    guest_close(&g);
}

static void what_follows_the_greeting_at_once_is_the_streams(void **state)
{
    struct guest g;
    char data[SLOT];
    (void)state;
    guest_open(&g, 8);
    int fd = host_connect(&g);
    host_write(fd, "CONN");
    host_write(fd, "ECT 4050\nearly");
    struct vsock_header request = expect_op(&g, VSOCK_REQUEST);
    guest_send(&g,
               (struct vsock_header){.src_port = 4050, .dst_port = request.src_port, .op = VSOCK_RESPONSE},
               NULL, 0);
    struct vsock_header in = guest_receive(&g, data);
    assert_int_equal(in.len, 5);
    assert_memory_equal(data, "early", 5);
    close(fd);
    guest_close(&g);
}

static void a_refused_connection_says_so(void **state)
{
    struct guest g;
    (void)state;
    guest_open(&g, 8);
    int fd = host_connect(&g);
    host_write(fd, "CONNECT 9\n");
    struct vsock_header request = expect_op(&g, VSOCK_REQUEST);
    guest_send(&g, (struct vsock_header){.src_port = 9, .dst_port = request.src_port, .op = VSOCK_RST}, NULL,
               0);
    host_reads(fd, "ERROR the guest refused the connection to port 9\n");
    host_reads_end(fd);
    close(fd);
    guest_close(&g);
}

static void a_wrong_greeting_says_so(void **state)
{
    struct guest g;
    (void)state;
    guest_open(&g, 8);
    const char *const wrong[] = {"CONNECT \n",
                                 "CONNECT\n",
                                 "CONNECT 12x\n",
                                 "CONNECT -1\n",
                                 "CONNECT 4294967295\n",
                                 "connect 1\n",
                                 "\n",
                                 "CONNECT 99999999999\n",
                                 "CONNECT  1\n",
                                 "GET / HTTP/1.1 and what belongs to it"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int fd = host_connect(&g);
        host_write(fd, wrong[i]);
        host_reads(fd, "ERROR expected CONNECT, a space and a port number\n");
        close(fd);
    }
    int fd = host_connect(&g);
    host_write(fd, "CONNECT 4");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    host_reads(fd, "ERROR expected CONNECT, a space and a port number\n");
    host_reads_end(fd);
    close(fd);
    guest_close(&g);
}

static void without_a_driver_the_host_is_told(void **state)
{
    struct guest g;
    (void)state;
    guest_open(&g, 0);
    driver_reset(&g.d);
    int fd = host_connect(&g);
    host_write(fd, "CONNECT 4050\n");
    host_reads(fd, "ERROR the guest has no vsock driver yet\n");
    close(fd);
    guest_close(&g);
}

/* The unix socket that a guest's connection to a port goes to. */
static int host_listen(struct guest *g, unsigned port, char path[96])
{
    snprintf(path, 96, "%s_%u", g->path, port);
    struct sockaddr_un a = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void a_guest_reaches_a_host_program(void **state)
{
    struct guest g;
    char path[96];
    (void)state;
    guest_open(&g, 8);
    int listener = host_listen(&g, 1234, path);
    struct vsock_header h = {.src_port = 99, .dst_port = 1234, .op = VSOCK_REQUEST};
    guest_send(&g, h, NULL, 0);
    struct vsock_header in = expect_op(&g, VSOCK_RESPONSE);
    assert_int_equal(in.src_port, 1234);
    assert_int_equal(in.dst_port, 99);
    int fd = accept(listener, NULL, NULL);
    guest_send_data(&g, h, "from inside", 11);
    host_reads(fd, "from inside");
    h.op = VSOCK_SHUTDOWN;
    h.flags = VSOCK_NEITHER;
    guest_send(&g, h, NULL, 0);
    (void)expect_op(&g, VSOCK_RST);
    host_reads_end(fd);
    close(fd);
    close(listener);
    unlink(path);
    guest_close(&g);
}

static void a_port_without_a_listener_is_reset(void **state)
{
    struct guest g;
    (void)state;
    guest_open(&g, 8);
    guest_send(&g, (struct vsock_header){.src_port = 5, .dst_port = 6, .op = VSOCK_REQUEST}, NULL, 0);
    struct vsock_header in = expect_op(&g, VSOCK_RST);
    assert_int_equal(in.src_port, 6);
    assert_int_equal(in.dst_port, 5);
    guest_close(&g);
}

static void packets_that_belong_to_no_stream_are_reset(void **state)
{
    struct guest g;
    (void)state;
    guest_open(&g, 8);
    const uint16_t ops[] = {0, VSOCK_RESPONSE, VSOCK_SHUTDOWN, VSOCK_CREDIT_UPDATE, VSOCK_CREDIT_REQUEST,
                            8, 0xffff};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        guest_send(&g, (struct vsock_header){.src_port = 5, .dst_port = 6, .op = ops[i]}, NULL, 0);
        (void)expect_op(&g, VSOCK_RST);
    }
    guest_send(&g, (struct vsock_header){.src_port = 5, .dst_port = 6, .type = 2, .op = VSOCK_REQUEST}, NULL,
               0);
    assert_int_equal(expect_op(&g, VSOCK_RST).type, 2);
    /* neither a reset nor another guest's packet is answered: the next answer is the one after them */
    guest_send(&g, (struct vsock_header){.src_port = 5, .dst_port = 6, .op = VSOCK_RST}, NULL, 0);
    guest_send(&g, (struct vsock_header){.src_cid = 8, .src_port = 5, .dst_port = 6, .op = VSOCK_REQUEST},
               NULL, 0);
    guest_send(&g, (struct vsock_header){.src_port = 77, .dst_port = 6, .op = VSOCK_REQUEST}, NULL, 0);
    assert_int_equal(expect_op(&g, VSOCK_RST).dst_port, 77);
    guest_close(&g);
}

#define BULK (1u << 20)

static uint8_t bulk_byte(uint32_t i)
{
    return (uint8_t)(i * 13 + (i >> 9));
}

static void *bulk_reader(void *context)
{
    int fd = *(int *)context;
    uint8_t data[5000];
    uint32_t done = 0;
    ssize_t n;
    while ((n = recv(fd, data, sizeof data, 0)) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (data[i] != bulk_byte(done++))
                return (void *)1;
    return done == BULK ? NULL : (void *)2;
}

static void *bulk_writer(void *context)
{
    int fd = *(int *)context;
    uint8_t data[4099];
    for (uint32_t done = 0; done < BULK;) {
        uint32_t n = BULK - done < sizeof data ? BULK - done : (uint32_t)sizeof data;
        for (uint32_t i = 0; i < n; i++)
            data[i] = bulk_byte(done + i);
        if (send(fd, data, n, MSG_NOSIGNAL) != (ssize_t)n)
            return (void *)3;
        done += n;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

/* Both ways at once, with a guest that keeps to its credit and gives its own in small portions. */
static void a_megabyte_each_way_arrives_whole(void **state)
{
    struct guest g;
    struct vsock_header h, in;
    (void)state;
    guest_open(&g, 8);
    int fd = host_stream(&g, &h);
    pthread_t reader, writer;
    assert_int_equal(pthread_create(&reader, NULL, bulk_reader, &fd), 0);
    assert_int_equal(pthread_create(&writer, NULL, bulk_writer, &fd), 0);
    uint8_t data[SLOT];
    uint32_t sent = 0, received = 0, forwarded = 0;
    bool ended = false;
    while (sent < BULK || received < BULK || !ended) {
        uint32_t allowed = VSOCK_BUFFER - (sent - forwarded);
        uint32_t n = BULK - sent < 3000 ? BULK - sent : 3000;
        n = n < allowed ? n : allowed;
        for (uint32_t i = 0; i < n; i++)
            data[i] = bulk_byte(sent + i);
        h.fwd_cnt = received;
        if (n)
            guest_send_data(&g, h, data, n);
        sent += n;
        if (n && !has_come(&g)) /* waits only when it has nothing to send */
            continue;
        in = guest_receive(&g, data);
        forwarded = in.fwd_cnt;
        for (uint32_t i = 0; i < in.len; i++)
            assert_int_equal(data[i], bulk_byte(received + i));
        received += in.len;
        ended |= in.op == VSOCK_SHUTDOWN;
        struct vsock_header update = {
            .src_port = h.src_port, .dst_port = h.dst_port, .op = VSOCK_CREDIT_UPDATE, .fwd_cnt = received};
        if (in.op == VSOCK_RW)
            guest_send(&g, update, NULL, 0);
    }
    assert_int_equal(received, BULK);
    struct vsock_header close_it = {
        .src_port = h.src_port, .dst_port = h.dst_port, .op = VSOCK_SHUTDOWN, .flags = VSOCK_NEITHER};
    guest_send(&g, close_it, NULL, 0);
    void *failed;
    pthread_join(writer, &failed);
    assert_null(failed);
    pthread_join(reader, &failed);
    assert_null(failed);
    close(fd);
    guest_close(&g);
}

static void the_host_sends_no_more_than_the_guests_credit(void **state)
{
    struct guest g;
    struct vsock_header h;
    uint8_t data[SLOT];
    static uint8_t much[ALLOC + 5000];
    (void)state;
    guest_open(&g, 12);
    int fd = host_stream(&g, &h);
    assert_int_equal(send(fd, much, sizeof much, MSG_NOSIGNAL), sizeof much);
    uint32_t received = 0;
    while (received < ALLOC)
        received += guest_receive(&g, data).len;
    assert_int_equal(received, ALLOC);
    /* asked for its own state, the device answers, and has sent no data meanwhile */
    h.op = VSOCK_CREDIT_REQUEST;
    guest_send(&g, h, NULL, 0);
    (void)expect_op(&g, VSOCK_CREDIT_UPDATE);
    /* a lie about what was forwarded gives no credit either */
    h.op = VSOCK_CREDIT_UPDATE;
    h.fwd_cnt = ALLOC + 1;
    guest_send(&g, h, NULL, 0);
    h.op = VSOCK_CREDIT_REQUEST;
    guest_send(&g, h, NULL, 0);
    (void)expect_op(&g, VSOCK_CREDIT_UPDATE);
    h.op = VSOCK_CREDIT_UPDATE;
    h.fwd_cnt = 1000;
    guest_send(&g, h, NULL, 0);
    assert_int_equal(guest_receive(&g, data).len, 1000);
    close(fd);
    guest_close(&g);
}

static void a_guest_beyond_its_credit_loses_the_stream(void **state)
{
    struct guest g;
    struct vsock_header h, other;
    char data[3000] = {0};
    (void)state;
    guest_open(&g, 8);
    int lazy = host_stream(&g, &h), well = host_stream(&g, &other);
    int small = 4096; /* so that the device's buffer is what fills */
    assert_int_equal(setsockopt(lazy, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    bool reset = false;
    for (unsigned i = 0; i < 1000 && !reset; i++) { /* the host's program reads nothing */
        guest_send_data(&g, h, data, sizeof data);
        while (has_come(&g) && !reset)
            reset = guest_receive(&g, NULL).op == VSOCK_RST;
    }
    assert_true(reset);
    guest_send_data(&g, other, "still here", 10);
    host_reads(well, "still here");
    close(lazy);
    close(well);
    guest_close(&g);
}

static void a_host_that_closes_while_the_guest_sends_is_a_reset(void **state)
{
    struct guest g;
    struct vsock_header h;
    (void)state;
    guest_open(&g, 8);
    int fd = host_stream(&g, &h);
    close(fd);
    assert_int_equal(expect_op(&g, VSOCK_SHUTDOWN).flags, VSOCK_NEITHER);
    guest_send_data(&g, h, "too late", 8);
    (void)expect_op(&g, VSOCK_RST);
    guest_close(&g);
}

static void half_closed_streams_carry_the_other_half(void **state)
{
    struct guest g;
    struct vsock_header h;
    (void)state;
    guest_open(&g, 8);
    int fd = host_stream(&g, &h);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(expect_op(&g, VSOCK_SHUTDOWN).flags, VSOCK_NO_SEND);
    guest_send_data(&g, h, "the answer", 10);
    host_reads(fd, "the answer");
    h.op = VSOCK_SHUTDOWN;
    h.flags = VSOCK_NO_SEND;
    guest_send(&g, h, NULL, 0);
    (void)expect_op(&g, VSOCK_RST);
    host_reads_end(fd);
    close(fd);
    guest_close(&g);
}

static void data_after_the_guests_own_shutdown_is_a_reset(void **state)
{
    struct guest g;
    struct vsock_header h;
    (void)state;
    guest_open(&g, 8);
    int fd = host_stream(&g, &h);
    h.op = VSOCK_SHUTDOWN;
    h.flags = VSOCK_NO_SEND;
    guest_send(&g, h, NULL, 0);
    host_reads_end(fd);
    guest_send_data(&g, h, "more", 4);
    (void)expect_op(&g, VSOCK_RST);
    close(fd);
    guest_close(&g);
}

static void without_receive_buffers_streams_wait(void **state)
{
    struct guest g;
    struct vsock_header h;
    char data[SLOT];
    (void)state;
    guest_open(&g, 2);
    int fd = host_stream(&g, &h);
    /* the two buffers fill; nothing is lost when they come back */
    for (unsigned i = 0; i < 10; i++)
        host_write(fd, "0123456789");
    uint32_t received = 0;
    while (received < 100) {
        struct vsock_header in = guest_receive(&g, data);
        for (uint32_t i = 0; i < in.len; i++)
            assert_int_equal(data[i], '0' + (received + i) % 10);
        received += in.len;
    }
    close(fd);
    guest_close(&g);
}

static void more_streams_than_there_may_be_are_closed(void **state)
{
    struct guest g;
    int fd[VSOCK_STREAMS];
    (void)state;
    guest_open(&g, 8);
    for (unsigned i = 0; i < VSOCK_STREAMS; i++)
        fd[i] = host_connect(&g);
    int more = host_connect(&g);
    host_reads_end(more);
    close(more);
    host_write(fd[VSOCK_STREAMS - 1], "CONNECT 1\n");
    (void)expect_op(&g, VSOCK_REQUEST);
    for (unsigned i = 0; i < VSOCK_STREAMS; i++)
        close(fd[i]);
    guest_close(&g);
}

static void a_flood_of_connections_is_bounded_and_survived(void **state)
{
    struct guest g;
    char path[96];
    (void)state;
    guest_open(&g, 0); /* and no buffer for any answer */
    int listener = host_listen(&g, 1, path);
    for (uint32_t i = 0; i < 3 * VSOCK_STREAMS; i++)
        guest_send(&g, (struct vsock_header){.src_port = i, .dst_port = 1 + i % 2, .op = VSOCK_REQUEST}, NULL,
                   0);
    for (uint16_t i = 0; i < 8; i++)
        give_buffer(&g, i);
    unsigned resets = 0, responses = 0;
    for (unsigned i = 0; i < VSOCK_RESETS; i++) {
        struct vsock_header in = guest_receive(&g, NULL);
        resets += in.op == VSOCK_RST;
        responses += in.op == VSOCK_RESPONSE;
    }
    assert_int_equal(resets + responses, VSOCK_RESETS);
    assert_true(resets > 0);
    close(listener);
    unlink(path);
    guest_close(&g);
}

static void a_driver_reset_ends_every_stream(void **state)
{
    struct guest g;
    struct vsock_header h;
    (void)state;
    guest_open(&g, 8);
    int fd = host_stream(&g, &h);
    driver_reset(&g.d);
    host_reads_end(fd);
    close(fd);
    driver_go(&g.d, 1);
    for (uint16_t i = 0; i < 8; i++)
        give_buffer(&g, i);
    fd = host_stream(&g, &h);
    close(fd);
    guest_close(&g);
}

static void packets_that_lie_about_their_length_break_the_device(void **state)
{
    struct guest g;
    struct vsock_header h;
    (void)state;
    guest_open(&g, 8);
    int fd = host_stream(&g, &h);
    struct vsock_header lie = {CID, 2, 4050, h.dst_port, 5, 1, VSOCK_RW, 0, ALLOC, 0};
    memcpy(at(&g.d, TX_AREA), &lie, sizeof lie);
    g.d.queue[TX].desc[0] = (struct desc){TX_AREA, sizeof lie + 4, 0, 0};
    driver_post(&g.d, TX, 0);
    driver_wait_broken(&g.d);
    driver_go(&g.d, 1);
    g.d.queue[TX].desc[0] = (struct desc){TX_AREA, sizeof lie - 1, 0, 0};
    driver_post(&g.d, TX, 0);
    driver_wait_broken(&g.d);
    close(fd);
    guest_close(&g);
}

static void a_receive_buffer_without_room_breaks_the_device(void **state)
{
    struct guest g;
    (void)state;
    guest_open(&g, 0);
    g.d.queue[RX].desc[0] = (struct desc){RX_AREA, sizeof(struct vsock_header), DESC_WRITE, 0};
    driver_post(&g.d, RX, 0);
    guest_send(&g, (struct vsock_header){.src_port = 5, .dst_port = 6, .op = VSOCK_REQUEST}, NULL, 0);
    driver_wait_broken(&g.d);
    guest_close(&g);
}

static void a_stale_socket_is_replaced_and_a_living_one_is_not(void **state)
{
    struct guest g;
    struct virtio_device *device;
    struct cofre_err err;
    struct stat st;
    (void)state;
    guest_open(&g, 0);
    assert_int_equal(stat(g.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(vsock_new(&device, 9, g.path, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "another program has it"));
    char stale[96];
    snprintf(stale, sizeof stale, "%s/stale", g.dir);
    struct sockaddr_un a = address_of(stale);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    assert_int_equal(vsock_new(&device, 9, stale, &err), 0);
    virtio_free(device);
    unlink(stale);
    guest_close(&g);
}

static void cids_and_paths_that_cannot_be_are_refused(void **state)
{
    struct virtio_device *device;
    struct cofre_err err;
    char never[] = "/tmp/cofre-never", longest[200] = "/tmp/";
    (void)state;
    const uint64_t cids[] = {0, 1, 2, UINT32_MAX, 1ull << 32};
    for (size_t i = 0; i < sizeof cids / sizeof *cids; i++)
        assert_int_equal(vsock_new(&device, cids[i], never, &err), -COFRE_USAGE);
    memset(longest + 5, 'x', 92);
    assert_int_equal(vsock_new(&device, 3, longest, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "at most"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_program_reaches_a_guests_port),
        cmocka_unit_test(what_follows_the_greeting_at_once_is_the_streams),
        cmocka_unit_test(a_refused_connection_says_so),
        cmocka_unit_test(a_wrong_greeting_says_so),
        cmocka_unit_test(without_a_driver_the_host_is_told),
        cmocka_unit_test(a_guest_reaches_a_host_program),
        cmocka_unit_test(a_port_without_a_listener_is_reset),
        cmocka_unit_test(packets_that_belong_to_no_stream_are_reset),
        cmocka_unit_test(a_megabyte_each_way_arrives_whole),
        cmocka_unit_test(the_host_sends_no_more_than_the_guests_credit),
        cmocka_unit_test(a_guest_beyond_its_credit_loses_the_stream),
        cmocka_unit_test(a_host_that_closes_while_the_guest_sends_is_a_reset),
        cmocka_unit_test(half_closed_streams_carry_the_other_half),
        cmocka_unit_test(data_after_the_guests_own_shutdown_is_a_reset),
        cmocka_unit_test(without_receive_buffers_streams_wait),
        cmocka_unit_test(more_streams_than_there_may_be_are_closed),
        cmocka_unit_test(a_flood_of_connections_is_bounded_and_survived),
        cmocka_unit_test(a_driver_reset_ends_every_stream),
        cmocka_unit_test(packets_that_lie_about_their_length_break_the_device),
        cmocka_unit_test(a_receive_buffer_without_room_breaks_the_device),
        cmocka_unit_test(a_stale_socket_is_replaced_and_a_living_one_is_not),
        cmocka_unit_test(cids_and_paths_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
