/* TCB info and QE identity: documents as Intel writes them are read, and each member that is not as it should be is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/qe_identity.h"

#define Z8  "0000000000000000"
#define Z16 Z8 Z8
#define Z48 Z16 Z16 Z16
#define C4  "{\"svn\":1},{\"svn\":2},{\"svn\":3},{\"svn\":4},"
#define C16 C4 C4 C4 "{\"svn\":5},{\"svn\":6},{\"svn\":7},{\"svn\":255,\"category\":\"BIOS\"}"
#define LEVEL(PCE, STATUS)                                                                                   \
    "{\"tcb\":{\"sgxtcbcomponents\":[" C16 "],\"pcesvn\":" PCE ",\"tdxtcbcomponents\":[" C16                 \
    "]},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"" STATUS "\",\"advisoryIDs\":[\"INTEL-SA-1\"]}"
#define ISV_LEVEL(SVN, STATUS)                                                                               \
    "{\"tcb\":{\"isvsvn\":" SVN "},\"tcbDate\":\"2024-03-14T00:00:00Z\",\"tcbStatus\":\"" STATUS "\"}"
#define MODULE "\"mrsigner\":\"" Z48 "\",\"attributes\":\"" Z8 "\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\""
#define DATES                                                                                                \
    "\"issueDate\":\"2025-06-19T10:16:03Z\",\"nextUpdate\":\"2025-07-19T10:16:03Z\","                        \
    "\"tcbEvaluationDataNumber\":17,"

static const char tcb_info[] =
    "{\"id\":\"TDX\",\"version\":3," DATES "\"fmspc\":\"B0c06F000000\",\"pceId\":\"0001\",\"tcbType\":0,"
    "\"tdxModule\":{" MODULE "},\"tdxModuleIdentities\":[{\"id\":\"TDX_0a\"," MODULE
    ",\"tcbLevels\":[" ISV_LEVEL("2", "OutOfDate") "," ISV_LEVEL(
        "4", "UpToDate") "]},{\"id\":\"TDX_01\"," MODULE
                         ",\"tcbLevels\":[" ISV_LEVEL("2", "Revoked") "]}],\"tcbLevels\":[" LEVEL(
                             "5", "OutOfDate") "," LEVEL("11", "UpToDate") "]}";

static const char qe_identity[] =
    "{\"id\":\"TD_QE\",\"version\":2," DATES
    "\"miscselect\":\"01000000\",\"miscselectMask\":\"FFFFFFFF\",\"attributes\":\"11" Z8
    "00000000000000\",\"attributesMask\":\"FBFFFFFFFFFFFFFF" Z8 "\",\"mrsigner\":\"DC" Z16
    "000000000000000000000000000000\",\"isvprodid\":2,\"tcbLevels\":[" ISV_LEVEL(
        "4", "UpToDate") "," ISV_LEVEL("6", "UpToDate") "]}";

static struct view view_of(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

static void every_member_of_tcb_info_is_read(void **state)
{
    (void)state;
    struct tdx_tcb_info info;
    struct cofre_err err = {""};
    if (tdx_tcb_info_parse(&info, view_of(tcb_info), &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(info.issue_date, 1750328163);
    assert_int_equal(info.next_update, 1752920163);
    assert_memory_equal(info.fmspc, "\xb0\xc0\x6f\0\0\0", 6);
    assert_memory_equal(info.pce_id, "\0\1", 2);
    assert_int_equal(info.evaluation_number, 17);
    assert_int_equal(info.module.attributes_mask[7], 0xff);
    assert_int_equal(info.identities, 2);
    assert_int_equal(info.identity[0].version, 10);
    assert_int_equal(info.identity[0].levels.level[0].isv_svn, 4); /* sorted here */
    assert_int_equal(info.identity[0].levels.level[1].status, TDX_TCB_OUT_OF_DATE);
    assert_int_equal(info.levels, 2);
    assert_int_equal(info.level[0].pce_svn, 11); /* sorted here */
    assert_int_equal(info.level[0].status, TDX_TCB_UP_TO_DATE);
    assert_int_equal(info.level[0].sgx[15], 255);
    assert_int_equal(info.level[0].tdx[14], 7);
    assert_int_equal(info.level[0].date, 1710288000);
    assert_string_equal(json_string_value(json_array_get(info.level[0].advisories, 0)), "INTEL-SA-1");
    assert_ptr_equal(tdx_tcb_info_module(&info, (uint8_t[16]){5, 10}), &info.identity[0]);
    assert_ptr_equal(tdx_tcb_info_module(&info, (uint8_t[16]){5, 0}), &info.module);
    assert_null(tdx_tcb_info_module(&info, (uint8_t[16]){5, 2}));
    tdx_tcb_info_free(&info);
}

static void every_member_of_a_qe_identity_is_read(void **state)
{
    (void)state;
    struct tdx_qe_identity qe;
    struct cofre_err err = {""};
    if (tdx_qe_identity_parse(&qe, view_of(qe_identity), &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(qe.issue_date, 1750328163);
    assert_int_equal(qe.miscselect, 1);
    assert_int_equal(qe.miscselect_mask, 0xffffffff);
    assert_int_equal(qe.attributes[0], 0x11);
    assert_int_equal(qe.attributes_mask[0], 0xfb);
    assert_int_equal(qe.mrsigner[0], 0xdc);
    assert_int_equal(qe.isv_prod_id, 2);
    assert_int_equal(qe.levels.level[0].isv_svn, 6);
    assert_null(tdx_isv_levels_find(&qe.levels, 3));
    assert_int_equal(tdx_isv_levels_find(&qe.levels, 5)->isv_svn, 4);
    tdx_qe_identity_free(&qe);
}

/* Changes that make a document malformed: the first `was` becomes `is`; the sentence has `word`. */
struct change {
    const char *was, *is, *word;
};

static const struct change bad_tcb_info[] = {
    {"\"id\":\"TDX\"", "\"id\":\"SGX\"", "id"},
    {"\"id\":\"TDX\",", "", "id"},
    {"\"version\":3", "\"version\":2", "version"},
    {"\"version\":3", "\"version\":4", "version"},
    {"\"version\":3", "\"version\":3.0", "version"},
    {"2025-06-19T10", "2025-06-31T10", "issueDate"},
    {"2025-06-19T10:16:03Z", "2025-06-19T10:16:03", "issueDate"},
    {"\"nextUpdate\":\"2025-07-19T10:16:03Z\",", "", "nextUpdate"},
    {"\"tcbEvaluationDataNumber\":17", "\"tcbEvaluationDataNumber\":-1", "tcbEvaluationDataNumber"},
    {"\"tcbEvaluationDataNumber\":17", "\"tcbEvaluationDataNumber\":\"17\"", "tcbEvaluationDataNumber"},
    {"B0c06F000000", "B0c06F0000", "fmspc"},
    {"B0c06F000000", "B0c06F00000g", "fmspc"},
    {"\"pceId\":\"0001\"", "\"pceId\":1", "pceId"},
    {"\"tcbType\":0", "\"tcbType\":1", "tcbType"},
    {"\"tcbType\":0,", "", "tcbType"},
    {"\"tdxModule\":{", "\"tdxModule\":null,\"x\":{", "tdxModule"},
    {"\"tdxModule\":{\"mrsigner\":\"00", "\"tdxModule\":{\"mrsigner\":\"", "mrsigner"},
    {"FFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFF", "attributesMask"},
    {"\"tdxModuleIdentities\":[", "\"tdxModuleIdentities\":{},\"x\":[", "tdxModuleIdentities"},
    {"\"tdxModuleIdentities\":[", "\"tdxModuleIdentities\":[],\"x\":[", "tdxModuleIdentities"},
    {"TDX_01", "TDX_0a", "second"},
    {"TDX_01", "TDX_0A", "second"},
    {"TDX_01", "TDX_1", "tdxModuleIdentities[1]"},
    {"TDX_01", "TDX_011", "id"},
    {"TDX_01", "SGX_01", "id"},
    {"\"isvsvn\":2", "\"isvsvn\":65536", "isvsvn"},
    {"\"isvsvn\":2", "\"isvsvn\":4", "twice"},
    {"\"tcbStatus\":\"Revoked\"", "\"tcbStatus\":\"SWHardeningNeeded\"", "tcbStatus"},
    {"\"pcesvn\":5", "\"pcesvn\":65536", "pcesvn"},
    {"\"pcesvn\":5", "\"pcesvn\":11", "twice"},
    {"\"pcesvn\":5", "\"pcesvn\":99999999999999999999", "JSON"},
    {"\"sgxtcbcomponents\":[{\"svn\":1},", "\"sgxtcbcomponents\":[", "15"},
    {"\"sgxtcbcomponents\":[", "\"sgxtcbcomponents\":[{\"svn\":1},", "17"},
    {"\"tdxtcbcomponents\":[{\"svn\":1},", "\"tdxtcbcomponents\":[", "15"},
    {"\"tdxtcbcomponents\":[", "\"tdxtcbcomponents\":[{\"svn\":1},", "17"},
    {"{\"svn\":3}", "{\"svn\":256}", "svn"},
    {"{\"svn\":3}", "{\"svn\":-1}", "svn"},
    {"{\"svn\":3}", "3", "svn"},
    {"{\"svn\":3}", "{\"svn\":3,\"svn\":200}", "duplicate"},
    {"\"tcbStatus\":\"OutOfDate\",\"adv", "\"tcbStatus\":\"Outofdate\",\"adv", "tcbStatus"},
    {"\"tcbStatus\":\"OutOfDate\",\"adv", "\"tcbStatus\":\"TDRelaunchAdvised\",\"adv", "tcbStatus"},
    {"\"tcbStatus\":\"OutOfDate\",\"adv", "\"adv", "tcbStatus"},
    {"[\"INTEL-SA-1\"]", "\"INTEL-SA-1\"", "advisoryIDs"},
    {"[\"INTEL-SA-1\"]", "[1]", "advisoryIDs"},
    {"\"tcbType\":0", "\"tcbType\":0,\"tcbType\":0", "duplicate"},
    {"\"tcbType\":0", "\"tcbType\":0,\"x\":[[[[[[[[[]]]]]]]]]", "deep"},
    {"{\"id\":\"TDX\"", "[{\"id\":\"TDX\"", "JSON"},
};

static const struct change bad_qe_identity[] = {
    {"TD_QE", "QE", "id"},
    {"\"version\":2", "\"version\":3", "version"},
    {"\"miscselect\":\"01", "\"miscselect\":\"", "miscselect"},
    {"\"miscselectMask\":\"FFFFFFFF\",", "", "miscselectMask"},
    {"\"attributes\":\"11", "\"attributes\":\"", "attributes"},
    {"\"attributesMask\":\"FB", "\"attributesMask\":\"00FB", "attributesMask"},
    {"\"mrsigner\":\"DC", "\"mrsigner\":\"", "mrsigner"},
    {"\"isvprodid\":2", "\"isvprodid\":65536", "isvprodid"},
    {"\"isvsvn\":4", "\"isvsvn\":6", "twice"},
    {"\"tcbLevels\":[", "\"tcbLevels\":[],\"x\":[", "tcbLevels"},
    {"UpToDate", "Unknown", "tcbStatus"},
};

static int parse_tcb_info(const char *text, struct cofre_err *err)
{
    struct tdx_tcb_info info;
    int rc = tdx_tcb_info_parse(&info, view_of(text), err);
    if (rc == 0)
        tdx_tcb_info_free(&info);
    return rc;
}

static int parse_qe_identity(const char *text, struct cofre_err *err)
{
    struct tdx_qe_identity qe;
    int rc = tdx_qe_identity_parse(&qe, view_of(text), err);
    if (rc == 0)
        tdx_qe_identity_free(&qe);
    return rc;
}

static void must_refuse(int (*parse)(const char *, struct cofre_err *), const char *text,
                        const struct change *c)
{
    const char *at = strstr(text, c->was);
    char *changed = NULL;
    struct cofre_err err = {""};
    assert_non_null(at);
    assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, c->is, at + strlen(c->was)) > 0);
    int rc = parse(changed, &err);
    if (rc != -COFRE_MALFORMED || !strstr(err.text, c->word))
        fail_msg("%s -> %s: %d, %s", c->was, c->is, rc, err.text);
    free(changed);
}

static void what_is_not_as_it_should_be_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_tcb_info / sizeof *bad_tcb_info; i++)
        must_refuse(parse_tcb_info, tcb_info, &bad_tcb_info[i]);
    for (size_t i = 0; i < sizeof bad_qe_identity / sizeof *bad_qe_identity; i++)
        must_refuse(parse_qe_identity, qe_identity, &bad_qe_identity[i]);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(tcb_info); len++) {
        char *cut = strndup(tcb_info, len);
        assert_int_equal(parse_tcb_info(cut, NULL), -COFRE_MALFORMED);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_of_tcb_info_is_read),
        cmocka_unit_test(every_member_of_a_qe_identity_is_read),
        cmocka_unit_test(what_is_not_as_it_should_be_is_refused),
        cmocka_unit_test(every_cut_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
