/* The same with quotes of an emulated TD: a channel, and a relay. What does not depend on the evidence is in test_channel.c. */
#include "tests/unit/channel/ends.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "attest/channel/judge.h"
#include "tdx/collateral.h"
#include "tests/unit/tdx_model/fixture.h"

static struct tdx_platform *platform;
static struct tdx_td *td;
static struct x509_certs roots;
static struct tdx_collateral collateral;
static struct policy policy;
static struct channel_identity key;

static int setup_all(void **state)
{
    CLEAN_BYTES root = {0}, file = {0};
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    platform = open_platform(0);
    td = td_in(RUNNING, platform);
    policy_init(&policy);
    assert_int_equal(tdx_platform_root(platform, &root, NULL), 0);
    assert_int_equal(x509_certs_add(&roots, bytes_view(&root), NULL), 0);
    assert_int_equal(tdx_platform_collateral(platform, time(NULL), &file, NULL), 0);
    assert_int_equal(tdx_collateral_parse(&collateral, bytes_view(&file), NULL), 0);
    return channel_identity_new(&key, NULL);
}

static int teardown_all(void **state)
{
    (void)state;
    channel_identity_free(&key);
    policy_free(&policy);
    x509_certs_free(&roots);
    tdx_collateral_free(&collateral);
    tdx_td_free(td);
    tdx_platform_close(platform);
    return 0;
}

/* context: a bit that is wrong, as evidence for another channel would have; or NULL. */
static int quote_evidence(void *context, struct bytes *file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                          struct cofre_err *err)
{
    uint8_t data[CHANNEL_REPORT_DATA];
    struct tdx_report report;
    CLEAN_EVIDENCE evidence = {.tee = "tdx"};
    memcpy(data, report_data, sizeof data);
    data[63] ^= context != NULL;
    if (tdg_mr_report(td, data, &report) != TDX_SUCCESS)
        return cofre_fail(err, COFRE_FAILED, "no TDREPORT");
    int rc = tdx_platform_quote(platform, &report, &evidence.report, err);
    return rc < 0 ? rc : evidence_write(file, &evidence, err);
}

static int meet(struct channel_judge *judge, void *wrong, struct cofre_err *err)
{
    int fd[2];
    struct side verifier = {
        .options = {.end = CHANNEL_CLIENT, .acts = {.context = judge, .judge = channel_judge}}};
    struct side guest = {.options = {.end = CHANNEL_SERVER,
                                     .identity = &key,
                                     .acts = {.context = wrong, .evidence = quote_evidence}}};
    two_sockets(fd);
    side_open(&verifier, fd[0]);
    side_open(&guest, fd[1]);
    side_join(&verifier);
    side_join(&guest);
    side_free(&verifier);
    side_free(&guest);
    *err = verifier.err;
    return verifier.rc;
}

static void a_quote_binds_a_channel(void **state)
{
    (void)state;
    struct cofre_err err;
    struct channel_judge judge = {
        .by = {.policy = &policy, .roots = &roots, .collateral = &collateral, .at = time(NULL)}};
    if (meet(&judge, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(verdict_check(&judge.verdict, "tdx.report_data")->why,
                        "the evidence is bound to this channel and its key");
    verdict_free(&judge.verdict);
}

static void a_quote_for_other_report_data_does_not(void **state)
{
    (void)state;
    struct cofre_err err;
    struct channel_judge judge = {
        .by = {.policy = &policy, .roots = &roots, .collateral = &collateral, .at = time(NULL)}};
    assert_int_equal(meet(&judge, &key, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text,
                        "the other end's evidence is not accepted: the evidence is not bound to this "
                        "channel: it was made for another one, or for another key");
    verdict_free(&judge.verdict);
}

/* Without collateral a quote cannot be judged, and what was not judged is not accepted. */
static void a_quote_without_collateral_is_not_accepted(void **state)
{
    (void)state;
    struct cofre_err err;
    struct channel_judge judge = {.by = {.policy = &policy, .roots = &roots, .at = time(NULL)}};
    assert_int_equal(meet(&judge, NULL, &err), -COFRE_NEGATIVE);
    assert_int_equal(verdict_outcome(&judge.verdict), CHECK_UNJUDGED);
    verdict_free(&judge.verdict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quote_binds_a_channel),
        cmocka_unit_test(a_quote_for_other_report_data_does_not),
        cmocka_unit_test(a_quote_without_collateral_is_not_accepted),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
