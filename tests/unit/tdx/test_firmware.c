/* A TD that starts in a TDVF: its launch image is the metadata's, measured as other VMMs measure it; the TD HOB names all memory
 * once; nothing lies where the guest has no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/launch/launch.h"
#include "tdx/layout.h"
#include "tests/unit/tdx/tdvf_image.h"
#include "vmm/machine/firmware.h"

static struct boot_config config;
static struct launch_image launch;
static struct cofre_err err;

static int make(void **state)
{
    config = (struct boot_config){.tee = BOOT_TDX, .memory = BOOT_MEMORY_MIN, .cpus = 2};
    make_image(state);
    config.firmware = (struct view){image, SIZE};
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    launch_image_free(&launch);
    return 0;
}

static int build(void)
{
    launch_image_free(&launch);
    return firmware_image_build(&config, &tdx_tee_ops, &launch, &err);
}

static void refused(int code, const char *word)
{
    assert_int_equal(build(), -code);
    if (!strstr(err.text, word))
        fail_msg("\"%s\" instead of: %s", err.text, word);
}

static void has_the_metadatas_sections_in_their_order(void **state)
{
    (void)state;
    static const enum launch_page_kind kinds[] = {LAUNCH_MEASURED, LAUNCH_UNMEASURED, LAUNCH_UNMEASURED,
                                                  LAUNCH_UNMEASURED};
    assert_int_equal(build(), 0);
    assert_true(launch.at_reset);
    assert_int_equal(launch.count, SECTIONS);
    for (size_t i = 0; i < SECTIONS; i++) {
        assert_int_equal(launch.range[i].kind, kinds[i]);
        assert_int_equal(launch.range[i].gpa, good[i].gpa);
        assert_int_equal(launch.range[i].len, good[i].size);
    }
    assert_ptr_equal(launch.range[CODE].data, image + offsets[CODE]);
    assert_ptr_equal(launch.range[VARIABLES].data, image + offsets[VARIABLES]);
    assert_null(launch.range[MEM].data);
    assert_int_equal(launch.start_argument, good[HOB].gpa);
}

static void is_measured_as_other_vmms_lay_it_out(void **state)
{
    (void)state;
    struct tdx_tdvf tdvf;
    struct tee *tee = NULL;
    struct tee_measurement m, registers[TEE_REGISTERS_MAX];
    uint8_t mrtd[TDX_DIGEST_SIZE];
    struct tdx_tdvf_section zeros = good[MEM];
    zeros.attributes = TDX_TDVF_MR_EXTEND;
    assert_int_equal(tdx_tee_ops.new(&tee, &err), 0);
    for (unsigned i = 0; i < 3; i++) {
        if (i == 1)
            config.memory = 4ull << 30; /* which the TD HOB says, and no measurement */
        if (i == 2)
            put_section(MEM, &zeros, 0);
        assert_int_equal(build(), 0);
        assert_int_equal(tdx_tee_ops.measure(tee, &launch, &m, &err), 0);
        assert_int_equal(tdx_tdvf_parse(&tdvf, config.firmware, &err), 0);
        assert_int_equal(tdx_layout_mrtd(mrtd, &tdvf, &err), 0);
        assert_memory_equal(m.value, mrtd, sizeof mrtd);
    }
    assert_int_equal(tdx_tee_ops.registers(tee, &launch, registers, &err), 0); /* nobody knows them before */
    tdx_tee_ops.free(tee);
}

static void registers_that_nobody_predicts_cannot_be_expected(void **state)
{
    (void)state;
    struct tee *tee = NULL;
    struct tee_measurement registers[TEE_REGISTERS_MAX];
    char value[2 + 2 * TDX_DIGEST_SIZE + 1] = "2:";
    memset(value + 2, '0', 2 * TDX_DIGEST_SIZE);
    assert_int_equal(build(), 0);
    assert_int_equal(tdx_tee_ops.new(&tee, &err), 0);
    assert_int_equal(tdx_tee_ops.set_option(tee, "expect-rtmr", value, &err), 0);
    assert_int_equal(tdx_tee_ops.registers(tee, &launch, registers, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "--expect-rtmr"));
    tdx_tee_ops.free(tee);
}

struct memory {
    uint64_t gpa, len;
    uint32_t type;
};

static size_t read_hob(struct memory out[16])
{
    const uint8_t *at = launch.range[HOB].data;
    size_t count = 0;
    assert_int_equal(le16(at), 1);
    for (at += le16(at + 2); le16(at) == 3 && count < 16; at += le16(at + 2))
        out[count++] = (struct memory){le64(at + 32), le64(at + 40), le32(at + 24)};
    assert_int_equal(le16(at), 0xffff);
    return count;
}

static void the_hob_names_all_memory_once(void **state)
{
    (void)state;
    enum { ADDED = 0, TO_ACCEPT = 7 };
    const struct memory due[] = {
        {0, 0x809000, TO_ACCEPT},
        {0x809000, 0x2000, ADDED}, /* the HOB, which the metadata has after what follows */
        {0x80b000, 0x5000, TO_ACCEPT},
        {0x810000, 0x10000, ADDED},
        {0x820000, RAM_LOW_END - 0x820000, TO_ACCEPT},
        {RAM_HIGH, 1ull << 30, TO_ACCEPT},
    };
    struct memory said[16];
    config.memory = 4ull << 30;
    assert_int_equal(build(), 0);
    assert_int_equal(read_hob(said), sizeof due / sizeof due[0]);
    for (size_t i = 0; i < sizeof due / sizeof due[0]; i++) {
        assert_int_equal(said[i].gpa, due[i].gpa);
        assert_int_equal(said[i].len, due[i].len);
        assert_int_equal(said[i].type, due[i].type);
    }
}

static void sections_that_touch_leave_no_memory_between_them(void **state)
{
    (void)state;
    struct tdx_tdvf_section s = good[MEM];
    struct memory said[16];
    s.gpa = 0x80b000; /* where the HOB ends */
    s.size = BOOT_MEMORY_MIN - s.gpa;
    put_section(MEM, &s, 0);
    assert_int_equal(build(), 0);
    assert_int_equal(read_hob(said), 3);
    assert_int_equal(said[2].gpa + said[2].len, BOOT_MEMORY_MIN);
}

/* The rest of a section whose data are shorter is zeros, not what lies behind them in the image. */
static void short_data_end_in_zeros(void **state)
{
    (void)state;
    struct tdx_tdvf_section s = good[VARIABLES];
    s.data.len = 0x1001;
    put_section(VARIABLES, &s, offsets[VARIABLES]);
    assert_int_equal(build(), 0);
    assert_memory_equal(launch.range[VARIABLES].data, image + offsets[VARIABLES], 0x1001);
    assert_true(bytes_are_zero(launch.range[VARIABLES].data + 0x1001, s.size - 0x1001));
    assert_int_equal(le16(launch.range[HOB].data), 1);
}

static void sections_lie_in_the_guests_memory(void **state)
{
    (void)state;
    struct tdx_tdvf_section s = good[MEM];
    s.size = 0x1000;
    s.gpa = BOOT_MEMORY_MIN - 0x1000;
    put_section(MEM, &s, 0);
    assert_int_equal(build(), 0);
    s.gpa = BOOT_MEMORY_MIN;
    put_section(MEM, &s, 0);
    refused(COFRE_MALFORMED, "outside of the guest's memory");
    s.gpa = BOOT_MEMORY_MIN - 0x1000;
    s.size = 0x2000;
    put_section(MEM, &s, 0);
    refused(COFRE_MALFORMED, "outside of the guest's memory");
    s.gpa = BASE - 0x1000; /* below the image */
    s.size = 0x1000;
    put_section(MEM, &s, 0);
    refused(COFRE_MALFORMED, "outside of the guest's memory");
    s = good[HOB];
    s.gpa = RAM_LOW_END;
    put_section(MEM, &good[MEM], 0);
    put_section(HOB, &s, 0);
    config.memory = 4ull << 30;
    refused(COFRE_MALFORMED, "TD HOB");
}

static void an_image_without_metadata_is_refused(void **state)
{
    (void)state;
    image[METADATA] ^= 1;
    refused(COFRE_MALFORMED, "version 1");
    make_image(NULL);
    distance[4 + 2] ^= 1;
    refused(COFRE_MALFORMED, "no TDX metadata");
    config.initrd = (struct view){image, 1};
    refused(COFRE_USAGE, "--kernel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(has_the_metadatas_sections_in_their_order, make, destroy),
        cmocka_unit_test_setup_teardown(is_measured_as_other_vmms_lay_it_out, make, destroy),
        cmocka_unit_test_setup_teardown(registers_that_nobody_predicts_cannot_be_expected, make, destroy),
        cmocka_unit_test_setup_teardown(the_hob_names_all_memory_once, make, destroy),
        cmocka_unit_test_setup_teardown(sections_that_touch_leave_no_memory_between_them, make, destroy),
        cmocka_unit_test_setup_teardown(short_data_end_in_zeros, make, destroy),
        cmocka_unit_test_setup_teardown(sections_lie_in_the_guests_memory, make, destroy),
        cmocka_unit_test_setup_teardown(an_image_without_metadata_is_refused, make, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
