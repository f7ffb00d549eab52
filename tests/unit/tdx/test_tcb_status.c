/* What a platform's levels come to: every pair of statuses, the choice of levels, and the advice to relaunch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/qe_identity.h"
#include "tdx/tcb_info.h"

#define UP   TDX_TCB_UP_TO_DATE
#define SW   TDX_TCB_SW_HARDENING_NEEDED
#define CN   TDX_TCB_CONFIGURATION_NEEDED
#define CS   TDX_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED
#define OLD  TDX_TCB_OUT_OF_DATE
#define OCN  TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED
#define TRA  TDX_TCB_TD_RELAUNCH_ADVISED
#define TRC  TDX_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
#define GONE TDX_TCB_REVOKED

/* Platform, then what it is with a part that is up to date, out of date, revoked. */
static const enum tdx_tcb_status matrix[][4] = {
    {UP, UP, OLD, GONE},   {SW, SW, OLD, GONE},   {CN, CN, OCN, GONE},
    {CS, CS, OCN, GONE},   {OLD, OLD, OLD, GONE}, {OCN, OCN, OCN, GONE},
    {TRA, TRA, TRA, GONE}, {TRC, TRC, TRC, GONE}, {GONE, GONE, GONE, GONE},
};
static const enum tdx_tcb_status part[] = {UP, OLD, GONE};

static void converges_by_intels_table(void **state)
{
    (void)state;
    assert_int_equal(sizeof matrix / sizeof *matrix, TDX_TCB_STATUSES);
    for (size_t i = 0; i < TDX_TCB_STATUSES; i++)
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(tdx_tcb_status_converge(matrix[i][0], part[k]), matrix[i][1 + k]);
}

static void names_read_back(void **state)
{
    (void)state;
    enum tdx_tcb_status status;
    for (int i = 0; i < TDX_TCB_STATUSES; i++) {
        assert_true(tdx_tcb_status_named(&status, tdx_tcb_status_name((enum tdx_tcb_status)i)));
        assert_int_equal(status, i);
    }
    assert_false(tdx_tcb_status_named(&status, "Uptodate"));
    assert_false(tdx_tcb_status_named(&status, ""));
}

/* A platform with two levels, modules of versions 1 and 3, and an enclave; one that meets the best of each. */
static struct tdx_tcb_level level[2];
static struct tdx_isv_level module1[2], module3[2], enclave[2];
static struct tdx_module_identity identity[2];
static struct tdx_tcb_info info;
static struct tdx_qe_identity qe;
static struct tdx_tcb_seen seen;

static int set_up(void **state)
{
    (void)state;
    level[0] = (struct tdx_tcb_level){
        .sgx = {3, 3, 2, 2}, .tdx = {5, 0, 6}, .pce_svn = 13, .status = UP, .date = 500};
    level[1] = (struct tdx_tcb_level){
        .sgx = {2, 2, 2, 2}, .tdx = {4, 0, 5}, .pce_svn = 11, .status = OLD, .date = 300};
    module1[0] = (struct tdx_isv_level){.isv_svn = 6, .status = UP, .date = 450};
    module1[1] = (struct tdx_isv_level){.isv_svn = 4, .status = OLD, .date = 350};
    module3[0] = (struct tdx_isv_level){.isv_svn = 9, .status = UP, .date = 450};
    module3[1] = (struct tdx_isv_level){.isv_svn = 7, .status = OLD, .date = 350};
    enclave[0] = (struct tdx_isv_level){.isv_svn = 4, .status = UP, .date = 420};
    enclave[1] = (struct tdx_isv_level){.isv_svn = 2, .status = OLD, .date = 320};
    identity[0] = (struct tdx_module_identity){.version = 1, .levels = {module1, 2}};
    identity[1] = (struct tdx_module_identity){.version = 3, .levels = {module3, 2}};
    info = (struct tdx_tcb_info){.identity = identity, .identities = 2, .level = level, .levels = 2};
    qe = (struct tdx_qe_identity){.levels = {enclave, 2}};
    seen = (struct tdx_tcb_seen){.sgx = {3, 3, 2, 2}, .pce_svn = 13, .tdx = {6, 1, 6}, .qe_isv_svn = 4};
    return 0;
}

static struct tdx_tcb_found found;
static struct cofre_err why;

static void must_be(enum tdx_tcb_status status, int64_t date)
{
    why.text[0] = 0;
    assert_int_equal(tdx_tcb_find(&found, &info, &qe, &seen, &why), 0);
    assert_string_equal(tdx_tcb_status_name(found.status), tdx_tcb_status_name(status));
    assert_int_equal(found.date, date);
}

static void must_be_unsupported(const char *word)
{
    why.text[0] = 0;
    assert_int_equal(tdx_tcb_find(&found, &info, &qe, &seen, &why), -COFRE_NEGATIVE);
    assert_non_null(strstr(why.text, word));
}

static void takes_the_earliest_date(void **state)
{
    (void)state;
    must_be(UP, 420);
    enclave[0].date = 460;
    must_be(UP, 450);
    module1[0].date = 600;
    must_be(UP, 460);
    enclave[0].date = 700;
    must_be(UP, 500);
}

/* Every triple: the platform's status with the module's, then with the enclave's. */
static void converges_platform_module_and_enclave(void **state)
{
    (void)state;
    for (size_t i = 0; i < TDX_TCB_STATUSES; i++)
        for (size_t m = 0; m < 3; m++)
            for (size_t e = 0; e < 3; e++) {
                if (matrix[i][0] == TRA || matrix[i][0] == TRC)
                    continue; /* of no level */
                level[0].status = matrix[i][0];
                module1[0].status = part[m];
                enclave[0].status = part[e];
                bool gone = matrix[i][0] == GONE || part[m] == GONE || part[e] == GONE;
                bool old = part[m] == OLD || part[e] == OLD;
                must_be(gone ? GONE : matrix[i][old ? 2 : 1], 420);
            }
}

/* A verifier once took the module's status in place of the platform's. */
static void a_module_that_is_up_to_date_does_not_hide_an_old_platform(void **state)
{
    (void)state;
    seen.sgx[0] = 2;
    must_be(OLD, 300);
    assert_ptr_equal(found.platform, &level[1]);
    assert_int_equal(found.module->status, UP);
}

static void each_component_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < TDX_TCB_COMPONENTS; i++) {
        set_up(NULL);
        level[0].sgx[i] = 4;
        seen.sgx[i] = 4;
        must_be(UP, 420);
        seen.sgx[i] = 3;
        level[1].sgx[i] = 0;
        must_be(OLD, 300);
        assert_ptr_equal(found.sgx, &level[1]);
    }
    for (size_t i = 0; i < TDX_TCB_COMPONENTS; i++) {
        set_up(NULL);
        level[0].tdx[i] = 200;
        if (i < 2) {
            must_be(UP, 420); /* they are the module's and left to its identity */
            continue;
        }
        must_be(OLD, 300);
        assert_ptr_equal(found.sgx, &level[0]);
        assert_ptr_equal(found.platform, &level[1]);
    }
    set_up(NULL);
    seen.pce_svn = 12;
    must_be(OLD, 300);
    seen.pce_svn = 10;
    must_be_unsupported("PCE SVN");
}

static void without_a_module_version_the_components_decide(void **state)
{
    (void)state;
    seen.tdx[1] = 0;
    seen.tdx[0] = 5;
    must_be(UP, 420);
    assert_null(found.module);
    seen.tdx[0] = 4;
    must_be(OLD, 300);
    seen.tdx[0] = 3;
    must_be_unsupported("TDX components");
}

static void what_no_level_knows_is_not_supported(void **state)
{
    (void)state;
    seen.tdx[1] = 2;
    must_be_unsupported("version 2");
    set_up(NULL);
    seen.tdx[0] = 3;
    must_be_unsupported("TDX module");
    set_up(NULL);
    seen.qe_isv_svn = 1;
    must_be_unsupported("quoting enclave");
    set_up(NULL);
    seen.sgx[3] = 1;
    must_be_unsupported("SGX components");
    set_up(NULL);
    seen.tdx[2] = 4;
    must_be_unsupported("TDX components");
}

static void a_revoked_level_of_sgx_alone_revokes(void **state)
{
    (void)state;
    level[0].status = GONE;
    seen.tdx[2] = 5;
    must_be(GONE, 300);
    assert_ptr_equal(found.platform, &level[1]);
}

static void an_old_module_with_a_new_one_loaded_advises_a_relaunch(void **state)
{
    (void)state;
    static const struct {
        enum tdx_tcb_status platform, with_new, without;
    } cases[] = {{UP, TRA, OLD},  {SW, TRA, OLD},  {CN, TRC, OCN},    {CS, TRC, OCN},
                 {OLD, OLD, OLD}, {OCN, OCN, OCN}, {GONE, GONE, GONE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_up(NULL);
        level[0].status = cases[i].platform;
        seen.tdx[0] = 4; /* the module when the TD was started */
        must_be(cases[i].without, 350);
        seen.has_tdx_2 = true;
        memcpy(seen.tdx_2, (uint8_t[16]){9, 3, 6}, 16);
        must_be(cases[i].with_new, 350);
        memcpy(seen.tdx_2, (uint8_t[16]){8, 3, 6}, 16); /* not the latest of version 3 */
        must_be(cases[i].without, 350);
        memcpy(seen.tdx_2, (uint8_t[16]){9, 3, 5}, 16); /* microcode not the latest */
        must_be(cases[i].without, 350);
        memcpy(seen.tdx_2, (uint8_t[16]){5, 0, 6}, 16); /* a module without identity: components */
        must_be(cases[i].with_new, 350);
        memcpy(seen.tdx_2, (uint8_t[16]){4, 0, 6}, 16);
        must_be(cases[i].without, 350);
    }
}

/* The latest module can be bad itself, the one that the TD was started under among them. */
static void a_relaunch_under_a_bad_module_is_not_advised(void **state)
{
    (void)state;
    static const enum tdx_tcb_status bad[] = {OLD, GONE};
    for (size_t i = 0; i < 2; i++) {
        set_up(NULL);
        seen.tdx[0] = 4;
        seen.has_tdx_2 = true;
        memcpy(seen.tdx_2, (uint8_t[16]){9, 3, 6}, 16);
        must_be(TRA, 350);
        module3[0].status = bad[i];
        must_be(OLD, 350);
    }
    set_up(NULL);
    module1[0].status = OLD;
    seen.has_tdx_2 = true;
    memcpy(seen.tdx_2, seen.tdx, 16);
    must_be(OLD, 420);
}

static void a_relaunch_mends_no_enclave_and_no_platform(void **state)
{
    (void)state;
    seen.tdx[0] = 4;
    seen.has_tdx_2 = true;
    memcpy(seen.tdx_2, (uint8_t[16]){6, 1, 6}, 16);
    must_be(TRA, 350);
    seen.qe_isv_svn = 2;
    must_be(OLD, 320);
    enclave[1].status = GONE;
    must_be(GONE, 320);
    set_up(NULL);
    seen.has_tdx_2 = true;
    memcpy(seen.tdx_2, (uint8_t[16]){6, 1, 6}, 16);
    seen.tdx[2] = 5; /* old microcode, module up to date */
    must_be(OLD, 300);
}

static void a_loaded_module_that_intel_does_not_know_is_not_supported(void **state)
{
    (void)state;
    seen.tdx[0] = 4;
    seen.has_tdx_2 = true;
    memcpy(seen.tdx_2, (uint8_t[16]){6, 2, 6}, 16);
    must_be_unsupported("loaded now");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converges_by_intels_table),
        cmocka_unit_test(names_read_back),
        cmocka_unit_test_setup(takes_the_earliest_date, set_up),
        cmocka_unit_test_setup(converges_platform_module_and_enclave, set_up),
        cmocka_unit_test_setup(a_module_that_is_up_to_date_does_not_hide_an_old_platform, set_up),
        cmocka_unit_test(each_component_counts),
        cmocka_unit_test_setup(without_a_module_version_the_components_decide, set_up),
        cmocka_unit_test_setup(what_no_level_knows_is_not_supported, set_up),
        cmocka_unit_test_setup(a_revoked_level_of_sgx_alone_revokes, set_up),
        cmocka_unit_test(an_old_module_with_a_new_one_loaded_advises_a_relaunch),
        cmocka_unit_test(a_relaunch_under_a_bad_module_is_not_advised),
        cmocka_unit_test_setup(a_relaunch_mends_no_enclave_and_no_platform, set_up),
        cmocka_unit_test_setup(a_loaded_module_that_intel_does_not_know_is_not_supported, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
