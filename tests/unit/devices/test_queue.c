#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/devices/queue.h"

#define GPA    0x10000ull
#define MEMORY 0x10000u
#define SIZE   8
#define DESC   0x0000u
#define AVAIL  0x1000u
#define USED   0x2000u
#define TABLE  0x3000u
#define DATA   0x4000u

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct rings {
    uint8_t *memory;
    struct guest_memory mem;
    struct virtqueue q;
    uint16_t avail;
};

static void rings_open(struct rings *r, bool event_idx, bool indirect)
{
    *r = (struct rings){.memory = aligned_alloc(4096, MEMORY)};
    assert_non_null(r->memory);
    memset(r->memory, 0, MEMORY);
    assert_int_equal(guest_memory_add(&r->mem, GPA, MEMORY, r->memory, NULL), 0);
    const struct queue_rings where = {SIZE, GPA + DESC, GPA + AVAIL, GPA + USED};
    assert_int_equal(virtqueue_setup(&r->q, &r->mem, &where, event_idx, indirect, NULL), 0);
}

static void rings_close(struct rings *r)
{
    free(r->memory);
}

static void put_desc(struct rings *r, uint32_t table, unsigned i, uint64_t gpa, uint32_t len, uint16_t flags,
                     uint16_t next)
{
    uint8_t *p = r->memory + table + 16 * i;
    put_le64(p, gpa);
    put_le32(p + 8, len);
    put_le16(p + 12, flags);
    put_le16(p + 14, next);
}

static void post(struct rings *r, uint16_t head)
{
    put_le16(r->memory + AVAIL + 4 + 2 * (r->avail++ % SIZE), head);
    put_le16(r->memory + AVAIL + 2, r->avail);
}

/* The chain that head begins is refused, for that reason. */
static void refused(struct rings *r, uint16_t head, const char *why)
{
    struct queue_chain chain;
    struct cofre_err err = {""};
    post(r, head);
    assert_int_equal(virtqueue_next(&r->q, &chain, &err), -COFRE_MALFORMED);
    if (!strstr(err.text, why))
        fail_msg("'%s' does not say '%s'", err.text, why);
}

static void a_chain_is_its_readable_then_its_writable_buffers(void **state)
{
    struct rings r;
    struct queue_chain chain;
    char out[8] = "";
    (void)state;
    rings_open(&r, false, false);
    memcpy(r.memory + DATA, "abcdef", 6);
    put_desc(&r, DESC, 3, GPA + DATA, 4, NEXT, 1);
    put_desc(&r, DESC, 1, GPA + DATA + 4, 0, NEXT, 2); /* empty: as if it were not there */
    put_desc(&r, DESC, 2, GPA + DATA + 4, 2, NEXT, 0);
    put_desc(&r, DESC, 0, GPA + DATA + 0x100, 3, WRITE | NEXT, 7);
    put_desc(&r, DESC, 7, GPA + DATA + 0x200, 5, WRITE, 0);
    post(&r, 3);
    assert_int_equal(virtqueue_next(&r.q, &chain, NULL), 1);
    assert_int_equal(chain.head, 3);
    assert_int_equal(chain.readable, 2);
    assert_int_equal(chain.writable, 2);
    assert_int_equal(chain.readable_len, 6);
    assert_int_equal(chain.writable_len, 8);
    assert_int_equal(chain_read(&chain, 1, out, sizeof out), 5);
    assert_string_equal(out, "bcdef");
    assert_int_equal(chain_read(&chain, 6, out, 1), 0);
    assert_int_equal(chain_read(&chain, UINT64_MAX, out, 1), 0);
    assert_int_equal(chain_write(&chain, 2, "xyz", 3), 3);
    assert_memory_equal(r.memory + DATA + 0x102, "x", 1);
    assert_memory_equal(r.memory + DATA + 0x200, "yz", 3);
    assert_int_equal(chain_write(&chain, 7, "long", 4), 1);
    assert_int_equal(r.memory[DATA + 0x205], 0);
    assert_int_equal(virtqueue_next(&r.q, &chain, NULL), 0);
    rings_close(&r);
}

static void done_requests_are_in_the_used_ring(void **state)
{
    struct rings r;
    struct queue_chain chain;
    (void)state;
    rings_open(&r, false, false);
    put_desc(&r, DESC, 5, GPA + DATA, 4, WRITE, 0);
    for (unsigned i = 0; i < 3 * SIZE; i++) { /* around the ring */
        post(&r, 5);
        assert_int_equal(virtqueue_next(&r.q, &chain, NULL), 1);
        virtqueue_done(&r.q, chain.head, i);
        assert_int_equal(le16(r.memory + USED + 2), i + 1);
        assert_int_equal(le32(r.memory + USED + 4 + 8 * (i % SIZE)), 5);
        assert_int_equal(le32(r.memory + USED + 8 + 8 * (i % SIZE)), i);
    }
    rings_close(&r);
}

static void interrupts_are_left_out_when_the_driver_says_so(void **state)
{
    struct rings r;
    (void)state;
    rings_open(&r, false, false);
    virtqueue_done(&r.q, 0, 0);
    assert_true(virtqueue_wants_interrupt(&r.q));
    put_le16(r.memory + AVAIL, 1);
    virtqueue_done(&r.q, 0, 0);
    assert_false(virtqueue_wants_interrupt(&r.q));
    rings_close(&r);
}

static void event_indices_say_when_to_interrupt_and_notify(void **state)
{
    struct rings r;
    struct queue_chain chain;
    (void)state;
    rings_open(&r, true, false);
    uint8_t *used_event = r.memory + AVAIL + 4 + 2 * SIZE, *avail_event = r.memory + USED + 4 + 8 * SIZE;
    for (unsigned i = 0; i < 70000; i++) { /* past the indices' wrap */
        put_le16(used_event, (uint16_t)(i + i % 3));
        virtqueue_done(&r.q, 0, 0);
        assert_int_equal(virtqueue_wants_interrupt(&r.q), i % 3 == 0);
    }
    put_le16(used_event, r.q.next_used + 1); /* between the first and the third of a batch */
    for (unsigned i = 0; i < 3; i++)
        virtqueue_done(&r.q, 0, 0);
    assert_true(virtqueue_wants_interrupt(&r.q));
    put_desc(&r, DESC, 0, GPA + DATA, 1, 0, 0);
    post(&r, 0);
    assert_true(virtqueue_rearm(&r.q));
    assert_int_equal(virtqueue_next(&r.q, &chain, NULL), 1);
    assert_false(virtqueue_rearm(&r.q));
    assert_int_equal(le16(avail_event), 1);
    rings_close(&r);
}

static void queues_that_are_not_in_memory_or_not_aligned_are_refused(void **state)
{
    struct rings r;
    struct virtqueue q;
    (void)state;
    rings_open(&r, false, false);
    const struct queue_rings bad[] = {
        {0, GPA, GPA + AVAIL, GPA + USED},
        {3, GPA, GPA + AVAIL, GPA + USED},
        {512, GPA, GPA + AVAIL, GPA + USED},
        {0xffff, GPA, GPA + AVAIL, GPA + USED},
        {SIZE, GPA + 8, GPA + AVAIL, GPA + USED},
        {SIZE, GPA, GPA + AVAIL + 1, GPA + USED},
        {SIZE, GPA, GPA + AVAIL, GPA + USED + 2},
        {SIZE, GPA - 16, GPA + AVAIL, GPA + USED},
        {SIZE, GPA + MEMORY - 16 * SIZE + 16, GPA + AVAIL, GPA + USED},
        {SIZE, GPA, GPA + MEMORY - 2 * SIZE - 4, GPA + USED},
        {SIZE, GPA, GPA + AVAIL, GPA + MEMORY - 8 * SIZE - 4},
        {SIZE, UINT64_MAX - 15, GPA + AVAIL, GPA + USED},
        {SIZE, GPA, UINT64_MAX - 1, GPA + USED},
        {SIZE, GPA, GPA + AVAIL, UINT64_MAX - 3},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(virtqueue_setup(&q, &r.mem, &bad[i], false, false, NULL), -COFRE_MALFORMED);
        assert_int_equal(q.size, 0);
    }
    const struct queue_rings edge = {SIZE, GPA + MEMORY - 16 * SIZE, GPA + MEMORY - 2 * SIZE - 6,
                                     GPA + MEMORY - 8 * SIZE - 8};
    assert_int_equal(virtqueue_setup(&q, &r.mem, &edge, false, false, NULL), 0);
    rings_close(&r);
}

static void wild_indices_are_refused(void **state)
{
    struct rings r;
    struct queue_chain chain;
    (void)state;
    const uint16_t wild[] = {SIZE + 1, 0x8000, 0xffff};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        rings_open(&r, false, false);
        put_le16(r.memory + AVAIL + 2, wild[i]);
        assert_int_equal(virtqueue_next(&r.q, &chain, NULL), -COFRE_MALFORMED);
        rings_close(&r);
    }
    rings_open(&r, false, false);
    refused(&r, SIZE, "descriptor 8 of a table of 8");
    refused(&r, 0xffff, "descriptor 65535 of a table of 8");
    put_desc(&r, DESC, 0, GPA + DATA, 1, NEXT, SIZE);
    refused(&r, 0, "descriptor 8 of a table of 8");
    rings_close(&r);
}

static void loops_are_refused(void **state)
{
    struct rings r;
    (void)state;
    rings_open(&r, false, true);
    put_desc(&r, DESC, 0, GPA + DATA, 1, NEXT, 0);
    refused(&r, 0, "more than 256 buffers");
    put_desc(&r, DESC, 0, GPA + DATA, 0, NEXT, 1); /* also of empty buffers, which count for nothing else */
    put_desc(&r, DESC, 1, GPA + DATA, 0, NEXT, 0);
    refused(&r, 0, "does not end");
    put_desc(&r, DESC, 2, GPA + TABLE, 32, INDIRECT, 0);
    put_desc(&r, TABLE, 0, GPA + DATA, 0, NEXT, 1);
    put_desc(&r, TABLE, 1, GPA + DATA, 0, NEXT, 0);
    refused(&r, 2, "does not end");
    rings_close(&r);
}

static void buffers_outside_memory_are_refused(void **state)
{
    struct rings r;
    (void)state;
    rings_open(&r, false, false);
    const struct {
        uint64_t gpa;
        uint32_t len;
    } bad[] = {
        {GPA - 1, 2},         {GPA + MEMORY, 1},     {GPA + MEMORY - 1, 2},    {0, UINT32_MAX},
        {GPA, UINT32_MAX},    {UINT64_MAX, 1},       {UINT64_MAX, UINT32_MAX}, {UINT64_MAX - 0xfff, 0x1000},
        {GPA + DATA, MEMORY}, {1ull << 47 | GPA, 16}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_desc(&r, DESC, 0, bad[i].gpa, bad[i].len, i % 2 ? WRITE : 0, 0);
        refused(&r, 0, "outside guest memory");
    }
    rings_close(&r);
}

static void a_readable_buffer_after_a_writable_one_is_refused(void **state)
{
    struct rings r;
    (void)state;
    rings_open(&r, false, false);
    put_desc(&r, DESC, 0, GPA + DATA, 1, WRITE | NEXT, 1);
    put_desc(&r, DESC, 1, GPA + DATA, 1, 0, 0);
    refused(&r, 0, "a readable descriptor after a writable one");
    rings_close(&r);
}

static void an_indirect_table_may_follow_direct_buffers(void **state)
{
    struct rings r;
    struct queue_chain chain;
    (void)state;
    rings_open(&r, false, true);
    put_desc(&r, DESC, 0, GPA + DATA, 1, NEXT, 1);
    put_desc(&r, DESC, 1, GPA + TABLE, 256 * 16, INDIRECT | WRITE,
             0); /* WRITE means nothing here (2.7.5.3.2) */
    for (uint16_t i = 0; i < 255; i++)
        put_desc(&r, TABLE, i, GPA + DATA + i, 1, WRITE | (i < 254 ? NEXT : 0), i + 1);
    post(&r, 0);
    assert_int_equal(virtqueue_next(&r.q, &chain, NULL), 1);
    assert_int_equal(chain.readable, 1);
    assert_int_equal(chain.writable, 255);
    put_desc(&r, TABLE, 254, GPA + DATA, 1, WRITE | NEXT, 255);
    put_desc(&r, TABLE, 255, GPA + DATA, 1, WRITE, 0);
    refused(&r, 0, "a chain that does not end");
    rings_close(&r);
}

static void indirect_tables_that_are_none_are_refused(void **state)
{
    struct rings r;
    (void)state;
    rings_open(&r, false, true);
    const uint32_t lengths[] = {0, 1, 15, 17, 257 * 16, UINT32_MAX, UINT32_MAX - 15};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put_desc(&r, DESC, 0, GPA + TABLE, lengths[i], INDIRECT, 0);
        refused(&r, 0, "an indirect table of");
    }
    put_desc(&r, DESC, 0, GPA + MEMORY - 16, 32, INDIRECT, 0);
    refused(&r, 0, "outside guest memory");
    put_desc(&r, DESC, 0, GPA + TABLE, 16, INDIRECT | NEXT, 1);
    refused(&r, 0, "with a successor");
    put_desc(&r, DESC, 0, GPA + TABLE, 16, INDIRECT, 0);
    put_desc(&r, TABLE, 0, GPA + TABLE, 16, INDIRECT, 0);
    refused(&r, 0, "an indirect descriptor inside a table");
    put_desc(&r, TABLE, 0, GPA + DATA, 16, NEXT, 1);
    refused(&r, 0, "descriptor 1 of a table of 1");
    rings_close(&r);
    rings_open(&r, false, false);
    put_desc(&r, DESC, 0, GPA + TABLE, 16, INDIRECT, 0);
    refused(&r, 0, "not negotiated");
    rings_close(&r);
}

static uint32_t random_below(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

/* Ten thousand rings with faults at random places: every chain that passes lies in memory and within its bounds. */
static void random_faults_never_give_a_chain_outside_memory(void **state)
{
    struct rings r;
    struct queue_chain chain;
    uint32_t seed = 20240611, passed = 0, failed = 0;
    (void)state;
    rings_open(&r, true, true);
    for (unsigned round = 0; round < 10000; round++) {
        const struct queue_rings where = {SIZE, GPA + DESC, GPA + AVAIL, GPA + USED};
        assert_int_equal(virtqueue_setup(&r.q, &r.mem, &where, true, true, NULL), 0);
        memset(r.memory, 0, DATA);
        r.avail = 0;
        for (uint16_t i = 0; i < SIZE; i++) {
            put_desc(&r, DESC, i, GPA + DATA + 64 * i, 64, (i < 4 ? NEXT : WRITE) | (i % 3 ? NEXT : 0),
                     i + 1);
            put_desc(&r, TABLE, i, GPA + DATA + 64 * i, 64, WRITE | (i < 7 ? NEXT : 0), i + 1);
        }
        put_desc(&r, DESC, 5, GPA + TABLE, 16 * SIZE, INDIRECT, 0);
        for (uint16_t i = 0; i < 3; i++)
            post(&r, (uint16_t)random_below(&seed, SIZE));
        for (unsigned faults = random_below(&seed, 8); faults; faults--) {
            uint32_t area = (uint32_t[]){DESC, AVAIL, TABLE}[random_below(&seed, 3)];
            r.memory[area + random_below(&seed, area == AVAIL ? 24 : 16 * SIZE)] ^=
                (uint8_t)(1u << random_below(&seed, 8));
        }
        int rc;
        while ((rc = virtqueue_next(&r.q, &chain, &(struct cofre_err){""})) > 0) {
            assert_true(chain.readable + chain.writable <= QUEUE_CHAIN_MAX);
            uint64_t total = 0;
            for (unsigned i = 0; i < chain.readable + chain.writable; i++) {
                uint8_t *base = chain.iov[i].iov_base;
                assert_true(base >= r.memory && chain.iov[i].iov_len <= (size_t)(r.memory + MEMORY - base));
                total += chain.iov[i].iov_len;
            }
            assert_int_equal(total, chain.readable_len + chain.writable_len);
            virtqueue_done(&r.q, chain.head, 0);
            passed++;
        }
        failed += rc < 0;
    }
    assert_true(passed > 1000 && failed > 1000); /* the faults are neither all fatal nor all harmless */
    rings_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_is_its_readable_then_its_writable_buffers),
        cmocka_unit_test(done_requests_are_in_the_used_ring),
        cmocka_unit_test(interrupts_are_left_out_when_the_driver_says_so),
        cmocka_unit_test(event_indices_say_when_to_interrupt_and_notify),
        cmocka_unit_test(queues_that_are_not_in_memory_or_not_aligned_are_refused),
        cmocka_unit_test(wild_indices_are_refused),
        cmocka_unit_test(loops_are_refused),
        cmocka_unit_test(buffers_outside_memory_are_refused),
        cmocka_unit_test(a_readable_buffer_after_a_writable_one_is_refused),
        cmocka_unit_test(an_indirect_table_may_follow_direct_buffers),
        cmocka_unit_test(indirect_tables_that_are_none_are_refused),
        cmocka_unit_test(random_faults_never_give_a_chain_outside_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
