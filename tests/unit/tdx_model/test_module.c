/* A TD's life: every call in every state, what is refused and with which status, the measurement, reports. */
#include "fixture.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "tdx/report.h"
#include "vmm/base/bytes.h"

static struct tdx_platform *platform;

static int set_up(void **state)
{
    (void)state;
    platform = open_platform(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tdx_platform_close(platform);
    return 0;
}

static tdx_status init(struct tdx_td *td)
{
    struct tdx_td_params params = good_params();
    return tdh_mng_init(td, &params);
}

static tdx_status vp_init(struct tdx_td *td)
{
    unsigned index;
    return tdh_vp_init(td, &index);
}

static tdx_status page_add(struct tdx_td *td)
{
    return tdh_mem_page_add(td, 0x3000);
}

static tdx_status extend(struct tdx_td *td)
{
    uint8_t chunk[TDX_EXTEND_CHUNK] = {0};
    return tdh_mr_extend(td, 0x3000, chunk);
}

static tdx_status info(struct tdx_td *td)
{
    struct tdx_vp_info out;
    return tdg_vp_info(td, 0, &out);
}

static tdx_status rtmr(struct tdx_td *td)
{
    uint8_t digest[TDX_DIGEST_SIZE] = {0};
    return tdg_mr_rtmr_extend(td, 0, digest);
}

static tdx_status report(struct tdx_td *td)
{
    uint8_t data[TDX_REPORT_DATA_SIZE] = {0};
    struct tdx_report out;
    return tdg_mr_report(td, data, &out);
}

static tdx_status verify(struct tdx_td *td)
{
    struct tdx_report_mac mac = {0};
    return tdg_mr_verifyreport(td, &mac);
}

static tdx_status read_field(struct tdx_td *td)
{
    uint64_t value;
    return tdg_vm_rd(td, 0x1110000300000000, &value);
}

static tdx_status write_field(struct tdx_td *td)
{
    uint64_t old;
    return tdg_vm_wr(td, 0x9100000000000010, 1, 1, &old);
}

static void calls_are_taken_in_their_state_only(void **state)
{
    (void)state;
    const tdx_status ok = TDX_SUCCESS, bad = TDX_OP_STATE_INCORRECT;
    const struct {
        tdx_status (*call)(struct tdx_td *);
        tdx_status expected[LIVES];
    } rows[] = {
        {init, {ok, bad, bad}},
        {vp_init, {bad, ok, bad}},
        {page_add, {bad, ok, bad}},
        {extend, {bad, ok, bad}},
        {tdh_mr_finalize, {bad, TDX_NO_VCPUS, bad}},
        {info, {bad, bad, ok}},
        {rtmr, {bad, bad, ok}},
        {report, {bad, bad, ok}},
        {verify, {bad, bad, TDX_INVALID_REPORTMACSTRUCT}},
        {read_field, {bad, bad, ok}},
        {write_field, {bad, bad, ok}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (enum life life = CREATED; life < LIVES; life++) {
            struct tdx_td *td = td_in(life, platform);
            assert_int_equal(rows[i].call(td), rows[i].expected[life]);
            tdx_td_free(td);
        }
}

static void parameters_that_the_module_does_not_take_are_refused(void **state)
{
    (void)state;
    const tdx_status attributes = TDX_OPERAND_INVALID | TDX_OPERAND_ATTRIBUTES,
                     xfam = TDX_OPERAND_INVALID | TDX_OPERAND_XFAM;
    const struct {
        uint64_t attributes, xfam;
        unsigned max_vcpus, gpaw;
        tdx_status status;
    } cases[] = {
        {0, 3, 1, 48, TDX_SUCCESS},
        {TDX_ATTR_DEBUG | TDX_ATTR_SEPT_VE_DISABLE | TDX_ATTR_PKS | TDX_ATTR_PERFMON, 3, 1, 52, TDX_SUCCESS},
        {TDX_ATTR_MIGRATABLE, 3, 65535, 48, TDX_SUCCESS},
        {TDX_ATTR_MIGRATABLE | TDX_ATTR_DEBUG, 3, 1, 48, attributes},
        {TDX_ATTR_MIGRATABLE | TDX_ATTR_PERFMON, 3, 1, 48, attributes},
        {TDX_ATTR_KL, 3, 1, 48, attributes},
        {1ull << 1, 3, 1, 48, attributes},
        {TDX_ATTR_LASS, 3, 1, 48, attributes},
        {0, 0, 1, 48, xfam},
        {0, 1, 1, 48, xfam},
        {0, 3 | 1 << 3, 1, 48, xfam},
        {0, 3 | 1 << 10, 1, 48, xfam},
        {0, 7 | 7 << 5, 1, 48, TDX_SUCCESS},
        {0, 3 | 7 << 5, 1, 48, xfam},
        {0, 7 | 3 << 5, 1, 48, xfam},
        {0, 3 | 3 << 11, 1, 48, TDX_SUCCESS},
        {0, 3 | 1 << 12, 1, 48, xfam},
        {0, 3 | 3 << 17, 1, 48, TDX_SUCCESS},
        {0, 3 | 1 << 18, 1, 48, xfam},
        {0, 0x6dbe7, 1, 48, TDX_SUCCESS},
        {0, 3, 0, 48, TDX_OPERAND_INVALID | TDX_OPERAND_MAX_VCPUS},
        {0, 3, 1, 47, TDX_OPERAND_INVALID | TDX_OPERAND_EPTP_CONTROLS},
        {1ull << 1, 0, 0, 0, attributes}, /* the first to fail */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tdx_td *td = td_in(CREATED, platform);
        struct tdx_td_params params = {.attributes = cases[i].attributes,
                                       .xfam = cases[i].xfam,
                                       .max_vcpus = (uint16_t)cases[i].max_vcpus,
                                       .gpaw = (uint8_t)cases[i].gpaw};
        assert_int_equal(tdh_mng_init(td, &params), cases[i].status);
        /* a refusal leaves the TD where it was */
        assert_int_equal(init(td), cases[i].status ? TDX_SUCCESS : TDX_OP_STATE_INCORRECT);
        tdx_td_free(td);
    }
}

static void what_may_be_and_what_must_be_is_told(void **state)
{
    (void)state;
    struct tdx_capabilities c;
    tdx_module_capabilities(&c);
    assert_int_equal(c.attributes_fixed0, 0x8000000070000001);
    assert_int_equal(c.attributes_fixed1, 0);
    assert_int_equal(c.xfam_fixed0, 0x6dbe7);
    assert_int_equal(c.xfam_fixed1, 3);
}

static void vcpus_are_numbered_up_to_their_maximum(void **state)
{
    (void)state;
    struct tdx_td *td = td_in(INITIALISED, platform);
    unsigned index = 77;
    assert_int_equal(tdh_vp_init(td, &index), TDX_SUCCESS);
    assert_int_equal(index, 0);
    assert_int_equal(tdh_vp_init(td, &index), TDX_SUCCESS);
    assert_int_equal(index, 1);
    assert_int_equal(tdh_vp_init(td, &index), TDX_MAX_VCPUS_EXCEEDED);
    assert_int_equal(tdh_mr_finalize(td), TDX_SUCCESS);
    tdx_td_free(td);
}

static void addresses_must_be_private_and_aligned(void **state)
{
    (void)state;
    const tdx_status bad = TDX_OPERAND_INVALID | TDX_OPERAND_RCX;
    uint8_t chunk[TDX_EXTEND_CHUNK] = {0};
    uint8_t before[TDX_DIGEST_SIZE], after[TDX_DIGEST_SIZE];
    struct tdx_td *td = td_in(INITIALISED, platform);
    tdx_td_mrtd(td, before);
    assert_int_equal(tdh_mem_page_add(td, 0x800), bad);
    assert_int_equal(tdh_mem_page_add(td, TDX_SHARED_BIT), bad);
    assert_int_equal(tdh_mem_page_add(td, 1ull << 48), bad);
    assert_int_equal(tdh_mr_extend(td, 0x80, chunk), bad);
    assert_int_equal(tdh_mr_extend(td, TDX_SHARED_BIT | 0x100, chunk), bad);
    tdx_td_mrtd(td, after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(tdh_mem_page_add(td, TDX_SHARED_BIT - TDX_PAGE_SIZE), TDX_SUCCESS);
    tdx_td_mrtd(td, after);
    assert_memory_not_equal(before, after, sizeof before);
    tdx_td_free(td);
}

/* The blocks written out by hand: what is hashed for one page that is measured, and one that is not. */
static void mrtd_is_sha384_over_what_was_added_and_extended(void **state)
{
    (void)state;
    static const uint8_t fill = 0x5a;
    uint8_t expected[TDX_DIGEST_SIZE], block[128], chunk[256];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    struct tdx_td *td = td_in(RUNNING, platform);
    struct tdx_report r = report_of(td, 0);
    memset(chunk, fill, sizeof chunk);
    EVP_DigestInit_ex(md, EVP_sha384(), NULL);
    memset(block, 0, sizeof block);
    memcpy(block, "MEM.PAGE.ADD", 12);
    block[17] = 0x10;
    EVP_DigestUpdate(md, block, sizeof block);
    for (int i = 0; i < 16; i++) {
        memset(block, 0, sizeof block);
        memcpy(block, "MR.EXTEND", 9);
        block[17] = (uint8_t)(0x10 + i);
        EVP_DigestUpdate(md, block, sizeof block);
        EVP_DigestUpdate(md, chunk, sizeof chunk);
    }
    EVP_DigestFinal_ex(md, expected, NULL);
    EVP_MD_CTX_free(md);
    assert_memory_equal(r.td.mrtd, expected, sizeof expected);
    tdx_td_mrtd(td, block);
    assert_memory_equal(block, expected, sizeof expected);
    tdx_td_free(td);
}

static void rtmrs_are_extended_one_by_one(void **state)
{
    (void)state;
    uint8_t both[2 * TDX_DIGEST_SIZE] = {0}, digest[TDX_DIGEST_SIZE];
    struct tdx_td *td = td_in(RUNNING, platform);
    memset(digest, 0xd1, sizeof digest);
    memcpy(both + TDX_DIGEST_SIZE, digest, sizeof digest);
    EVP_Digest(both, sizeof both, both, NULL, EVP_sha384(), NULL);
    for (unsigned i = 0; i < TDX_RTMRS; i++) {
        assert_int_equal(tdg_mr_rtmr_extend(td, i, digest), TDX_SUCCESS);
        struct tdx_report r = report_of(td, 0);
        for (unsigned j = 0; j < TDX_RTMRS; j++) {
            if (j <= i)
                assert_memory_equal(r.td.rtmr[j], both, TDX_DIGEST_SIZE);
            else
                assert_true(bytes_are_zero(r.td.rtmr[j], TDX_DIGEST_SIZE));
        }
    }
    EVP_Digest(both, sizeof both, both, NULL, EVP_sha384(), NULL);
    assert_int_equal(tdg_mr_rtmr_extend(td, 2, digest), TDX_SUCCESS);
    assert_memory_equal(report_of(td, 0).td.rtmr[2], both, TDX_DIGEST_SIZE);
    assert_int_equal(tdg_mr_rtmr_extend(td, 4, digest), TDX_OPERAND_INVALID | TDX_OPERAND_RDX);
    assert_int_equal(tdg_mr_rtmr_extend(td, 1ull << 32, digest), TDX_OPERAND_INVALID | TDX_OPERAND_RDX);
    tdx_td_free(td);
}

static void a_report_says_what_the_td_is(void **state)
{
    (void)state;
    struct tdx_td *td = td_in(RUNNING, platform);
    struct tdx_report r = report_of(td, 0xab);
    struct tdx_td_params params = good_params();
    struct cofre_err err;
    uint8_t hash[48], data[TDX_REPORT_DATA_SIZE];
    memset(data, 0xab, sizeof data);
    assert_int_equal(tdx_report_check(&r, &err), 0);
    assert_int_equal(r.mac.type, 0x81);
    assert_int_equal(r.mac.version, 0);
    assert_memory_equal(r.mac.report_data, data, sizeof data);
    assert_int_equal(le64(r.td.attributes), params.attributes);
    assert_int_equal(le64(r.td.xfam), params.xfam);
    assert_memory_equal(r.td.mrconfigid, params.mrconfigid, 48);
    assert_memory_equal(r.td.mrowner, params.mrowner, 48);
    assert_memory_equal(r.td.mrownerconfig, params.mrownerconfig, 48);
    assert_true(bytes_are_zero(r.td.servtd_hash, 48));
    assert_true(bytes_are_zero(r.td.reserved, sizeof r.td.reserved));
    assert_int_equal(le64(r.tcb.valid), 0x301ff);
    EVP_Digest(&r.tcb, sizeof r.tcb, hash, NULL, EVP_sha384(), NULL);
    assert_memory_equal(r.mac.tee_tcb_info_hash, hash, sizeof hash);
    EVP_Digest(&r.td, sizeof r.td, hash, NULL, EVP_sha384(), NULL);
    assert_memory_equal(r.mac.tee_info_hash, hash, sizeof hash);
    tdx_td_free(td);
}

static void only_an_unchanged_report_of_this_processor_verifies(void **state)
{
    (void)state;
    struct tdx_td *td = td_in(RUNNING, platform), *foreign;
    struct tdx_report r = report_of(td, 1);
    struct tdx_platform *other = NULL;
    char dir[4096];
    assert_int_equal(tdg_mr_verifyreport(td, &r.mac), TDX_SUCCESS);
    for (size_t byte = 0; byte < sizeof r.mac; byte++) {
        struct tdx_report_mac changed = r.mac;
        ((uint8_t *)&changed)[byte] ^= 0x10;
        assert_int_equal(tdg_mr_verifyreport(td, &changed), TDX_INVALID_REPORTMACSTRUCT);
    }
    new_dir(dir);
    assert_int_equal(tdx_platform_open(&other, dir, NULL, NULL), 0);
    foreign = td_in(RUNNING, other);
    assert_int_equal(tdg_mr_verifyreport(foreign, &r.mac), TDX_INVALID_REPORTMACSTRUCT);
    tdx_td_free(foreign);
    tdx_platform_close(other);
    remove_dir(dir);
    tdx_td_free(td);
}

static void a_vcpu_learns_of_its_td(void **state)
{
    (void)state;
    struct tdx_vp_info got;
    struct tdx_td *td = td_in(RUNNING, platform);
    assert_int_equal(tdg_vp_info(td, 1, &got), TDX_SUCCESS);
    assert_int_equal(got.gpaw, 48);
    assert_int_equal(got.attributes, TDX_ATTR_SEPT_VE_DISABLE);
    assert_int_equal(got.vcpus, 2ull << 32 | 2);
    assert_int_equal(got.vcpu_index, 1);
    assert_int_equal(got.features, 0);
    assert_int_equal(got.r11, 0);
    tdx_td_free(td);
}

static void fields_are_read_by_their_identifiers(void **state)
{
    (void)state;
    struct tdx_td *td = td_in(RUNNING, platform);
    struct tdx_report r = report_of(td, 0);
    uint8_t digest[TDX_DIGEST_SIZE] = {0};
    assert_int_equal(tdg_mr_rtmr_extend(td, 3, digest), TDX_SUCCESS);
    r = report_of(td, 0);
    const struct {
        uint64_t field, value;
    } cases[] = {
        {0x9010000200000001, 2},                        /* NUM_VCPUS */
        {0x1110000300000000, TDX_ATTR_SEPT_VE_DISABLE}, /* ATTRIBUTES */
        {0x1110000300000001, 7},                        /* XFAM */
        {0x1110000200000002, 2},                        /* MAX_VCPUS */
        {0x1110000000000003, 0},                        /* GPAW */
        {0x1110000300000016, 4},                        /* CONFIG_FLAGS: NO_RBP_MOD */
        {0x1110000300000017, 1},                        /* TD_CTLS: PENDING_VE_DISABLE */
        {0x9110000300000010, 0},                        /* NOTIFY_ENABLES */
        {0x9100000000000010, 0},                        /* the same, as Linux writes it */
        {0x1310000300000000, le64(r.td.mrtd)},
        {0x1310000300000005, le64(r.td.mrtd + 40)},
        {0x1310000300000010, le64(r.td.mrconfigid)},
        {0x1310000300000018, le64(r.td.mrowner)},
        {0x1310000300000025, le64(r.td.mrownerconfig + 40)},
        {0x1310000300000040, le64(r.td.rtmr[0])},
        {0x1310000300000052, le64(r.td.rtmr[3])},
        {0x1310000300000057, le64(r.td.rtmr[3] + 40)},
        {0x9910000300000005, 0}, /* SERVTD_HASH */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = 0xdead;
        assert_int_equal(tdg_vm_rd(td, cases[i].field, &value), TDX_SUCCESS);
        assert_int_equal(value, cases[i].value);
    }
    const uint64_t unknown[] = {
        0,
        0x1310000300000006,
        0x1310000300000058,
        0x9100000000000019, /* TOPOLOGY_ENUM_CONFIGURED: Linux after 6.12 asks, 1.5.01 has none */
        0x9010000200000008, /* QUOTE_MAX_SIZE: the same */
        0x1110000301000000,
        0x1110000400000000,
        0x1110004300000000,
        0x1110800300000000,
        0x5110000300000000,
        0x1190000300000000,
        UINT64_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        uint64_t value = 0xdead;
        assert_int_equal(tdg_vm_rd(td, unknown[i], &value), TDX_METADATA_FIELD_ID_INCORRECT);
        assert_int_equal(value, 0);
    }
    tdx_td_free(td);
}

static void fields_are_written_as_far_as_a_guest_may(void **state)
{
    (void)state;
    const uint64_t notify = 0x9100000000000010, ctls = 0x1110000300000017, flags = 0x1110000300000016;
    const struct {
        uint64_t field, value, mask;
        tdx_status status;
        uint64_t after;
    } cases[] = {
        {notify, 0, UINT64_MAX, TDX_SUCCESS, 0}, /* Linux' own call */
        {notify, 1, 1, TDX_SUCCESS, 1},
        {notify, 0, 2, TDX_METADATA_FIELD_NOT_WRITABLE, 1},
        {notify, 2, 3, TDX_METADATA_FIELD_VALUE_NOT_VALID, 1},
        {notify, UINT64_MAX, 1, TDX_SUCCESS, 1},
        {notify, 0, 1, TDX_SUCCESS, 0},
        {ctls, 1, 1, TDX_SUCCESS, 1},
        {ctls, 0, 1, TDX_METADATA_FIELD_VALUE_NOT_VALID, 1}, /* without FLEXIBLE_PENDING_VE */
        {ctls, 8, 8, TDX_METADATA_FIELD_NOT_WRITABLE, 1},    /* REDUCE_VE is of later modules */
        {ctls, 2, 2, TDX_METADATA_FIELD_NOT_WRITABLE, 1},    /* and so is ENUM_TOPOLOGY, */
        {ctls, 4, 4, TDX_METADATA_FIELD_NOT_WRITABLE, 1},    /* VIRT_CPUID2 */
        {ctls, 1ull << 63, 1ull << 63, TDX_METADATA_FIELD_NOT_WRITABLE, 1}, /* and LOCK */
        {flags, 2, 2, TDX_METADATA_FIELD_NOT_WRITABLE, 4},
    };
    struct tdx_td *td = td_in(RUNNING, platform);
    uint64_t before = 0, old, now;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(tdg_vm_rd(td, cases[i].field, &before), TDX_SUCCESS);
        assert_int_equal(tdg_vm_wr(td, cases[i].field, cases[i].value, cases[i].mask, &old), cases[i].status);
        assert_int_equal(old, cases[i].status ? 0 : before);
        assert_int_equal(tdg_vm_rd(td, cases[i].field, &now), TDX_SUCCESS);
        assert_int_equal(now, cases[i].after);
    }
    assert_int_equal(tdg_vm_wr(td, 1, 0, 1, &old), TDX_METADATA_FIELD_ID_INCORRECT);
    tdx_td_free(td);
}

static void statuses_are_named(void **state)
{
    (void)state;
    char text[TDX_STATUS_TEXT_SIZE];
    assert_string_equal(tdx_status_text(text, TDX_OPERAND_INVALID | TDX_OPERAND_XFAM),
                        "OPERAND_INVALID (XFAM)");
    assert_string_equal(tdx_status_text(text, TDX_OPERAND_INVALID | 200), "OPERAND_INVALID (details 0xc8)");
    assert_string_equal(tdx_status_text(text, TDX_NO_VCPUS), "NO_VCPUS");
    assert_string_equal(tdx_status_text(text, 0xc000999900000001), "status 0xc000999900000001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_taken_in_their_state_only),
        cmocka_unit_test(parameters_that_the_module_does_not_take_are_refused),
        cmocka_unit_test(what_may_be_and_what_must_be_is_told),
        cmocka_unit_test(vcpus_are_numbered_up_to_their_maximum),
        cmocka_unit_test(addresses_must_be_private_and_aligned),
        cmocka_unit_test(mrtd_is_sha384_over_what_was_added_and_extended),
        cmocka_unit_test(rtmrs_are_extended_one_by_one),
        cmocka_unit_test(a_report_says_what_the_td_is),
        cmocka_unit_test(only_an_unchanged_report_of_this_processor_verifies),
        cmocka_unit_test(a_vcpu_learns_of_its_td),
        cmocka_unit_test(fields_are_read_by_their_identifiers),
        cmocka_unit_test(fields_are_written_as_far_as_a_guest_may),
        cmocka_unit_test(statuses_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
