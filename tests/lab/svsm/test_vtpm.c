#include "tests/lab/svsm/vtpm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER   10
#define EK       122 /* bytes of its public area */
#define SUCCESS  0
#define NO_SUCH  0x143 /* TPM_RC_COMMAND_CODE */
#define SIZE     0x142 /* TPM_RC_COMMAND_SIZE */
#define TRAILING 0x095 /* TPM_RC_SIZE */
#define LOCALITY 0x907 /* TPM_RC_LOCALITY */

static uint8_t response[VTPM_COMMAND_MAX];

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The response's code; it is whole. */
static uint32_t code_at(uint8_t locality, const uint8_t *command, size_t len)
{
    const size_t got = vtpm_command(locality, command, len, response, sizeof response);
    assert_in_range(got, HEADER, sizeof response);
    assert_int_equal(get32(response + 2), got);
    return get32(response + 6);
}

static uint32_t code(const uint8_t *command, size_t len)
{
    return code_at(0, command, len);
}

/* Valid commands, as part 3 of the specification has them. */
static const uint8_t get_random[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 16};
static const uint8_t read_pcr_16[] = {0x80, 0x01, 0, 0, 0, 20,   0, 0, 0x01, 0x7e,
                                      0,    0,    0, 1, 0, 0x0b, 3, 0, 0,    1};
static const uint8_t read_pcr_17[] = {0x80, 0x01, 0, 0, 0, 20,   0, 0, 0x01, 0x7e,
                                      0,    0,    0, 1, 0, 0x0b, 3, 0, 0,    2};
static const uint8_t reset_pcr_20[] = {0x80, 0x02, 0, 0, 0,    27, 0, 0, 0x01, 0x3d, 0, 0, 0, 20,
                                       0,    0,    0, 9, 0x40, 0,  0, 9, 0,    0,    0, 0, 0};
static const uint8_t extend_pcr_16[65] = {0x80, 0x02, 0, 0, 0, 65,   0, 0, 0x01, 0x82,     0,          0, 0,
                                          16,   0,    0, 0, 9, 0x40, 0, 0, 9,    [30] = 1, [32] = 0x0b};
static const uint8_t get_properties[] = {0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a, 0,
                                         0,    0,    6, 0, 0, 1,  0, 0, 0,    0,    64};
static const uint8_t start_session[59] = {0x80, 0x01, 0, 0,    0, 59, 0, 0, 0x01, 0x76,        0x40,
                                          0,    0,    7, 0x40, 0, 0,  7, 0, 32,   [56] = 0x10, [58] = 0x0b};
static const uint8_t flush_unknown[] = {0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x65, 0x80, 0, 0, 0};
static const uint8_t self_test[] = {0x80, 0x01, 0, 0, 0, 11, 0, 0, 0x01, 0x43, 0};
/* A key by a template that is not the endorsement key's: the storage key's. */
static const uint8_t create_storage_key[] = {
    0x80, 0x02, 0,    0, 0,    67, 0,    0, 0x01, 0x31, 0x40, 0,  0, 1,    0, 0,    0, 9, 0x40, 0,    0, 9, 0,
    0,    0,    0,    0, 0,    4,  0,    0, 0,    0,    0,    26, 0, 0x23, 0, 0x0b, 0, 3, 4,    0x72, 0, 0, 0,
    6,    0,    0x80, 0, 0x43, 0,  0x10, 0, 3,    0,    0x10, 0,  0, 0,    0, 0,    0, 0, 0,    0,    0};

static const struct {
    const uint8_t *bytes;
    size_t len;
} valid[] = {
    {get_random, sizeof get_random},       {read_pcr_16, sizeof read_pcr_16},
    {extend_pcr_16, sizeof extend_pcr_16}, {get_properties, sizeof get_properties},
    {start_session, sizeof start_session}, {create_storage_key, sizeof create_storage_key},
    {flush_unknown, sizeof flush_unknown}, {self_test, sizeof self_test},
};

static int start(void **state)
{
    (void)state;
    return vtpm_start();
}

static void answers_nothing_before_it_is_started(void **state)
{
    (void)state;
    uint8_t ek[EK];
    assert_int_equal(vtpm_command(0, get_random, sizeof get_random, response, sizeof response), 0);
    assert_int_equal(vtpm_ek_public(ek, sizeof ek), 0);
}

static void does_what_a_started_tpm_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        if (valid[i].bytes != flush_unknown)
            assert_int_equal(code(valid[i].bytes, valid[i].len), SUCCESS);
}

static void extends_a_pcr(void **state)
{
    (void)state;
    static const uint8_t sha256_of_64_zeros[] = {
        0xf5, 0xa5, 0xfd, 0x42, 0xd1, 0x6a, 0x20, 0x30, 0x27, 0x98, 0xef, 0x6e, 0xd3, 0x09, 0x97, 0x9b,
        0x43, 0x00, 0x3d, 0x23, 0x20, 0xd9, 0xf0, 0xe8, 0xea, 0x98, 0x31, 0xa9, 0x27, 0x59, 0xfb, 0x4b};
    assert_int_equal(code(extend_pcr_16, sizeof extend_pcr_16), SUCCESS);
    assert_int_equal(code(read_pcr_16, sizeof read_pcr_16), SUCCESS);
    assert_memory_equal(response + get32(response + 2) - 32, sha256_of_64_zeros, 32);
}

static void has_an_endorsement_key_of_its_own_at_each_start(void **state)
{
    (void)state;
    uint8_t ek[EK], other[EK];
    assert_int_equal(vtpm_ek_public(ek, sizeof ek), EK);
    assert_int_equal(vtpm_ek_public(other, sizeof other), EK);
    assert_memory_equal(ek, other, EK);
    assert_int_equal(vtpm_start(), 0);
    assert_int_equal(vtpm_ek_public(other, sizeof other), EK);
    assert_memory_not_equal(ek, other, EK);
    assert_int_equal(vtpm_ek_public(other, EK - 1), 0);
}

static void forgets_at_a_start(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    assert_int_equal(code(extend_pcr_16, sizeof extend_pcr_16), SUCCESS);
    assert_int_equal(vtpm_start(), 0);
    assert_int_equal(code(read_pcr_16, sizeof read_pcr_16), SUCCESS);
    assert_memory_equal(response + get32(response + 2) - 32, zeros, 32);
}

static void has_all_its_places_for_keys_left(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < 3; i++) {
        assert_int_equal(code(create_storage_key, sizeof create_storage_key), SUCCESS);
        assert_int_equal(get32(response + HEADER), 0x80000000 + i);
    }
    assert_int_equal(code(create_storage_key, sizeof create_storage_key), 0x902); /* TPM_RC_OBJECT_MEMORY */
}

static void takes_no_command_of_an_impossible_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 9, VTPM_COMMAND_MAX + 1, 2 * VTPM_COMMAND_MAX};
    uint8_t *const bytes = calloc(1, 2 * VTPM_COMMAND_MAX);
    memcpy(bytes, get_random, sizeof get_random);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put32(bytes + 2, (uint32_t)sizes[i]);
        assert_int_equal(vtpm_command(0, bytes, sizes[i], response, sizeof response), 0);
    }
    put32(bytes + 2, VTPM_COMMAND_MAX);
    assert_int_equal(code(bytes, VTPM_COMMAND_MAX),
                     TRAILING); /* it may be that long, if it has such parameters */
    free(bytes);
}

static void refuses_a_size_field_that_is_not_the_size(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 9, 10, 11, 13, 4096, 4097, 0x7fffffff, 0x80000000, 0xffffffff};
    uint8_t bytes[sizeof get_random];
    memcpy(bytes, get_random, sizeof bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put32(bytes + 2, sizes[i]);
        assert_int_equal(code(bytes, sizeof bytes), SIZE);
    }
}

static void refuses_what_it_does_not_know(void **state)
{
    (void)state;
    uint8_t bytes[sizeof get_random];
    memcpy(bytes, get_random, sizeof bytes);
    bytes[0] = 0x12;
    assert_int_not_equal(code(bytes, sizeof bytes), SUCCESS);
    memcpy(bytes, get_random, sizeof bytes);
    bytes[8] = 0x7f;
    assert_int_equal(code(bytes, sizeof bytes), NO_SUCH);
}

static void gives_no_part_of_a_response(void **state)
{
    (void)state;
    uint8_t small[28];
    assert_int_equal(vtpm_command(0, get_random, sizeof get_random, small, sizeof small), 28);
    memset(small, 0xa5, sizeof small);
    assert_int_equal(vtpm_command(0, get_random, sizeof get_random, small, sizeof small - 1), 0);
    for (size_t i = 0; i < sizeof small; i++)
        assert_int_equal(small[i], 0xa5);
}

static void tells_localities_apart(void **state)
{
    (void)state;
    assert_int_equal(code_at(0, reset_pcr_20, sizeof reset_pcr_20), LOCALITY);
    assert_int_equal(code_at(2, reset_pcr_20, sizeof reset_pcr_20), SUCCESS);
    assert_int_equal(code_at(0, reset_pcr_20, sizeof reset_pcr_20), LOCALITY);
}

static void nobody_is_at_the_locality_of_hardware(void **state)
{
    (void)state;
    for (unsigned locality = VTPM_LOCALITY_MAX + 1; locality < 256; locality++)
        assert_int_equal(
            vtpm_command((uint8_t)locality, read_pcr_17, sizeof read_pcr_17, response, sizeof response), 0);
}

/* xorshift64: the same in every run. */
static uint32_t draw(uint32_t below)
{
    static uint64_t s = 0x9e3779b97f4a7c15;
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return (uint32_t)(s >> 32) % below;
}

/* A valid command with some bytes changed, and cut or with more at its end; its size field is mostly right again. */
static size_t mutate(uint8_t *out)
{
    const size_t which = draw(sizeof valid / sizeof *valid);
    size_t len = valid[which].len;
    memcpy(out, valid[which].bytes, len);
    for (uint32_t n = draw(4); n; n--)
        out[draw((uint32_t)len)] = (uint8_t)draw(256);
    if (draw(4) == 0) {
        const size_t other = draw(128);
        for (; len < other; len++)
            out[len] = (uint8_t)draw(256);
        len = other;
    }
    if (draw(8) && len >= HEADER)
        put32(out + 2, (uint32_t)len);
    return len;
}

static void survives_what_is_no_command(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint8_t changed[256];
        const size_t len = mutate(changed);
        uint8_t *const bytes = malloc(len); /* what lies behind it is the sanitizer's */
        memcpy(bytes, changed, len);
        const size_t got = vtpm_command((uint8_t)draw(6), bytes, len, response, sizeof response);
        assert_true(got == 0 || (got >= HEADER && get32(response + 2) == got));
        free(bytes);
    }
    assert_int_equal(code(get_random, sizeof get_random), SUCCESS); /* nor has it given up */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_nothing_before_it_is_started),
        cmocka_unit_test_setup(does_what_a_started_tpm_does, start),
        cmocka_unit_test_setup(extends_a_pcr, start),
        cmocka_unit_test_setup(has_an_endorsement_key_of_its_own_at_each_start, start),
        cmocka_unit_test_setup(forgets_at_a_start, start),
        cmocka_unit_test_setup(has_all_its_places_for_keys_left, start),
        cmocka_unit_test_setup(takes_no_command_of_an_impossible_size, start),
        cmocka_unit_test_setup(refuses_a_size_field_that_is_not_the_size, start),
        cmocka_unit_test_setup(refuses_what_it_does_not_know, start),
        cmocka_unit_test_setup(gives_no_part_of_a_response, start),
        cmocka_unit_test_setup(tells_localities_apart, start),
        cmocka_unit_test_setup(nobody_is_at_the_locality_of_hardware, start),
        cmocka_unit_test_setup(survives_what_is_no_command, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
