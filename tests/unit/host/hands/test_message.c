/* Messages of hands: what is let through, and the command line that comes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/host/hands/command.h"
#include "vmm/host/hands/hands.h"

static struct hands_request request;

static size_t start(void)
{
    memset(&request, 0, sizeof request);
    request.header = (struct hands_header){HANDS_VERSION, HANDS_START, 1, 7};
    request.start =
        (struct hands_start){.cpus = 1, .memory = 256 << 20, .given = HANDS_KERNEL, .tenant = "shop"};
    return hands_request_size(HANDS_START);
}

static int check(void)
{
    return hands_request_check(&request, hands_request_size(request.header.what), NULL);
}

static void a_plain_start_is_let_through(void **state)
{
    (void)state;
    start();
    assert_int_equal(check(), 0);
    assert_int_equal(hands_request_descriptors(&request), 1);
}

static void each_size_but_its_own_is_refused(void **state)
{
    (void)state;
    size_t right = start();
    for (size_t size = 0; size <= sizeof request; size++)
        assert_int_equal(hands_request_check(&request, size, NULL), size == right ? 0 : -COFRE_MALFORMED);
}

static void numbers_that_are_none_are_refused(void **state)
{
    (void)state;
    const struct hands_header headers[] = {
        {HANDS_VERSION + 1, HANDS_START, 1, 7}, {HANDS_VERSION, 0, 1, 7},
        {HANDS_VERSION, HANDS_ENDED, 1, 7},     {HANDS_VERSION, HANDS_START, 0, 7},
        {HANDS_VERSION, HANDS_START, 1, 0},     {HANDS_VERSION, UINT32_MAX, 1, 7},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        size_t size = start();
        request.header = headers[i];
        assert_int_equal(hands_request_check(&request, size, NULL), -COFRE_MALFORMED);
    }
    memset(&request, 0, sizeof request);
    request.header = (struct hands_header){HANDS_VERSION, HANDS_LIST, 1, 7};
    assert_int_equal(check(), -COFRE_MALFORMED);
    request.header.guest = 0;
    assert_int_equal(check(), 0);
}

#define START(change, code)                                                                                  \
    do {                                                                                                     \
        start();                                                                                             \
        struct hands_start *s = &request.start;                                                              \
        change;                                                                                              \
        assert_int_equal(check(), code);                                                                     \
    } while (0)

static void what_a_guest_cannot_have_is_refused(void **state)
{
    (void)state;
    START(s->tee = 3, -COFRE_MALFORMED);
    START(s->emulated = 2, -COFRE_MALFORMED);
    START(s->given = 0, -COFRE_MALFORMED);
    START(s->given |= 1u << 20, -COFRE_MALFORMED);
    START(s->given |= HANDS_POLICY, -COFRE_MALFORMED);
    START(s->policy = 1, -COFRE_MALFORMED);
    START(s->given |= HANDS_EXPECT, -COFRE_MALFORMED);
    START((s->tee = HANDS_TEE_TDX, s->given |= HANDS_HOST_DATA), -COFRE_MALFORMED);
    START((s->tee = HANDS_TEE_SNP, s->given |= HANDS_RTMR0), -COFRE_MALFORMED);
    START((s->tee = HANDS_TEE_SNP, s->host_data[31] = 1), -COFRE_MALFORMED);
    START((s->tee = HANDS_TEE_SNP, s->given |= HANDS_ID_BLOCK), -COFRE_USAGE);
    START((s->tee = HANDS_TEE_SNP, s->given |= HANDS_ID_BLOCK | HANDS_ID_AUTH), 0);
    START((s->tee = HANDS_TEE_TDX, s->given |= HANDS_RTMR0 << 3, s->rtmr[3][0] = 1, s->emulated = 1), 0);
    START(s->emulated = 1, -COFRE_USAGE);
    START(s->cpus = 0, -COFRE_USAGE);
    START(s->cpus = 256, -COFRE_USAGE);
    START(s->memory = 0, -COFRE_USAGE);
    START(s->memory += 4096, -COFRE_USAGE);
    START(s->pages = 3, -COFRE_MALFORMED);
    START(s->locked = 2, -COFRE_MALFORMED);
    START(s->locked = 1, 0);
    START(s->pages = HANDS_PAGES_2M, 0);
    START(s->pages = HANDS_PAGES_1G, -COFRE_USAGE);
    START((s->pages = HANDS_PAGES_1G, s->memory = 3ull << 30), 0);
    START((s->pages = HANDS_PAGES_2M, s->tee = HANDS_TEE_SNP), -COFRE_USAGE);
    START((s->locked = 1, s->tee = HANDS_TEE_TDX), 0);
    START(s->memory = UINT64_MAX << 21, -COFRE_USAGE);
}

static void devices_that_are_none_are_refused(void **state)
{
    (void)state;
    START(s->disks = HANDS_DISKS_MAX + 1, -COFRE_MALFORMED);
    START(s->networks = UINT32_MAX, -COFRE_MALFORMED);
    START(s->disk[0].read_only = 1, -COFRE_MALFORMED);
    START((s->disks = 1, s->disk[0].read_only = 2), -COFRE_MALFORMED);
    START((s->disks = 1, memcpy(s->disk[0].serial, "a,direct", 8)), -COFRE_MALFORMED);
    START((s->disks = 1, memcpy(s->disk[0].serial, "a\0b", 3)), -COFRE_MALFORMED);
    START((s->disks = 1, memcpy(s->disk[0].serial, "12345678901234567890", 20)), 0);
    START((s->networks = 1, s->network[0].kind = 0), -COFRE_MALFORMED);
    START((s->networks = 1, s->network[0] = (struct hands_network){.kind = HANDS_PASST, .bridge = 1}),
          -COFRE_MALFORMED);
    START((s->networks = 1, s->network[0] = (struct hands_network){.kind = HANDS_TAP, .bridge = 16}),
          -COFRE_MALFORMED);
    START((s->networks = 1, s->network[0] = (struct hands_network){.kind = HANDS_TAP, .mac = {1}}),
          -COFRE_MALFORMED);
    START((s->networks = 1, s->network[0] = (struct hands_network){.kind = HANDS_TAP, .zero = {1}}),
          -COFRE_MALFORMED);
    START((s->networks = 1, s->network[0] = (struct hands_network){.kind = HANDS_TAP, .mac = {2}}), 0);
}

static void a_tenant_whose_name_is_a_path_is_refused(void **state)
{
    (void)state;
    START(s->tenant[0] = 0, -COFRE_MALFORMED);
    START(memset(s->tenant, 'a', sizeof s->tenant), -COFRE_MALFORMED);
    START(memset(s->tenant, 'a', sizeof s->tenant - 1), 0);
    START(memcpy(s->tenant, "../x", 5), -COFRE_MALFORMED);
    START(memcpy(s->tenant, "a/b", 4), -COFRE_MALFORMED);
    START(memcpy(s->tenant, ".", 2), -COFRE_MALFORMED);
    START(s->tenant[HANDS_TENANT_SIZE - 1] = 'a', -COFRE_MALFORMED);
}

static void a_command_line_of_other_bytes_is_refused(void **state)
{
    (void)state;
    START(memset(s->cmdline, 'a', sizeof s->cmdline), -COFRE_MALFORMED);
    START(memset(s->cmdline, 'a', sizeof s->cmdline - 1), 0);
    START(memcpy(s->cmdline, "a\nb", 3), -COFRE_MALFORMED);
    START(memcpy(s->cmdline, "a\0b", 3), -COFRE_MALFORMED);
    START(memcpy(s->cmdline, "a\x80", 2), -COFRE_MALFORMED);
}

static void limits_have_bounds(void **state)
{
    (void)state;
    START(s->limits.cpu_weight = 10000, 0);
    START(s->limits.cpu_weight = 10001, -COFRE_USAGE);
    START(s->limits.cpu_quota = 9, -COFRE_USAGE);
    START(s->limits.cpu_quota = 10, 0);
    START(s->limits.node = HANDS_NODES_MAX + 1, -COFRE_USAGE);
    START(s->limits.memory = 4096, -COFRE_USAGE);
    START(s->limits.processes = UINT32_MAX, -COFRE_USAGE);
    START(s->limits.write_bytes = UINT64_MAX, -COFRE_USAGE);
    START(s->limits.disk_burst = 3600000, 0);
    START(s->limits.disk_burst = 3600001, -COFRE_USAGE);
    START(s->limits.network_in = 1023, -COFRE_USAGE);
    START((s->limits.network_out = 4096, s->networks = 1, s->network[0].kind = HANDS_PASST), 0);
    START((s->limits.network_out = 4096, s->networks = 1, s->network[0].kind = HANDS_TAP), 0);
}

static const char *after(const struct command *c, const char *option)
{
    for (unsigned i = 0; i + 1 < c->words; i++)
        if (strcmp(c->argv[i], option) == 0)
            return c->argv[i + 1];
    return NULL;
}

static void the_command_line_says_what_the_message_does(void **state)
{
    (void)state;
    static struct command c;
    struct command_descriptors d = {.file = {10, 11, -1, -1, -1}, .console = 3, .launches = 4, .rates = 5};
    start();
    struct hands_start *s = &request.start;
    s->tee = HANDS_TEE_SNP;
    s->emulated = s->vsock = 1;
    s->cpus = 2;
    s->given |= HANDS_INITRD | HANDS_POLICY | HANDS_HOST_DATA;
    s->policy = 0x30000;
    s->host_data[0] = 0xab;
    s->disks = 1;
    s->disk[0].read_only = 1;
    memcpy(s->disk[0].serial, "12345678901234567890", 20);
    d.disk[0] = 12;
    s->networks = 2;
    s->network[0] = (struct hands_network){.kind = HANDS_TAP, .mac = {2, 0, 0, 0, 0, 0xff}};
    s->network[1] = (struct hands_network){.kind = HANDS_PASST};
    d.tap[0] = 13;
    strcpy(s->cmdline, "--tee none --disk /etc/shadow");
    assert_int_equal(check(), 0);
    command_make(&c, "/usr/bin/cofre-vmm", 7, s, &d);
    assert_null(c.argv[c.words]);
    assert_string_equal(c.argv[0], "/usr/bin/cofre-vmm");
    assert_string_equal(after(&c, "--tee"), "snp");
    assert_string_equal(after(&c, "--name"), "guest-7");
    assert_string_equal(after(&c, "--kernel"), "fd=10");
    assert_string_equal(after(&c, "--initrd"), "fd=11");
    assert_null(after(&c, "--id-block"));
    assert_string_equal(after(&c, "--rates"), "fd=5");
    assert_string_equal(after(&c, "--policy"), "0x30000");
    assert_string_equal(after(&c, "--host-data"),
                        "ab00000000000000000000000000000000000000000000000000000000000000");
    assert_string_equal(after(&c, "--disk"), "fd=12,ro,serial=12345678901234567890");
    assert_string_equal(after(&c, "--net"), "tap-fd=13,mac=02:00:00:00:00:ff");
    assert_string_equal(after(&c, "--memory"), "268435456");
    assert_string_equal(after(&c, "--vsock-cid"), "3");
    assert_string_equal(after(&c, "--cmdline"), "--tee none --disk /etc/shadow");
    assert_string_equal(c.argv[c.words - 1], "--tee none --disk /etc/shadow");
}

static void memory_of_a_kind_has_its_words(void **state)
{
    (void)state;
    static struct command c;
    const struct command_descriptors d = {
        .file = {10, -1, -1, -1, -1}, .console = 3, .launches = 4, .rates = 5};
    static const struct {
        uint32_t pages, locked;
        const char *word;
    } kinds[] = {{0, 1, "3221225472,locked"},
                 {HANDS_PAGES_2M, 0, "3221225472,pages=2M"},
                 {HANDS_PAGES_1G, 1, "3221225472,pages=1G,locked"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        start();
        request.start.memory = 3ull << 30;
        request.start.pages = kinds[i].pages;
        request.start.locked = kinds[i].locked;
        assert_int_equal(check(), 0);
        command_make(&c, "/usr/bin/cofre-vmm", 7, &request.start, &d);
        assert_string_equal(after(&c, "--memory"), kinds[i].word);
    }
}

/* Nothing is cut, and no place is too small. */
static void the_largest_message_has_a_command_line(void **state)
{
    (void)state;
    static struct command c;
    struct command_descriptors d;
    memset(&d, 0x7f, sizeof d);
    start();
    struct hands_start *s = &request.start;
    s->tee = HANDS_TEE_TDX;
    s->emulated = s->vsock = s->no_reboot = 1;
    s->cpus = 255;
    s->memory = 1ull << 46;
    s->limits.node = HANDS_NODES_MAX;
    s->given |= HANDS_INITRD | HANDS_ATTRIBUTES | HANDS_MRCONFIGID | HANDS_MROWNER | HANDS_MROWNERCONFIG |
                HANDS_RTMR0 * 15 | HANDS_EXPECT;
    s->attributes = UINT64_MAX;
    s->disks = HANDS_DISKS_MAX;
    for (unsigned i = 0; i < HANDS_DISKS_MAX; i++) {
        s->disk[i].read_only = 1;
        memset(s->disk[i].serial, 'x', sizeof s->disk[i].serial);
    }
    s->networks = HANDS_NETWORKS_MAX;
    for (unsigned i = 0; i < HANDS_NETWORKS_MAX; i++)
        s->network[i] = (struct hands_network){.kind = HANDS_TAP, .mac = {2, 1, 1, 1, 1, 1}};
    memset(s->cmdline, '~', sizeof s->cmdline - 1);
    assert_int_equal(check(), 0);
    command_make(&c, "/usr/bin/cofre-vmm", UINT32_MAX, s, &d);
    assert_string_equal(c.argv[c.words - 1], s->cmdline);
}

static void an_answer_of_another_size_is_refused(void **state)
{
    (void)state;
    static struct hands_answer answer;
    answer.header = (struct hands_header){HANDS_VERSION, HANDS_LIST, 1, 0};
    answer.list.count = 2;
    size_t size = HANDS_ANSWER_HEAD + offsetof(struct hands_list, entry) + 2 * sizeof answer.list.entry[0];
    assert_int_equal(hands_answer_check(&answer, size, NULL), 0);
    assert_int_equal(hands_answer_check(&answer, size - 1, NULL), -COFRE_MALFORMED);
    assert_int_equal(hands_answer_check(&answer, HANDS_ANSWER_HEAD, NULL), -COFRE_MALFORMED);
    answer.list.count = UINT32_MAX;
    assert_int_equal(hands_answer_check(&answer, sizeof answer, NULL), -COFRE_MALFORMED);
    answer.code = -COFRE_USAGE;
    assert_int_equal(hands_answer_check(&answer, HANDS_ANSWER_HEAD, NULL), 0);
    memset(answer.sentence, 'a', sizeof answer.sentence);
    assert_int_equal(hands_answer_check(&answer, HANDS_ANSWER_HEAD, NULL), -COFRE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_start_is_let_through),
        cmocka_unit_test(each_size_but_its_own_is_refused),
        cmocka_unit_test(numbers_that_are_none_are_refused),
        cmocka_unit_test(what_a_guest_cannot_have_is_refused),
        cmocka_unit_test(devices_that_are_none_are_refused),
        cmocka_unit_test(a_tenant_whose_name_is_a_path_is_refused),
        cmocka_unit_test(a_command_line_of_other_bytes_is_refused),
        cmocka_unit_test(limits_have_bounds),
        cmocka_unit_test(the_command_line_says_what_the_message_does),
        cmocka_unit_test(memory_of_a_kind_has_its_words),
        cmocka_unit_test(the_largest_message_has_a_command_line),
        cmocka_unit_test(an_answer_of_another_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
