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
#define RING   0x0000u
#define DRIVER 0x1000u /* event suppression */
#define DEVICE 0x1004u
#define TABLE  0x3000u
#define DATA   0x4000u

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, AVAIL = 1 << 7, USED = 1 << 15 };
enum { ENABLE = 0, DISABLE = 1, AT_OFFSET = 2 };

/* The driver's side: where it puts the next descriptor and finds the next used one. */
struct rings {
    uint8_t *memory;
    struct guest_memory mem;
    struct virtqueue q;
    unsigned avail, used, size;
    bool avail_wrap, used_wrap;
};

static void rings_open_size(struct rings *r, unsigned size, bool event_idx, bool indirect)
{
    *r = (struct rings){
        .memory = aligned_alloc(4096, MEMORY), .size = size, .avail_wrap = true, .used_wrap = true};
    assert_non_null(r->memory);
    memset(r->memory, 0, MEMORY);
    assert_int_equal(guest_memory_add(&r->mem, GPA, MEMORY, r->memory, NULL), 0);
    const struct queue_rings where = {(uint16_t)size, GPA + RING, GPA + DRIVER, GPA + DEVICE};
    assert_int_equal(virtqueue_setup_packed(&r->q, &r->mem, &where, event_idx, indirect, NULL), 0);
}

static void rings_open(struct rings *r, bool event_idx, bool indirect)
{
    rings_open_size(r, SIZE, event_idx, indirect);
}

static void rings_close(struct rings *r)
{
    free(r->memory);
}

static void put_desc(uint8_t *p, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags)
{
    put_le64(p, gpa);
    put_le32(p + 8, len);
    put_le16(p + 12, id);
    put_le16(p + 14, flags);
}

static void put(struct rings *r, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags)
{
    put_desc(r->memory + RING + 16 * r->avail, gpa, len, id,
             (uint16_t)(flags | (r->avail_wrap ? AVAIL : USED)));
    r->avail = (r->avail + 1) % r->size;
    r->avail_wrap ^= r->avail == 0;
}

static void put_table(struct rings *r, unsigned i, uint64_t gpa, uint32_t len, uint16_t flags)
{
    put_desc(r->memory + TABLE + 16 * i, gpa, len, 0, flags);
}

/* The next used descriptor, which took that many; false where there is none. */
static bool take(struct rings *r, unsigned count, uint16_t *id, uint32_t *len)
{
    const uint8_t *p = r->memory + RING + 16 * r->used;
    uint16_t flags = le16(p + 14);
    if (!!(flags & AVAIL) != r->used_wrap || !!(flags & USED) != r->used_wrap)
        return false;
    *id = le16(p + 12);
    *len = le32(p + 8);
    assert_int_equal(!!(flags & WRITE), *len > 0);
    r->used_wrap ^= r->used + count >= r->size;
    r->used = (r->used + count) % r->size;
    return true;
}

static void is_next(struct rings *r, struct queue_chain *chain)
{
    struct cofre_err err = {""};
    if (virtqueue_next(&r->q, chain, &err) != 1)
        fail_msg("no request: %s", err.text);
}

/* What was put is refused, for that reason; the queue is then set up anew. */
static void refused(struct rings *r, const char *why)
{
    struct queue_chain chain;
    struct cofre_err err = {""};
    bool event_idx = r->q.event_idx, indirect = r->q.indirect;
    int rc;
    while ((rc = virtqueue_next(&r->q, &chain, &err)) > 0)
        continue;
    assert_int_equal(rc, -COFRE_MALFORMED);
    if (!strstr(err.text, why))
        fail_msg("'%s' does not say '%s'", err.text, why);
    rings_close(r);
    rings_open(r, event_idx, indirect);
}

static void chains_go_round_and_round(void **state)
{
    struct rings r;
    struct queue_chain chain;
    uint16_t id;
    uint32_t len;
    (void)state;
    for (unsigned size = 3; size <= SIZE; size++) { /* a packed ring's size is any */
        rings_open_size(&r, size, false, false);
        assert_int_equal(virtqueue_next(&r.q, &chain, NULL), 0);
        for (unsigned round = 0; round < 100; round++) {
            unsigned count = 1 + round % 3;
            for (unsigned i = 0; i < count; i++)
                put(&r, GPA + DATA + 16 * i, 16, (uint16_t)(round % size),
                    (uint16_t)((i + 1 < count ? NEXT : 0) | (i ? WRITE : 0)));
            is_next(&r, &chain);
            assert_int_equal(chain.head, round % size);
            assert_int_equal(chain.readable, 1);
            assert_int_equal(chain.writable, count - 1);
            assert_int_equal(chain.readable_len + chain.writable_len, 16 * count);
            assert_ptr_equal(chain.iov[0].iov_base, r.memory + DATA);
            assert_int_equal(virtqueue_next(&r.q, &chain, NULL), 0);
            assert_false(take(&r, count, &id, &len));
            virtqueue_done(&r.q, (uint16_t)(round % size), round);
            assert_true(take(&r, count, &id, &len));
            assert_int_equal(id, round % size);
            assert_int_equal(len, round);
            assert_false(take(&r, 1, &id, &len));
        }
        rings_close(&r);
    }
}

static void requests_may_be_done_in_another_order(void **state)
{
    struct rings r;
    struct queue_chain chain;
    uint16_t id;
    uint32_t len;
    (void)state;
    rings_open(&r, false, false);
    for (unsigned round = 0; round < 20; round++) {
        put(&r, GPA + DATA, 8, 0, NEXT); /* the id that counts is in the last descriptor */
        put(&r, GPA + DATA, 8, 5, 0);
        put(&r, GPA + DATA, 8, 6, WRITE);
        put(&r, GPA + DATA, 8, 7, NEXT | WRITE);
        put(&r, GPA + DATA, 8, 7, NEXT | WRITE);
        put(&r, GPA + DATA, 8, 7, WRITE);
        for (unsigned i = 0; i < 3; i++) {
            is_next(&r, &chain);
            assert_int_equal(chain.head, 5 + i);
        }
        virtqueue_done(&r.q, 7, 3);
        virtqueue_done(&r.q, 5, 1);
        virtqueue_done(&r.q, 6, 2);
        assert_true(take(&r, 3, &id, &len) && id == 7 && len == 3);
        assert_true(take(&r, 2, &id, &len) && id == 5 && len == 1);
        assert_true(take(&r, 1, &id, &len) && id == 6 && len == 2);
    }
    rings_close(&r);
}

static void several_are_given_back_at_once(void **state)
{
    struct rings r;
    struct queue_chain chain;
    uint16_t id;
    uint32_t len;
    (void)state;
    rings_open(&r, false, false);
    for (uint16_t round = 0; round < 11; round++) {
        for (uint16_t i = 0; i < 3; i++) {
            put(&r, GPA + DATA, 8, i, WRITE);
            is_next(&r, &chain);
        }
        virtqueue_done_all(&r.q, (const struct queue_used[]){{0, 8}, {1, 7}, {2, 6}}, 3);
        for (uint16_t i = 0; i < 3; i++)
            assert_true(take(&r, 1, &id, &len) && id == i && len == 8u - i);
        assert_false(take(&r, 1, &id, &len));
    }
    virtqueue_done_all(&r.q, NULL, 0);
    assert_false(take(&r, 1, &id, &len));
    rings_close(&r);
}

static void an_indirect_table_is_one_descriptor(void **state)
{
    struct rings r;
    struct queue_chain chain;
    (void)state;
    rings_open(&r, false, true);
    for (unsigned i = 0; i < 256; i++)
        put_table(&r, i, GPA + DATA + i, 1, (uint16_t)(i < 100 ? 0 : WRITE));
    put(&r, GPA + TABLE, 256 * 16, 3, INDIRECT | WRITE); /* WRITE means nothing here */
    is_next(&r, &chain);
    assert_int_equal(chain.head, 3);
    assert_int_equal(chain.readable, 100);
    assert_int_equal(chain.writable, 156);
    put_table(&r, 2, GPA + DATA, 1, NEXT); /* nor does NEXT in a table */
    put(&r, GPA + TABLE, 3 * 16, 4, INDIRECT);
    is_next(&r, &chain);
    assert_int_equal(chain.readable, 3);
    rings_close(&r);
}

static void indirect_tables_that_are_none_are_refused(void **state)
{
    struct rings r;
    (void)state;
    rings_open(&r, false, true);
    const uint32_t lengths[] = {0, 1, 15, 17, 257 * 16, UINT32_MAX, UINT32_MAX - 15};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put(&r, GPA + TABLE, lengths[i], 0, INDIRECT);
        refused(&r, "an indirect table of");
    }
    put(&r, GPA + MEMORY - 16, 32, 0, INDIRECT);
    refused(&r, "outside guest memory");
    put(&r, GPA + TABLE, 16, 0, INDIRECT | NEXT);
    refused(&r, "an indirect descriptor in a chain");
    put(&r, GPA + DATA, 16, 0, NEXT);
    put(&r, GPA + TABLE, 16, 0, INDIRECT);
    refused(&r, "an indirect descriptor in a chain");
    put_table(&r, 0, GPA + TABLE, 16, INDIRECT);
    put(&r, GPA + TABLE, 16, 0, INDIRECT);
    refused(&r, "an indirect descriptor inside a table");
    put_table(&r, 0, GPA + MEMORY, 16, 0);
    put(&r, GPA + TABLE, 16, 0, INDIRECT);
    refused(&r, "outside guest memory");
    rings_close(&r);
    rings_open(&r, false, false);
    put(&r, GPA + TABLE, 16, 0, INDIRECT);
    refused(&r, "not negotiated");
    rings_close(&r);
}

static void ids_in_use_or_beyond_the_ring_are_refused(void **state)
{
    struct rings r;
    struct queue_chain chain;
    uint16_t id;
    uint32_t len;
    (void)state;
    rings_open(&r, false, false);
    put(&r, GPA + DATA, 8, SIZE, 0);
    refused(&r, "beyond the ring's size");
    put(&r, GPA + DATA, 8, 0xffff, 0);
    refused(&r, "beyond the ring's size");
    put(&r, GPA + DATA, 8, 2, 0);
    put(&r, GPA + DATA, 8, 2, 0);
    refused(&r, "id 2, which is in use");
    put(&r, GPA + DATA, 8, 2, 0);
    is_next(&r, &chain);
    virtqueue_done(&r.q, 2, 0);
    assert_true(take(&r, 1, &id, &len));
    put(&r, GPA + DATA, 8, 2, 0); /* and then it is free again */
    is_next(&r, &chain);
    rings_close(&r);
}

static void chains_without_an_end_are_refused(void **state)
{
    struct rings r;
    struct queue_chain chain;
    (void)state;
    rings_open(&r, false, false);
    put(&r, GPA + DATA, 8, 0, NEXT);
    refused(&r, "goes on at a descriptor not available");
    for (unsigned i = 0; i < SIZE; i++)
        put(&r, GPA + DATA, 0, 0, NEXT);
    refused(&r, "more descriptors than are free in a ring of 8");
    /* a descriptor of a request that was not given back cannot be another's */
    put(&r, GPA + DATA, 8, 0, NEXT);
    put(&r, GPA + DATA, 8, 0, 0);
    is_next(&r, &chain);
    for (unsigned i = 0; i < SIZE - 1; i++)
        put(&r, GPA + DATA, 8, 1, NEXT);
    refused(&r, "more descriptors than are free");
    rings_close(&r);
}

static void bad_buffers_are_refused(void **state)
{
    struct rings r;
    (void)state;
    const struct {
        uint64_t gpa;
        uint32_t len;
    } bad[] = {{GPA - 1, 2},    {GPA + MEMORY, 1},        {GPA + MEMORY - 1, 2}, {0, UINT32_MAX},
               {UINT64_MAX, 1}, {UINT64_MAX, UINT32_MAX}, {1ull << 47 | GPA, 16}};
    rings_open(&r, false, false);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(&r, bad[i].gpa, bad[i].len, 0, (uint16_t)(i % 2 ? WRITE : 0));
        refused(&r, "outside guest memory");
    }
    put(&r, GPA + DATA, 8, 0, WRITE | NEXT);
    put(&r, GPA + DATA, 8, 0, 0);
    refused(&r, "a readable descriptor after a writable one");
    rings_close(&r);
}

static void queues_that_are_not_in_memory_or_not_aligned_are_refused(void **state)
{
    struct rings r;
    struct virtqueue q;
    (void)state;
    rings_open(&r, false, false);
    const struct queue_rings bad[] = {
        {0, GPA + RING, GPA + DRIVER, GPA + DEVICE},
        {QUEUE_SIZE_MAX + 1, GPA + RING, GPA + DRIVER, GPA + DEVICE},
        {0x8000, GPA + RING, GPA + DRIVER, GPA + DEVICE},
        {SIZE, GPA + MEMORY - 16 * SIZE + 16, GPA + DRIVER, GPA + DEVICE},
        {SIZE, GPA + 8, GPA + DRIVER, GPA + DEVICE},
        {SIZE, GPA + RING, GPA + MEMORY, GPA + DEVICE},
        {SIZE, GPA + RING, GPA + DRIVER + 2, GPA + DEVICE},
        {SIZE, GPA + RING, GPA + DRIVER, UINT64_MAX - 3},
        {SIZE, GPA + RING, GPA + DRIVER, GPA + DEVICE + 2},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(virtqueue_setup_packed(&q, &r.mem, &bad[i], false, false, NULL), -COFRE_MALFORMED);
        assert_int_equal(q.size, 0);
    }
    const struct queue_rings edge = {SIZE, GPA + MEMORY - 16 * SIZE, GPA + MEMORY - 4, GPA};
    assert_int_equal(virtqueue_setup_packed(&q, &r.mem, &edge, false, false, NULL), 0);
    rings_close(&r);
}

static void serve(struct rings *r, uint16_t id)
{
    struct queue_chain chain;
    uint16_t back;
    uint32_t len;
    put(r, GPA + DATA, 8, id, 0);
    is_next(r, &chain);
    virtqueue_done(&r->q, id, 0);
    assert_true(take(r, 1, &back, &len));
}

static void event(struct rings *r, unsigned offset, bool wrap, unsigned flags)
{
    put_le16(r->memory + DRIVER, (uint16_t)(offset | (wrap ? 0x8000 : 0)));
    put_le16(r->memory + DRIVER + 2, (uint16_t)flags);
}

static void interrupts_are_left_out_when_the_driver_says_so(void **state)
{
    struct rings r;
    (void)state;
    rings_open(&r, false, false);
    serve(&r, 0);
    assert_true(virtqueue_wants_interrupt(&r.q));
    event(&r, 0, true, DISABLE);
    serve(&r, 0);
    assert_false(virtqueue_wants_interrupt(&r.q));
    event(&r, 5, true, AT_OFFSET); /* not negotiated: better one too many */
    serve(&r, 0);
    assert_true(virtqueue_wants_interrupt(&r.q));
    rings_close(&r);
}

/* For every place that the driver may name, with both wrap counters: one interrupt, for just that descriptor. */
static void the_event_index_interrupts_once_a_round(void **state)
{
    struct rings r;
    (void)state;
    for (unsigned offset = 0; offset < SIZE; offset++) {
        rings_open(&r, true, false);
        for (unsigned n = 0; n < 6 * SIZE; n++) {
            /* named again after each round, as a driver does that looked at what came back */
            if (n % SIZE == 0)
                event(&r, offset, n / SIZE % 2 == 0, AT_OFFSET);
            serve(&r, (uint16_t)(n % SIZE));
            assert_int_equal(virtqueue_wants_interrupt(&r.q), n % SIZE == offset);
        }
        /* of several that are given back together, it is enough that one is named */
        event(&r, offset, true, AT_OFFSET);
        for (unsigned n = 0; n < SIZE; n++)
            serve(&r, 0);
        assert_true(virtqueue_wants_interrupt(&r.q));
        rings_close(&r);
    }
}

static void the_device_names_the_descriptor_it_waits_for(void **state)
{
    struct rings r;
    (void)state;
    rings_open(&r, true, false);
    for (unsigned n = 0; n < 3 * SIZE; n++) {
        assert_false(virtqueue_rearm(&r.q));
        assert_int_equal(le16(r.memory + DEVICE), n % SIZE | (n / SIZE % 2 ? 0 : 0x8000));
        assert_int_equal(le16(r.memory + DEVICE + 2), AT_OFFSET);
        put(&r, GPA + DATA, 8, 0, 0);
        assert_true(virtqueue_rearm(&r.q)); /* it came in meanwhile */
        struct queue_chain chain;
        uint16_t id;
        uint32_t len;
        is_next(&r, &chain);
        virtqueue_done(&r.q, 0, 0);
        assert_true(take(&r, 1, &id, &len));
    }
    rings_close(&r);
    rings_open(&r, false, false);
    put_le16(r.memory + DEVICE + 2, DISABLE);
    assert_false(virtqueue_rearm(&r.q));
    assert_int_equal(le16(r.memory + DEVICE + 2), ENABLE);
    rings_close(&r);
}

static void a_position_is_where_another_goes_on(void **state)
{
    struct rings r;
    struct virtqueue other;
    struct queue_chain chain;
    uint16_t id;
    uint32_t len;
    (void)state;
    rings_open(&r, false, false);
    for (unsigned n = 0; n < SIZE + 3; n++)
        serve(&r, 1);
    assert_int_equal(virtqueue_position(&r.q), 3 | 3u << 16); /* both wrap counters are 0 by now */
    other = r.q;
    virtqueue_set_position(&other, 0);
    virtqueue_set_position(&other, virtqueue_position(&r.q));
    put(&r, GPA + DATA, 8, 1, 0);
    assert_int_equal(virtqueue_next(&other, &chain, NULL), 1);
    virtqueue_done(&other, 1, 4);
    assert_true(take(&r, 1, &id, &len) && id == 1 && len == 4);
    virtqueue_set_position(&other, 0x7fff7fff); /* nowhere: somewhere in the ring */
    (void)virtqueue_next(&other, &chain, NULL);
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
    for (unsigned round = 0; round < 10000; round++) {
        rings_open(&r, true, true);
        for (unsigned i = 0; i < SIZE; i++)
            put_table(&r, i, GPA + DATA + 64 * i, 64, i < 3 ? 0 : WRITE);
        put(&r, GPA + DATA, 64, 0, NEXT);
        put(&r, GPA + DATA + 64, 64, 0, WRITE);
        put(&r, GPA + TABLE, 16 * SIZE, 1, INDIRECT);
        put(&r, GPA + DATA, 64, 2, WRITE | NEXT);
        put(&r, GPA + DATA, 64, 2, WRITE | NEXT);
        put(&r, GPA + DATA, 64, 2, WRITE);
        for (unsigned faults = random_below(&seed, 8); faults; faults--)
            r.memory[(random_below(&seed, 2) ? RING : TABLE) + random_below(&seed, 16 * SIZE)] ^=
                (uint8_t)(1u << random_below(&seed, 8));
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
            virtqueue_done(&r.q, chain.head, (uint32_t)chain.writable_len);
            passed++;
        }
        assert_int_equal(r.q.out, 0);
        failed += rc < 0;
        rings_close(&r);
    }
    assert_true(passed > 1000 && failed > 1000); /* the faults are neither all fatal nor all harmless */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_go_round_and_round),
        cmocka_unit_test(requests_may_be_done_in_another_order),
        cmocka_unit_test(several_are_given_back_at_once),
        cmocka_unit_test(an_indirect_table_is_one_descriptor),
        cmocka_unit_test(indirect_tables_that_are_none_are_refused),
        cmocka_unit_test(ids_in_use_or_beyond_the_ring_are_refused),
        cmocka_unit_test(chains_without_an_end_are_refused),
        cmocka_unit_test(bad_buffers_are_refused),
        cmocka_unit_test(queues_that_are_not_in_memory_or_not_aligned_are_refused),
        cmocka_unit_test(interrupts_are_left_out_when_the_driver_says_so),
        cmocka_unit_test(the_event_index_interrupts_once_a_round),
        cmocka_unit_test(the_device_names_the_descriptor_it_waits_for),
        cmocka_unit_test(a_position_is_where_another_goes_on),
        cmocka_unit_test(random_faults_never_give_a_chain_outside_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
