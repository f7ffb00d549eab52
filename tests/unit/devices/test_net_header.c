#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/devices/net_header.h"

#define ALL  UINT64_MAX
#define FULL 1514

static const struct net_header tso = {NET_NEEDS_CSUM, NET_GSO_TCPV4, 54, 1448, 34, 16, 0};

/* Whether a header passes under features, for a frame of that length. */
static bool passes(struct net_header h, uint64_t len, uint64_t features)
{
    return net_header_check(&h, len, features);
}

static void a_plain_frame_needs_no_feature(void **state)
{
    (void)state;
    assert_true(passes((struct net_header){0}, FULL, 0));
    assert_true(passes((struct net_header){0}, NET_FRAME_MIN, 0));
    assert_true(passes((struct net_header){0}, NET_FRAME_MAX, 0));
}

static void a_frame_has_a_least_and_a_greatest_length(void **state)
{
    (void)state;
    assert_false(passes((struct net_header){0}, 0, ALL));
    assert_false(passes((struct net_header){0}, NET_FRAME_MIN - 1, ALL));
    assert_false(passes((struct net_header){0}, NET_FRAME_MAX + 1, ALL));
    assert_false(passes((struct net_header){0}, UINT64_MAX, ALL));
}

static void a_checksum_lies_in_the_frame(void **state)
{
    const uint64_t features = NET_BIT(NET_CSUM);
    struct net_header h = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
    (void)state;
    assert_true(passes(h, 52, features));
    assert_false(passes(h, 51, features));
    assert_false(passes(h, 52, 0));
    h.csum_start = h.csum_offset = UINT16_MAX; /* their sum does not wrap */
    assert_false(passes(h, FULL, features));
}

static void what_nobody_asked_the_host_for_is_not_passed_on(void **state)
{
    struct net_header h = {
        .flags = 0xfe, .hdr_len = 9, .gso_size = 9, .csum_start = 9, .csum_offset = 9, .num_buffers = 9};
    const struct net_header nothing = {0};
    (void)state;
    assert_true(net_header_check(&h, FULL, ALL));
    assert_memory_equal(&h, &nothing, sizeof h);
}

static void each_kind_of_segmentation_needs_its_feature(void **state)
{
    static const struct {
        uint8_t gso_type;
        enum net_feature feature;
    } kinds[] = {
        {NET_GSO_TCPV4, NET_HOST_TSO4},
        {NET_GSO_TCPV6, NET_HOST_TSO6},
        {NET_GSO_TCPV4 | NET_GSO_ECN, NET_HOST_ECN},
        {NET_GSO_TCPV6 | NET_GSO_ECN, NET_HOST_ECN},
        {NET_GSO_UDP_L4, NET_HOST_USO},
    };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct net_header h = tso;
        h.gso_type = kinds[i].gso_type;
        assert_true(passes(h, 60000, NET_BIT(NET_CSUM) | NET_BIT(kinds[i].feature)));
        assert_false(passes(h, 60000, ALL & ~NET_BIT(kinds[i].feature)));
    }
}

static void no_other_kind_of_segmentation_passes(void **state)
{
    unsigned passed = 0;
    (void)state;
    for (unsigned type = 1; type < 256; type++) {
        struct net_header h = tso;
        h.gso_type = (uint8_t)type;
        passed += passes(h, 60000, ALL);
    }
    assert_int_equal(passed, 5);
}

static void segmentation_needs_a_size_a_checksum_and_a_header_in_the_frame(void **state)
{
    struct net_header h = tso;
    (void)state;
    assert_true(passes(h, 60000, ALL));
    h.gso_size = 0;
    assert_false(passes(h, 60000, ALL));
    h = tso;
    h.flags = 0;
    assert_false(passes(h, 60000, ALL));
    h = tso;
    h.hdr_len = 60001;
    assert_false(passes(h, 60000, ALL));
    h.hdr_len = 60000;
    assert_true(passes(h, 60000, ALL));
}

static void what_was_checked_stays_as_it_was(void **state)
{
    struct net_header h = tso;
    (void)state;
    assert_true(net_header_check(&h, 60000, ALL));
    assert_memory_equal(&h, &tso, sizeof h);
}

static void buffers_are_cut_and_filled_across_their_bounds(void **state)
{
    char a[4] = "abc", b[5] = "defg", c[3] = "hi";
    struct iovec iov[] = {{a, 3}, {b, 4}, {c, 2}}, out[3];
    (void)state;
    assert_int_equal(net_cut(iov, 3, 2, 6, out), 3);
    assert_memory_equal(out[0].iov_base, "c", out[0].iov_len);
    assert_memory_equal(out[1].iov_base, "defg", out[1].iov_len);
    assert_memory_equal(out[2].iov_base, "h", out[2].iov_len);
    assert_int_equal(out[0].iov_len + out[1].iov_len + out[2].iov_len, 6);
    assert_int_equal(net_cut(iov, 3, 9, 1, out), 0);
    assert_int_equal(net_cut(iov, 3, 7, 100, out), 1);
    net_scatter(iov, 3, 2, "VWXYZ1", 6);
    assert_string_equal(a, "abV");
    assert_string_equal(b, "WXYZ");
    assert_string_equal(c, "1i");
    assert_int_equal(net_cut(iov, 3, 3, 6, iov), 2); /* in place */
    assert_ptr_equal(iov[0].iov_base, b);
    assert_int_equal(iov[1].iov_len, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_frame_needs_no_feature),
        cmocka_unit_test(a_frame_has_a_least_and_a_greatest_length),
        cmocka_unit_test(a_checksum_lies_in_the_frame),
        cmocka_unit_test(what_nobody_asked_the_host_for_is_not_passed_on),
        cmocka_unit_test(each_kind_of_segmentation_needs_its_feature),
        cmocka_unit_test(no_other_kind_of_segmentation_passes),
        cmocka_unit_test(segmentation_needs_a_size_a_checksum_and_a_header_in_the_frame),
        cmocka_unit_test(what_was_checked_stays_as_it_was),
        cmocka_unit_test(buffers_are_cut_and_filled_across_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
