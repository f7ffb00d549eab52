/* A TD that an IGVM file describes: MRTD in the file's order, attributes of its policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/launch/igvm.h"
#include "tdx/launch/launch.h"
#include "tdx/mrtd.h"
#include "tests/unit/igvm/made_igvm.h"
#include "vmm/machine/firmware.h"

#define TDX 2u

static struct made_igvm made;
static struct boot_config config;
static struct launch_image launch;
static struct cofre_err err;
static uint8_t page[4096];
static uint32_t data;
static uint8_t *policy, *reset;

static int make(void **state)
{
    (void)state;
    config = (struct boot_config){.tee = BOOT_TDX, .memory = BOOT_MEMORY_MIN, .cpus = 3, .igvm = true};
    memset(page, 0x5a, sizeof page);
    igvm_made_begin(&made, 1, 4096, 65536);
    data = igvm_made_data(&made, page, sizeof page);
    igvm_made_platform(&made, IGVM_SEV_SNP, 1);
    igvm_made_platform(&made, IGVM_TDX, TDX);
    policy = igvm_made_policy(&made, TDX, 2);
    igvm_made_area(&made, 0, 0x1000, 0);
    igvm_made_parameter(&made, IGVM_VP_COUNT, 0, 0);
    reset = igvm_made_page(&made, TDX, 0xfffff000, data, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, TDX, 0x1000, 0, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, 1, 0x3000, 0, 0, IGVM_PAGE_CPUID);
    igvm_made_page(&made, TDX, 0x2000, data, MADE_UNMEASURED, IGVM_PAGE_NORMAL);
    igvm_made_insert(&made, TDX, 0x8000, 0);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    launch_image_free(&launch);
    bytes_free(&made.file);
    return 0;
}

static int build(void)
{
    config.firmware = igvm_made_whole(&made);
    launch_image_free(&launch);
    return firmware_image_build(&config, &tdx_tee_ops, &launch, &err);
}

static void built(void)
{
    if (build() != 0)
        fail_msg("%s", err.text);
}

static void refused(const char *why)
{
    assert_int_equal(build(), -COFRE_MALFORMED);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" is not about \"%s\"", err.text, why);
}

static void is_measured_in_the_files_order(void **state)
{
    (void)state;
    struct tdx_mrtd *mrtd;
    uint8_t expected[TDX_DIGEST_SIZE];
    struct tee *tee = NULL;
    struct tee_measurement m, registers[TEE_REGISTERS_MAX];
    assert_int_equal(tdx_mrtd_new(&mrtd, &err), 0);
    assert_int_equal(tdx_mrtd_pages(mrtd, 0xfffff000, page, 4096, true, &err), 0);
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x1000, NULL, 4096, true, &err), 0);
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x2000, NULL, 4096, false, &err), 0);
    assert_int_equal(tdx_mrtd_pages(mrtd, 0x8000, NULL, 4096, false, &err), 0);
    assert_int_equal(tdx_mrtd_value(mrtd, expected, &err), 0);
    tdx_mrtd_free(mrtd);
    built();
    assert_int_equal(launch.count, 4);
    assert_int_equal(le32(launch.range[3].data), 3);
    assert_int_equal(launch.start_argument, 0);
    assert_int_equal(tdx_tee_ops.new(&tee, &err), 0);
    assert_int_equal(tdx_tee_ops.adopt(tee, &launch, &err), 0);
    assert_int_equal(tdx_tee_ops.measure(tee, &launch, &m, &err), 0);
    assert_memory_equal(m.value, expected, sizeof expected);
    assert_int_equal(tdx_tee_ops.registers(tee, &launch, registers, &err), 0); /* nobody predicts them */
    tdx_tee_ops.free(tee);
}

static void attributes_are_the_policys(void **state)
{
    (void)state;
    static const struct {
        uint64_t policy, attributes;
    } all[] = {{0, 0},
               {1, TDX_ATTR_DEBUG},
               {2, TDX_ATTR_SEPT_VE_DISABLE},
               {4, TDX_ATTR_MIGRATABLE},
               {7, TDX_ATTR_DEBUG | TDX_ATTR_SEPT_VE_DISABLE | TDX_ATTR_MIGRATABLE}};
    struct tdx_owner owner;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        put_le64(policy, all[i].policy);
        built();
        tdx_owner_init(&owner);
        assert_int_equal(tdx_igvm_adopt(&owner, &launch, &err), 0);
        assert_int_equal(owner.attributes, all[i].attributes);
    }
    assert_int_equal(tdx_owner_set_option(&owner, "attributes", "sept-ve-disable", &err), 0);
    assert_int_equal(tdx_igvm_adopt(&owner, &launch, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "--attributes"));
    put_le64(policy, 2);
    built();
    assert_int_equal(tdx_igvm_adopt(&owner, &launch, &err), 0);
    put_le64(policy, 8);
    refused("policy 0x8");
    put_le32(policy + 8, 1); /* another platform's */
    built();
    tdx_owner_init(&owner);
    assert_int_equal(tdx_igvm_adopt(&owner, &launch, &err), 0);
    assert_int_equal(owner.attributes, TDX_ATTR_SEPT_VE_DISABLE);
}

static void what_a_td_cannot_have_is_refused(void **state)
{
    (void)state;
    put_le64(reset, 0xffffe000);
    refused("0xfffffff0");
    put_le64(reset, 0xfffff000);
    igvm_made_page(&made, TDX, 0x4000, 0, 0, IGVM_PAGE_SECRETS);
    refused("0x4000 of a kind");
    put_le16(made.file.data + made.last + 8 + 20, IGVM_PAGE_CPUID);
    refused("0x4000 of a kind");
    put_le16(made.file.data + made.last + 8 + 20, IGVM_PAGE_NORMAL);
    built();
    made.headers = 24;
    assert_int_equal(build(), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "not for Intel TDX"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, destroy)
        TEST(is_measured_in_the_files_order),
        TEST(attributes_are_the_policys),
        TEST(what_a_td_cannot_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
