#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/policy.h"

static int parse(struct policy *out, const char *text, struct cofre_err *err)
{
    return policy_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, err);
}

static void an_empty_policy_is_the_defaults(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", " {\"snp\": {}} \n"};
    for (size_t i = 0; i < 2; i++) {
        CLEAN_POLICY p;
        assert_int_equal(parse(&p, texts[i], NULL), 0);
        assert_int_equal(p.snp.max_vmpl, 0);
        assert_int_equal(p.snp.unknown_bits, POLICY_FORBIDDEN);
        assert_int_equal(p.snp.provisional_firmware, POLICY_FORBIDDEN);
        assert_int_equal(p.snp.measurement.count, 0);
        for (int b = 0; b < POLICY_SNP_GUEST_BITS; b++)
            assert_int_equal(p.snp.guest_policy[b], b < 2 ? POLICY_FORBIDDEN : POLICY_ANY);
        for (int b = 0; b < POLICY_SNP_PLATFORM_BITS; b++)
            assert_int_equal(p.snp.platform_info[b], POLICY_ANY);
    }
}

static void every_member_is_read(void **state)
{
    (void)state;
    CLEAN_POLICY p;
    struct cofre_err err = {""};
    int rc = parse(
        &p,
        "{\"snp\": {\"family_id\": [\"000102030405060708090a0b0c0d0e0f\", "
        "\"00112233445566778899AABBCCDDEEFF\"], \"chip_id\": [\"0102030405060708\"],"
        "\"csp_id\": [\"61\"], \"min_tcb\": {\"Turin\": {\"fmc\": 1, \"boot_loader\": 2, \"tee\": 3, "
        "\"snp\": 4, \"microcode\": 255}, \"Milan\": {}}, \"max_vmpl\": 3, \"min_guest_svn\": 4294967295,"
        "\"min_abi\": \"1.51\", \"mitigations\": \"ff00000000000001\", \"products\": [\"Turin\", \"Milan\"],"
        "\"guest_policy\": {\"debug\": \"any\", \"smt\": \"forbidden\"},"
        "\"platform_info\": {\"tio\": \"required\"}, \"unknown_bits\": \"any\", \"reference\": [\"web\", "
        "\"web 2\"]}}",
        &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    assert_int_equal(p.snp.family_id.count, 2);
    assert_int_equal(p.snp.family_id.item[1].data[15], 0xff);
    assert_int_equal(p.snp.chip_id.item[0].len, 64);
    assert_int_equal(p.snp.chip_id.item[0].data[7], 8);
    assert_int_equal(p.snp.csp_id.item[0].data[0], 'a');
    assert_int_equal(p.snp.reference.count, 2);
    assert_memory_equal(p.snp.reference.item[1].data, "web 2", 5);
    assert_memory_equal(p.snp.min_tcb[SNP_PRODUCT_TURIN].tcb.svn, ((uint8_t[]){1, 2, 3, 4, 255}), 5);
    assert_true(p.snp.min_tcb[SNP_PRODUCT_MILAN].given);
    assert_false(p.snp.min_tcb[SNP_PRODUCT_GENOA].given);
    assert_int_equal(p.snp.max_vmpl, 3);
    assert_int_equal(p.snp.min_guest_svn, UINT32_MAX);
    assert_int_equal(p.snp.min_abi, 0x133);
    assert_int_equal(p.snp.mitigations, 0xff00000000000001);
    assert_true(p.snp.product[SNP_PRODUCT_TURIN] && !p.snp.product[SNP_PRODUCT_GENOA]);
    assert_int_equal(p.snp.guest_policy[0], POLICY_ANY);
    assert_int_equal(p.snp.guest_policy[2], POLICY_FORBIDDEN);
    assert_int_equal(p.snp.platform_info[7], POLICY_REQUIRED);
}

static void every_member_of_tdx_is_read(void **state)
{
    (void)state;
#define X16(B) B B B B B B B B B B B B B B B B
#define X48(B) "[\"" X16(B) X16(B) X16(B) "\"]"
    CLEAN_POLICY p;
    struct cofre_err err = {""};
    /* clang-format off */
    int rc = parse(&p,
        "{\"tdx\": {\"mrtd\": " X48("01") ", \"rtmr0\": " X48("02") ", \"rtmr1\": " X48("03") ","
        "\"rtmr2\": " X48("04") ", \"rtmr3\": " X48("05") ", \"mrconfigid\": " X48("06") ","
        "\"mrowner\": " X48("07") ", \"mrownerconfig\": " X48("08") ", \"mrseam\": " X48("09") ","
        "\"mrsignerseam\": " X48("0a") ", \"mrservicetd\": " X48("0b") ","
        "\"platform_instance\": [\"" X16("0c") "\", \"" X16("0d") "\"],"
        "\"report_data\": \"" X16("0e") X16("0e") X16("0e") X16("0e") "\","
        "\"min_tee_tcb_svn\": \"" X16("0f") "\", \"xfam\": {\"mask\": \"600E7\", \"value\": \"e7\"},"
        "\"td_attributes\": {\"debug\": \"any\", \"pks\": \"required\"}, \"platform\": {\"smt\": \"forbidden\"},"
        "\"tcb_status\": [\"SWHardeningNeeded\", \"OutOfDate\"], \"reject_advisories\": [\"INTEL-SA-00001\"],"
        "\"min_tcb_date\": \"2023-11-14T22:13:20Z\", \"min_evaluation_data_number\": 17, \"grace_days\": 30,"
        "\"max_collateral_age_days\": 7, \"event_log\": \"required\", \"unknown_bits\": \"any\"}}", &err);
    /* clang-format on */
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    const struct policy_list *const digests[] = {&p.tdx.mrtd,         &p.tdx.rtmr[0],       &p.tdx.rtmr[1],
                                                 &p.tdx.rtmr[2],      &p.tdx.rtmr[3],       &p.tdx.mrconfigid,
                                                 &p.tdx.mrowner,      &p.tdx.mrownerconfig, &p.tdx.mrseam,
                                                 &p.tdx.mrsignerseam, &p.tdx.mrservicetd};
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
        assert_int_equal(digests[i]->count, 1);
        assert_int_equal(digests[i]->item[0].len, 48);
        assert_int_equal(digests[i]->item[0].data[47], i + 1);
    }
    assert_int_equal(p.tdx.platform_instance.count, 2);
    assert_int_equal(p.tdx.platform_instance.item[1].data[0], 0x0d);
    assert_int_equal(p.tdx.report_data.item[0].len, 64);
    assert_int_equal(p.tdx.min_tee_tcb_svn.item[0].data[15], 0x0f);
    assert_true(p.tdx.xfam.given && p.tdx.xfam.mask == 0x600e7 && p.tdx.xfam.value == 0xe7);
    assert_int_equal(p.tdx.td_attributes[0], POLICY_ANY);
    assert_int_equal(p.tdx.td_attributes[3], POLICY_REQUIRED);
    assert_int_equal(p.tdx.platform[2], POLICY_FORBIDDEN);
    assert_true(p.tdx.tcb_status[TDX_TCB_SW_HARDENING_NEEDED] && p.tdx.tcb_status[TDX_TCB_OUT_OF_DATE]);
    assert_false(p.tdx.tcb_status[TDX_TCB_UP_TO_DATE]);
    assert_int_equal(p.tdx.reject_advisories.item[0].len, 14);
    assert_int_equal(p.tdx.min_tcb_date, 1700000000);
    assert_int_equal(p.tdx.min_evaluation_data_number, 17);
    assert_int_equal(p.tdx.grace_days, 30);
    assert_int_equal(p.tdx.max_collateral_age_days, 7);
    assert_int_equal(p.tdx.event_log, POLICY_REQUIRED);
    assert_int_equal(p.tdx.unknown_bits, POLICY_ANY);
}

static void tdx_has_defaults(void **state)
{
    (void)state;
    CLEAN_POLICY p;
    assert_int_equal(parse(&p, "{\"tdx\": {}}", NULL), 0);
    static const enum policy_bit attributes[] = {POLICY_FORBIDDEN, POLICY_FORBIDDEN, POLICY_REQUIRED,
                                                 POLICY_ANY,       POLICY_ANY,       POLICY_ANY};
    for (size_t i = 0; i < POLICY_TDX_ATTRIBUTES; i++)
        assert_int_equal(p.tdx.td_attributes[i], attributes[i]);
    for (int i = 0; i < TDX_TCB_STATUSES; i++)
        assert_int_equal(p.tdx.tcb_status[i], i == TDX_TCB_UP_TO_DATE);
    assert_int_equal(p.tdx.unknown_bits, POLICY_FORBIDDEN);
    assert_int_equal(p.tdx.event_log, POLICY_ANY);
    assert_int_equal(p.tdx.grace_days, 0);
    assert_int_equal(p.tdx.max_collateral_age_days, 0);
    assert_false(p.tdx.xfam.given);
    assert_int_equal(p.tdx.mrtd.count, 0);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{} {}", "end of file"},
        {"{}x", "end of file"},
        {"{\"snp\": {\"max_vmpl\": 0, \"max_vmpl\": 3}}", "max_vmpl"},
        {"{\"snp\": {\"reference\": []}}", "snp.reference is an empty list"},
        {"{\"snp\": {\"reference\": [\"a/b\"]}}",
         "snp.reference has a value that is no name of a reference value"},
        {"{\"tdx\": {\"reference\": [7]}}", "tdx.reference"},
        {"{\"sev\": {}}", "sev"},
        {"{\"snp\": []}", "snp"},
        {"{\"snp\": {\"measurements\": []}}", "snp.measurements"},
        {"{\"snp\": {\"guest_policy\": {\"debugging\": \"any\"}}}", "snp.guest_policy.debugging"},
        {"{\"snp\": {\"guest_policy\": {\"debug\": true}}}", "snp.guest_policy.debug"},
        {"{\"snp\": {\"guest_policy\": {\"debug\": \"allowed\"}}}", "snp.guest_policy.debug"},
        {"{\"snp\": {\"guest_policy\": \"any\"}}", "snp.guest_policy"},
        {"{\"snp\": {\"platform_info\": {\"debug\": \"any\"}}}", "snp.platform_info.debug"},
        {"{\"snp\": {\"measurement\": []}}", "snp.measurement"},
        {"{\"snp\": {\"measurement\": \"00\"}}", "snp.measurement"},
        {"{\"snp\": {\"measurement\": [\"00\"]}}", "snp.measurement[0]"},
        {"{\"snp\": {\"family_id\": [\"000102030405060708090a0b0c0d0e0f\", 7]}}", "snp.family_id[1]"},
        {"{\"snp\": {\"family_id\": [\"000102030405060708090a0b0c0d0e0g\"]}}", "snp.family_id[0]"},
        {"{\"snp\": {\"csp_id\": [\"\"]}}", "snp.csp_id[0]"},
        {"{\"snp\": {\"report_data\": \"00\"}}", "snp.report_data"},
        {"{\"snp\": {\"report_data\": []}}", "snp.report_data"},
        {"{\"snp\": {\"max_vmpl\": 4}}", "snp.max_vmpl"},
        {"{\"snp\": {\"max_vmpl\": -1}}", "snp.max_vmpl"},
        {"{\"snp\": {\"max_vmpl\": 1.0}}", "snp.max_vmpl"},
        {"{\"snp\": {\"max_vmpl\": \"0\"}}", "snp.max_vmpl"},
        {"{\"snp\": {\"min_guest_svn\": 4294967296}}", "snp.min_guest_svn"},
        {"{\"snp\": {\"min_guest_svn\": 99999999999999999999}}", "JSON"},
        {"{\"snp\": {\"min_abi\": \"1\"}}", "snp.min_abi"},
        {"{\"snp\": {\"min_abi\": \"1.256\"}}", "snp.min_abi"},
        {"{\"snp\": {\"min_abi\": 1.51}}", "snp.min_abi"},
        {"{\"snp\": {\"mitigations\": \"\"}}", "snp.mitigations"},
        {"{\"snp\": {\"mitigations\": \"00000000000000001\"}}", "snp.mitigations"},
        {"{\"snp\": {\"mitigations\": 3}}", "snp.mitigations"},
        {"{\"snp\": {\"products\": []}}", "snp.products"},
        {"{\"snp\": {\"products\": [\"milan\"]}}", "snp.products"},
        {"{\"snp\": {\"products\": [\"Bergamo\"]}}", "snp.products"},
        {"{\"snp\": {\"min_tcb\": {}}}", "snp.min_tcb"},
        {"{\"snp\": {\"min_tcb\": {\"Rome\": {}}}}", "snp.min_tcb"},
        {"{\"snp\": {\"min_tcb\": {\"Milan\": {\"fmc\": 1}}}}", "snp.min_tcb.Milan"},
        {"{\"snp\": {\"min_tcb\": {\"Milan\": {\"snp\": 256}}}}", "snp.min_tcb.Milan.snp"},
        {"{\"snp\": {\"min_tcb\": {\"Milan\": {\"ucode\": 1}}}}", "snp.min_tcb.Milan.ucode"},
        {"{\"snp\": {\"min_tcb\": {\"Milan\": 1}}}", "snp.min_tcb.Milan"},
        {"{\"snp\": {\"unknown_bits\": null}}", "snp.unknown_bits"},
        {"{\"snp\": {\"a\\nb\": 1}}", "snp.a?b"},
        {"{\"tdx\": []}", "tdx"},
        {"{\"tdx\": {\"measurement\": [\"00\"]}}", "tdx.measurement"},
        {"{\"tdx\": {\"mrtd\": []}}", "tdx.mrtd"},
        {"{\"tdx\": {\"rtmr3\": [\"00\"]}}", "tdx.rtmr3[0]"},
        {"{\"tdx\": {\"rtmr4\": [\"00\"]}}", "tdx.rtmr4"},
        {"{\"tdx\": {\"mrservicetd\": \"00\"}}", "tdx.mrservicetd"},
        {"{\"tdx\": {\"platform_instance\": [\"00112233445566778899aabbccddeeff00\"]}}",
         "tdx.platform_instance[0]"},
        {"{\"tdx\": {\"report_data\": [\"00\"]}}", "tdx.report_data"},
        {"{\"tdx\": {\"min_tee_tcb_svn\": \"0506\"}}", "tdx.min_tee_tcb_svn"},
        {"{\"tdx\": {\"min_tee_tcb_svn\": 5}}", "tdx.min_tee_tcb_svn"},
        {"{\"tdx\": {\"td_attributes\": {\"tud\": \"any\"}}}", "tdx.td_attributes.tud"},
        {"{\"tdx\": {\"td_attributes\": {\"debug\": false}}}", "tdx.td_attributes.debug"},
        {"{\"tdx\": {\"platform\": {\"debug\": \"any\"}}}", "tdx.platform.debug"},
        {"{\"tdx\": {\"xfam\": \"e7\"}}", "tdx.xfam"},
        {"{\"tdx\": {\"xfam\": {\"mask\": \"e7\"}}}", "tdx.xfam"},
        {"{\"tdx\": {\"xfam\": {\"mask\": \"e7\", \"value\": \"100\"}}}", "tdx.xfam"},
        {"{\"tdx\": {\"xfam\": {\"mask\": 7, \"value\": \"7\"}}}", "tdx.xfam.mask"},
        {"{\"tdx\": {\"tcb_status\": []}}", "tdx.tcb_status"},
        {"{\"tdx\": {\"tcb_status\": \"UpToDate\"}}", "tdx.tcb_status"},
        {"{\"tdx\": {\"tcb_status\": [\"uptodate\"]}}", "tdx.tcb_status"},
        {"{\"tdx\": {\"tcb_status\": [7]}}", "tdx.tcb_status"},
        {"{\"tdx\": {\"tcb_status\": [\"UpToDate\", \"Revoked\"]}}", "Revoked"},
        {"{\"tdx\": {\"reject_advisories\": [\"\"]}}", "tdx.reject_advisories"},
        {"{\"tdx\": {\"reject_advisories\": [\"INTEL-SA-00001\", 1]}}", "tdx.reject_advisories"},
        {"{\"tdx\": {\"reject_advisories\": []}}", "tdx.reject_advisories"},
        {"{\"tdx\": {\"min_tcb_date\": \"2024\"}}", "tdx.min_tcb_date"},
        {"{\"tdx\": {\"min_tcb_date\": 1700000000}}", "tdx.min_tcb_date"},
        {"{\"tdx\": {\"min_evaluation_data_number\": -1}}", "tdx.min_evaluation_data_number"},
        {"{\"tdx\": {\"grace_days\": 36501}}", "tdx.grace_days"},
        {"{\"tdx\": {\"max_collateral_age_days\": 36501}}", "tdx.max_collateral_age_days"},
        {"{\"tdx\": {\"event_log\": true}}", "tdx.event_log"},
        {"{\"tdx\": {\"events\": []}}", "tdx.events"},
        {"{\"tdx\": {\"events\": [{\"rtmr\": 1}]}}", "tdx.events[0]"},
        {"{\"tdx\": {\"events\": [{\"rtmr\": 4, \"digest\": [\"00\"]}]}}", "tdx.events[0].rtmr"},
        {"{\"tdx\": {\"unknown_bits\": 0}}", "tdx.unknown_bits"},
        {"{\"tdx\": {\"grace_days\": 1, \"grace_days\": 2}}", "grace_days"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy p;
        struct cofre_err err = {""};
        assert_int_equal(parse(&p, cases[i].text, &err), -COFRE_USAGE);
        if (!strstr(err.text, cases[i].named))
            fail_msg("%s: \"%s\" does not name %s", cases[i].text, err.text, cases[i].named);
    }
}

static void deep_nesting_is_refused_before_it_is_parsed(void **state)
{
    (void)state;
    static char deep[200001];
    struct policy p;
    struct cofre_err err = {""};
    for (size_t i = 0; i < 100000; i++)
        memcpy(deep + 2 * i, i % 2 ? "[ " : "[[", 2);
    assert_int_equal(parse(&p, deep, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "nested"));
    memset(deep, '{', 9);
    deep[9] = 0;
    assert_int_equal(parse(&p, deep, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "nested"));
    assert_int_equal(parse(&p, "{\"snp\": {\"[[[[[[[[[[\\\"{{{{{{\": 1}}", &err),
                     -COFRE_USAGE); /* text is no level */
    assert_null(strstr(err.text, "nested"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_policy_is_the_defaults),
        cmocka_unit_test(every_member_is_read),
        cmocka_unit_test(every_member_of_tdx_is_read),
        cmocka_unit_test(tdx_has_defaults),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(deep_nesting_is_refused_before_it_is_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
