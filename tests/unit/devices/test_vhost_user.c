#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/devices/back_end.h"
#include "vmm/devices/vhost_user.h"

#define GPA        0x100000ull
#define MEMORY     0x10000u
#define SOON       50    /* milliseconds, for a back end that never answers */
#define PATIENCE   20000 /* for one that does, on a machine that does much else */
#define CONFIG_LEN 60

/* Both ends, and guest memory of two regions: one with a file, and one that cannot be handed over. */
struct pair {
    struct back_end be;
    struct vhost_user b;
    struct guest_memory mem;
    uint8_t *host, other[4096];
    int memfd, kick, call, error;
    struct cofre_err err;
};

static void open_pair(struct pair *p)
{
    p->b = (struct vhost_user){.path = "/run/fs.sock", .patience = PATIENCE, .queues = UINT32_MAX};
    p->b.fd = back_end_start(&p->be);
    p->memfd = memfd_create("guest", MFD_CLOEXEC);
    assert_int_equal(ftruncate(p->memfd, 0x1000 + MEMORY), 0);
    p->host = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, p->memfd, 0x1000);
    assert_ptr_not_equal(p->host, MAP_FAILED);
    p->mem.count = 0;
    assert_int_equal(guest_memory_add(&p->mem, 0x1000, sizeof p->other, p->other, NULL), 0);
    assert_int_equal(guest_memory_add_file(&p->mem, GPA, MEMORY, p->host, p->memfd, 0x1000, NULL), 0);
    p->kick = eventfd(0, EFD_CLOEXEC);
    p->call = eventfd(0, EFD_CLOEXEC);
    p->error = eventfd(0, EFD_CLOEXEC);
    p->err.text[0] = 0;
}

static void close_pair(struct pair *p)
{
    vhost_user_close(&p->b);
    back_end_join(&p->be);
    munmap(p->host, MEMORY);
    close(p->memfd);
    close(p->kick);
    close(p->call);
    close(p->error);
}

static struct vhost_user_ring ring_of(const struct pair *p)
{
    return (struct vhost_user_ring){{16, GPA, GPA + 0x1000, GPA + 0x2000}, 7, p->kick, p->call, p->error};
}

/* Everything a device asks of a back end, in its order. */
static int whole_session(struct pair *p)
{
    uint8_t config[CONFIG_LEN];
    const struct vhost_user_ring ring = ring_of(p);
    int rc = vhost_user_greet(&p->b, &p->err);
    if (rc == 0)
        rc = vhost_user_config(&p->b, config, sizeof config, &p->err);
    if (rc == 0)
        rc = vhost_user_set_features(&p->b, 1ull << 32, &p->err);
    if (rc == 0)
        rc = vhost_user_set_memory(&p->b, &p->mem, &p->err);
    if (rc == 0)
        rc = vhost_user_start_ring(&p->b, 1, &ring, &p->err);
    return rc ? rc : vhost_user_stop_ring(&p->b, 1, &p->err);
}

#define EXPECT_ORDER(be, ...)                                                                                \
    do {                                                                                                     \
        const uint32_t expected[] = {__VA_ARGS__};                                                           \
        assert_int_equal((be)->count, sizeof expected / sizeof *expected);                                   \
        assert_memory_equal((be)->order, expected, sizeof expected);                                         \
    } while (0)

static void a_session_says_all_in_the_right_order(void **state)
{
    struct pair p;
    (void)state;
    back_end_init(&p.be);
    open_pair(&p);
    if (whole_session(&p))
        fail_msg("%s", p.err.text);
    assert_int_equal(p.b.queues, 2);
    assert_int_equal(p.b.protocol, BE_MQ | BE_REPLY_ACK | BE_HAS_CONFIG);
    close_pair(&p);
    EXPECT_ORDER(&p.be, BE_GET_FEATURES, BE_GET_PROTOCOL_FEATURES, BE_SET_PROTOCOL_FEATURES, BE_GET_QUEUE_NUM,
                 BE_SET_OWNER, BE_GET_CONFIG, BE_SET_FEATURES, BE_SET_MEM_TABLE, BE_SET_VRING_NUM,
                 BE_SET_VRING_BASE, BE_SET_VRING_ADDR, BE_SET_VRING_ERR, BE_SET_VRING_CALL, BE_SET_VRING_KICK,
                 BE_SET_VRING_ENABLE, BE_GET_VRING_BASE);
    for (unsigned i = 0; i < p.be.count; i++) {
        uint32_t request = p.be.order[i];
        bool answered = request == BE_GET_FEATURES || request == BE_GET_PROTOCOL_FEATURES ||
                        request == BE_SET_PROTOCOL_FEATURES || request == BE_GET_QUEUE_NUM ||
                        request == BE_GET_CONFIG || request == BE_GET_VRING_BASE;
        assert_int_equal(p.be.flags[i], answered ? 1 : 9); /* version 1; and an acknowledgement is wanted */
        bool carries = request == BE_SET_MEM_TABLE || request == BE_SET_VRING_ERR ||
                       request == BE_SET_VRING_CALL || request == BE_SET_VRING_KICK;
        assert_int_equal(p.be.descriptors[i], carries);
    }
    assert_int_equal(p.be.value[2], BE_MQ | BE_REPLY_ACK | BE_HAS_CONFIG); /* of SET_PROTOCOL_FEATURES */
    assert_int_equal(p.be.driver_features, 1ull << 32 | BE_PROTOCOL_FEATURES);
    assert_int_equal(p.be.ring[1].num, 16);
    assert_int_equal(p.be.ring[1].base, 7);
    assert_int_equal(p.be.ring[1].desc, GPA);
    assert_int_equal(p.be.ring[1].avail, GPA + 0x1000);
    assert_int_equal(p.be.ring[1].used, GPA + 0x2000);
}

static void only_memory_with_a_file_is_handed_over_and_no_address_of_ours(void **state)
{
    struct pair p;
    (void)state;
    back_end_init(&p.be);
    open_pair(&p);
    if (whole_session(&p))
        fail_msg("%s", p.err.text);
    close_pair(&p);
    assert_int_equal(p.be.mem.count, 1);
    assert_int_equal(p.be.mem.region[0].gpa, GPA);
    assert_int_equal(p.be.mem.region[0].len, MEMORY);
    assert_int_equal(p.be.user[0], GPA);
    assert_int_equal(p.be.offset[0], 0x1000);
}

static void without_protocol_features_nothing_of_them_is_said(void **state)
{
    struct pair p;
    uint8_t config[CONFIG_LEN];
    (void)state;
    back_end_init(&p.be);
    p.be.features = ~BE_PROTOCOL_FEATURES;
    open_pair(&p);
    const struct vhost_user_ring ring = ring_of(&p);
    assert_int_equal(vhost_user_greet(&p.b, &p.err), 0);
    assert_int_equal(p.b.queues, UINT32_MAX);
    assert_int_equal(vhost_user_config(&p.b, config, sizeof config, &p.err), -COFRE_LACKING);
    assert_int_equal(vhost_user_set_features(&p.b, 1ull << 32, &p.err), 0);
    assert_int_equal(vhost_user_set_memory(&p.b, &p.mem, &p.err), 0);
    assert_int_equal(vhost_user_start_ring(&p.b, 0, &ring, &p.err), 0);
    assert_int_equal(vhost_user_stop_ring(&p.b, 0, &p.err), 0);
    close_pair(&p);
    EXPECT_ORDER(&p.be, BE_GET_FEATURES, BE_SET_OWNER, BE_SET_FEATURES, BE_SET_MEM_TABLE, BE_SET_VRING_NUM,
                 BE_SET_VRING_BASE, BE_SET_VRING_ADDR, BE_SET_VRING_ERR, BE_SET_VRING_CALL, BE_SET_VRING_KICK,
                 BE_GET_VRING_BASE);
    for (unsigned i = 0; i < p.be.count; i++)
        assert_int_equal(p.be.flags[i], 1);
    assert_int_equal(p.be.driver_features, 1ull << 32);
}

static void a_configuration_arrives_whole_and_no_byte_more(void **state)
{
    struct pair p;
    uint8_t config[CONFIG_LEN + 1];
    (void)state;
    back_end_init(&p.be);
    for (unsigned i = 0; i < sizeof p.be.config; i++)
        p.be.config[i] = (uint8_t)(i + 1);
    open_pair(&p);
    assert_int_equal(vhost_user_greet(&p.b, &p.err), 0);
    memset(config, 0, sizeof config);
    assert_int_equal(vhost_user_config(&p.b, config, CONFIG_LEN, &p.err), 0);
    assert_memory_equal(config, p.be.config, CONFIG_LEN);
    assert_int_equal(config[CONFIG_LEN], 0);
    uint8_t all[VHOST_USER_CONFIG_MAX];
    assert_int_equal(vhost_user_config(&p.b, all, sizeof all, &p.err), 0);
    assert_memory_equal(all, p.be.config, sizeof all);
    close_pair(&p);
}

/*
 * An answer may take its time on a busy machine, and only one that never comes is to be given up: the session's time is over
 * as soon as the back end says that this is all. Without a hush, and for who waits without a limit, poll is the kernel's.
 */
static int hush = -1;

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (hush < 0 || timeout < 0)
        return __real_poll(fds, count, timeout);
    assert_int_equal(count, 1);
    assert_in_range(timeout, 1, PATIENCE);
    struct pollfd either[] = {*fds, {.fd = hush, .events = POLLIN}};
    const int ready = __real_poll(either, 2, timeout);
    return ready > 0 ? __real_poll(fds, 1, 0) : ready; /* what came before the hush is there */
}

/* One thing is wrong in one answer: the session ends there, by a sentence that names back end, request and reason. */
static void expect_refused(enum back_end_fault fault, uint32_t at, const char *request, const char *why)
{
    struct pair p;
    back_end_init(&p.be);
    p.be.fault = fault;
    p.be.fault_at = at;
    p.be.hush = hush = eventfd(0, EFD_CLOEXEC);
    open_pair(&p);
    int rc = whole_session(&p);
    if (rc == 0)
        fail_msg("fault %u at %s went unnoticed", fault, request);
    if (!strstr(p.err.text, "back end /run/fs.sock: ") || !strstr(p.err.text, request) ||
        !strstr(p.err.text, why))
        fail_msg("fault %u at %s: \"%s\"", fault, request, p.err.text);
    assert_true(p.b.ended);
    /* And it stays so. */
    assert_int_equal(vhost_user_stop_ring(&p.b, 0, &p.err), -COFRE_FAILED);
    assert_non_null(strstr(p.err.text, "has ended"));
    close_pair(&p);
    close(hush);
    hush = -1;
    assert_true(p.be.order[p.be.count - 1] == at);
}

static void every_wrong_answer_ends_the_session(void **state)
{
    static const struct {
        uint32_t request;
        const char *name;
    } answered[] = {
        {BE_GET_FEATURES, "GET_FEATURES"},     {BE_GET_PROTOCOL_FEATURES, "GET_PROTOCOL_FEATURES"},
        {BE_GET_QUEUE_NUM, "GET_QUEUE_NUM"},   {BE_GET_CONFIG, "GET_CONFIG"},
        {BE_SET_OWNER, "SET_OWNER"},           {BE_SET_FEATURES, "SET_FEATURES"},
        {BE_SET_MEM_TABLE, "SET_MEM_TABLE"},   {BE_SET_VRING_NUM, "SET_VRING_NUM"},
        {BE_SET_VRING_BASE, "SET_VRING_BASE"}, {BE_SET_VRING_ADDR, "SET_VRING_ADDR"},
        {BE_SET_VRING_ERR, "SET_VRING_ERR"},   {BE_SET_VRING_CALL, "SET_VRING_CALL"},
        {BE_SET_VRING_KICK, "SET_VRING_KICK"}, {BE_SET_VRING_ENABLE, "SET_VRING_ENABLE"},
        {BE_GET_VRING_BASE, "GET_VRING_BASE"},
    };
    static const struct {
        enum back_end_fault fault;
        const char *why;
    } faults[] = {
        {FAULT_OTHER_REQUEST, "the answer is to request"},
        {FAULT_VERSION, "flags are 0x6"},
        {FAULT_NO_REPLY_FLAG, "flags are 0x1"},
        {FAULT_EXTRA_FLAG, "flags are 0x15"},
        {FAULT_EMPTY, "has 0 bytes"},
        {FAULT_SHORT, "bytes instead of"},
        {FAULT_LONG, "bytes instead of"},
        {FAULT_HUGE, "has 4294967295 bytes"},
        {FAULT_DESCRIPTOR, "a descriptor"},
        {FAULT_TRUNCATED, "closed the connection"},
        {FAULT_CLOSES, "closed the connection"},
        {FAULT_HALF, "no answer within 20000 ms"},
        {FAULT_SILENT, "no answer within 20000 ms"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof answered / sizeof *answered; i++)
        for (size_t j = 0; j < sizeof faults / sizeof *faults; j++)
            expect_refused(faults[j].fault, answered[i].request, answered[i].name, faults[j].why);
}

/* By the clock itself: what is silent from the first request on. */
static void a_back_end_that_says_nothing_is_not_waited_for(void **state)
{
    static const enum back_end_fault faults[] = {FAULT_SILENT, FAULT_HALF};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct pair p;
        back_end_init(&p.be);
        p.be.fault = faults[i];
        p.be.fault_at = BE_GET_FEATURES;
        open_pair(&p);
        p.b.patience = SOON;
        assert_int_equal(vhost_user_greet(&p.b, &p.err), -COFRE_FAILED);
        assert_non_null(strstr(p.err.text, "/run/fs.sock: GET_FEATURES: no answer within 50 ms"));
        close_pair(&p);
    }
}

/* The time is over before anybody looks, as it is for who did not run for so long. */
static void an_answer_that_is_there_counts_however_late_it_is(void **state)
{
    static const uint8_t features[] = {
        BE_GET_FEATURES, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0};
    struct pair p;
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(send(pair[1], features, sizeof features, 0), sizeof features);
    p.b = (struct vhost_user){.fd = pair[0], .path = "/run/fs.sock", .patience = 0};
    assert_int_equal(vhost_user_greet(&p.b, &p.err), 0);
    assert_int_equal(p.b.features, 0x30201);
    assert_int_equal(vhost_user_stop_ring(&p.b, 0, &p.err), -COFRE_FAILED);
    assert_non_null(strstr(p.err.text, "GET_VRING_BASE: no answer within 0 ms"));
    vhost_user_close(&p.b);
    close(pair[1]);
}

static void a_refusal_ends_the_session(void **state)
{
    (void)state;
    expect_refused(FAULT_REFUSES, BE_SET_MEM_TABLE, "SET_MEM_TABLE", "refused with 22");
    expect_refused(FAULT_REFUSES, BE_SET_VRING_ENABLE, "SET_VRING_ENABLE", "refused with 22");
}

static void another_part_of_the_configuration_is_refused(void **state)
{
    (void)state;
    expect_refused(FAULT_OTHER_OFFSET, BE_GET_CONFIG, "GET_CONFIG", "another part");
    expect_refused(FAULT_OTHER_SIZE, BE_GET_CONFIG, "GET_CONFIG", "another part");
}

static void the_state_of_another_ring_is_refused(void **state)
{
    (void)state;
    expect_refused(FAULT_OTHER_RING, BE_GET_VRING_BASE, "GET_VRING_BASE", "is of ring 2");
}

/* What nobody asked for stands where the next answer should be. */
static void an_answer_too_many_is_not_taken_for_the_next(void **state)
{
    struct pair p;
    (void)state;
    back_end_init(&p.be);
    p.be.fault = FAULT_TWICE;
    p.be.fault_at = BE_GET_FEATURES;
    open_pair(&p);
    assert_int_equal(vhost_user_greet(&p.b, &p.err), -COFRE_MALFORMED);
    assert_non_null(strstr(p.err.text, "the answer is to request 1"));
    close_pair(&p);
}

static void a_back_end_that_reads_nothing_is_not_waited_for(void **state)
{
    struct pair p;
    int pair[2], small = 1;
    char fill[4096] = {0};
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    while (send(pair[0], fill, sizeof fill, 0) > 0)
        continue;
    p.b = (struct vhost_user){.fd = pair[0], .path = "/run/fs.sock", .patience = SOON};
    assert_int_equal(vhost_user_greet(&p.b, &p.err), -COFRE_FAILED);
    assert_non_null(strstr(p.err.text, "/run/fs.sock: GET_FEATURES: no answer within 50 ms"));
    vhost_user_close(&p.b);
    close(pair[1]);
}

static void a_path_without_a_back_end_is_named(void **state)
{
    struct vhost_user b;
    struct cofre_err err;
    char longest[200];
    (void)state;
    assert_int_equal(vhost_user_connect(&b, "/nowhere/fs.sock", &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "/nowhere/fs.sock: No such file"));
    assert_int_equal(b.fd, -1);
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(vhost_user_connect(&b, longest, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "too long"));
}

static void a_back_end_with_no_room_for_us_is_not_waited_for(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct vhost_user b, filling[16];
    struct cofre_err err;
    char dir[] = "/tmp/cofre-test-vhost-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", dir);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 0), 0);
    unsigned n = 0;
    while (n < 16 && vhost_user_connect(&filling[n], address.sun_path, &err) == 0)
        n++;
    assert_in_range(n, 1, 15);
    assert_non_null(strstr(err.text, "busy"));
    assert_int_equal(vhost_user_connect(&b, address.sun_path, &err), -COFRE_LACKING);
    while (n)
        vhost_user_close(&filling[--n]);
    close(listener);
    unlink(address.sun_path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_says_all_in_the_right_order),
        cmocka_unit_test(only_memory_with_a_file_is_handed_over_and_no_address_of_ours),
        cmocka_unit_test(without_protocol_features_nothing_of_them_is_said),
        cmocka_unit_test(a_configuration_arrives_whole_and_no_byte_more),
        cmocka_unit_test(every_wrong_answer_ends_the_session),
        cmocka_unit_test(a_back_end_that_says_nothing_is_not_waited_for),
        cmocka_unit_test(an_answer_that_is_there_counts_however_late_it_is),
        cmocka_unit_test(a_refusal_ends_the_session),
        cmocka_unit_test(another_part_of_the_configuration_is_refused),
        cmocka_unit_test(the_state_of_another_ring_is_refused),
        cmocka_unit_test(an_answer_too_many_is_not_taken_for_the_next),
        cmocka_unit_test(a_back_end_that_reads_nothing_is_not_waited_for),
        cmocka_unit_test(a_path_without_a_back_end_is_named),
        cmocka_unit_test(a_back_end_with_no_room_for_us_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
