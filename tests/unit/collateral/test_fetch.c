/* What vendors' services send is taken where it is what was asked for, and else refused with a sentence that says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/collateral/backoff.h"
#include "tests/unit/collateral/vendor.h"
#include "vmm/base/timestamp.h"

#define DAY 86400

static struct vendor *vendor;
static int64_t now;

/* What was fetched before, by kind: others are checked with it. */
static struct collateral_item kept[COLLATERAL_KINDS];

static struct collateral_id id_of(enum collateral_kind kind)
{
    if (kind == KDS_VCEK)
        return vendor_vcek(vendor);
    if (kind == PCS_TCB_INFO)
        return vendor_tcb_info(vendor);
    return (struct collateral_id){.kind = kind,
                                  .product = kind == KDS_CHAIN || kind == KDS_CRL ? SNP_PRODUCT_MILAN
                                                                                  : SNP_PRODUCT_UNKNOWN,
                                  .platform_ca = kind == PCS_PCK_CRL};
}

static int fetch_from(const struct collateral_sources *sources, struct collateral_item *out,
                      const struct collateral_id *id, char retry_after[64], struct cofre_err *err)
{
    struct collateral_id base;
    const struct collateral_question q = {
        .id = id,
        .sources = sources,
        .base = collateral_base(&base, id) && kept[base.kind].body.len ? &kept[base.kind] : NULL,
        .roots = vendor_roots(vendor),
        .now = now,
        .limits = {.body = 1 << 20, .connect_ms = 2000, .whole_ms = 5000}};
    return collateral_fetch(out, retry_after, &q, err);
}

static void sources_of(struct collateral_sources *out, char root_crl[128], bool pccs)
{
    snprintf(root_crl, 128, "%s/IntelSGXRootCA.der", vendor_url(vendor));
    *out = (struct collateral_sources){.kds = vendor_url(vendor),
                                       .pcs = pccs ? NULL : vendor_url(vendor),
                                       .pccs = pccs ? vendor_url(vendor) : NULL,
                                       .pcs_root_crl = root_crl};
}

static int fetch(struct collateral_item *out, const struct collateral_id *id, struct cofre_err *err)
{
    struct collateral_sources sources;
    char root_crl[128], retry_after[64];
    sources_of(&sources, root_crl, false);
    return fetch_from(&sources, out, id, retry_after, err);
}

static int setup(void **state)
{
    (void)state;
    now = time(NULL);
    vendor = vendor_new(now);
    for (enum collateral_kind kind = 0; kind < COLLATERAL_KINDS; kind++) {
        struct collateral_id id = id_of(kind);
        struct cofre_err err = {""};
        if (fetch(&kept[kind], &id, &err) < 0)
            fail_msg("%s", err.text);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COLLATERAL_KINDS; i++)
        collateral_item_free(&kept[i]);
    vendor_free(vendor);
    return 0;
}

/* That kind, asked for now, ends with that code and sentence. */
static void assert_refused(enum collateral_kind kind, int code, const char *sentence)
{
    struct collateral_id id = id_of(kind);
    CLEAN_ITEM item = {.issued = 0};
    struct cofre_err err = {""};
    assert_int_equal(fetch(&item, &id, &err), -code);
    assert_string_equal(err.text, sentence);
    assert_int_equal(item.body.len, 0);
}

/* With the name of the emulated chip's VCEK, which differs from build tree to build tree, in the place of %s. */
static void assert_vcek_refused(int code, const char *format)
{
    char what[COLLATERAL_NAME_MAX], sentence[512];
    struct collateral_id id = vendor_vcek(vendor);
    collateral_describe(what, &id);
    snprintf(sentence, sizeof sentence, "%s%s", what, format);
    assert_refused(KDS_VCEK, code, sentence);
}

static void names_are_read_as_they_are_written(void **state)
{
    char name[COLLATERAL_NAME_MAX], again[COLLATERAL_NAME_MAX];
    (void)state;
    for (enum collateral_kind kind = 0; kind < COLLATERAL_KINDS; kind++) {
        struct collateral_id id = id_of(kind), read;
        collateral_name(name, &id);
        assert_true(collateral_id_parse(&read, name));
        assert_int_equal(read.kind, kind);
        collateral_name(again, &read);
        assert_string_equal(again, name);
        strcat(name, "/");
        assert_false(collateral_id_parse(&read, name));
    }
    static const char *const wrong[] = {"",
                                        "kds",
                                        "kds/Milan",
                                        "kds/Rome/vcek/crl",
                                        "kds/Milan/vlek/cert_chain",
                                        "kds/Milan/vcek/00/00",
                                        "pcs/tcb/00906ED50000/standard",
                                        "pcs/tcb/00906ed50000/late",
                                        "pcs/qe/standard/x",
                                        "x/rootcacrl"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct collateral_id read;
        assert_false(collateral_id_parse(&read, wrong[i]));
    }
}

static void all_kinds_are_fetched_with_their_validity(void **state)
{
    (void)state;
    assert_true(kept[KDS_VCEK].until == COLLATERAL_FOR_EVER);
    assert_true(kept[KDS_CHAIN].until == COLLATERAL_FOR_EVER);
    for (enum collateral_kind kind = 0; kind < COLLATERAL_KINDS; kind++)
        assert_true(kept[kind].body.len > 0 && kept[kind].until > now && kept[kind].issued < now);
    assert_int_equal(kept[PCS_TCB_INFO].issued, now - 3600);
    assert_int_equal(kept[PCS_TCB_INFO].until, now + 30 * DAY);
    assert_int_equal(kept[PCS_ROOT_CRL].until, now + 30 * DAY);
    assert_int_equal(vendor_asked(vendor, "/IntelSGXRootCA.der"), 1);
}

static void a_pccs_answers_in_hexadecimal(void **state)
{
    struct collateral_sources sources;
    char root_crl[128], retry_after[64];
    (void)state;
    sources_of(&sources, root_crl, true);
    for (enum collateral_kind kind = PCS_TCB_INFO; kind <= PCS_ROOT_CRL; kind++) {
        CLEAN_ITEM item = {.issued = 0};
        struct collateral_id id = id_of(kind);
        struct cofre_err err = {""};
        if (fetch_from(&sources, &item, &id, retry_after, &err) < 0)
            fail_msg("%s", err.text);
        assert_true(view_equal(bytes_view(&item.body), bytes_view(&kept[kind].body)));
    }
    assert_int_equal(vendor_asked(vendor, "/sgx/certification/v4/rootcacrl"), 1);
}

static void early_and_standard_are_asked_for_as_such(void **state)
{
    struct collateral_id id = vendor_tcb_info(vendor);
    CLEAN_ITEM item = {.issued = 0};
    (void)state;
    id.early = true;
    assert_int_equal(fetch(&item, &id, NULL), 0);
    assert_int_equal(vendor_asked(vendor, "/tdx/certification/v4/tcb?fmspc=e006c0f00000&update=early"), 1);
    assert_int_equal(vendor_asked(vendor, "/tdx/certification/v4/tcb?fmspc=e006c0f00000&update=standard"), 1);
}

static void a_turin_chip_is_asked_for_by_eight_bytes(void **state)
{
    struct collateral_id id = {
        .kind = KDS_VCEK, .product = SNP_PRODUCT_TURIN, .hwid = {1, 2, 3, 4, 5, 6, 7, 8}};
    struct cofre_err err = {""};
    CLEAN_ITEM item = {.issued = 0};
    (void)state;
    id.tcb = (struct snp_tcb){.svn = {9, 1, 2, 3, 74}};
    assert_int_equal(fetch(&item, &id, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text,
                        "the VCEK of Turin chip 0102030405060708... at TCB 4a00000003020109: AMD's key "
                        "service answered 404 (there is no such thing)");
    assert_int_equal(
        vendor_asked(vendor,
                     "/vcek/v1/Turin/0102030405060708?fmcSPL=9&blSPL=1&teeSPL=2&snpSPL=3&ucodeSPL=74"),
        1);
}

/* A mood of the stand-in, and how each kind then ends. */
static void throttling_is_said_and_until_when(void **state)
{
    struct collateral_sources sources;
    struct collateral_id id = id_of(KDS_CRL);
    char root_crl[128], retry_after[64];
    struct cofre_err err = {""};
    CLEAN_ITEM item = {.issued = 0};
    (void)state;
    vendor_be(vendor, VENDOR_THROTTLES, "Wed, 21 Oct 2015 07:28:00 GMT");
    sources_of(&sources, root_crl, false);
    assert_int_equal(fetch_from(&sources, &item, &id, retry_after, &err), -COFRE_LACKING);
    assert_string_equal(err.text,
                        "AMD's revocation list for Milan (VCEK): AMD's key service answered 429 (too many "
                        "questions)");
    assert_string_equal(retry_after, "Wed, 21 Oct 2015 07:28:00 GMT");
    assert_refused(PCS_QE_IDENTITY, COFRE_LACKING,
                   "the QE identity (standard): Intel's service answered 429 (too many questions)");
}

static void a_stalled_answer_is_given_up(void **state)
{
    struct collateral_sources sources;
    struct collateral_id id = id_of(KDS_CHAIN);
    char root_crl[128], retry_after[64];
    struct cofre_err err = {""};
    CLEAN_ITEM item = {.issued = 0};
    (void)state;
    vendor_be(vendor, VENDOR_STALLS, NULL);
    sources_of(&sources, root_crl, false);
    const struct collateral_question q = {.id = &id,
                                          .sources = &sources,
                                          .now = now,
                                          .limits = {.body = 1000, .connect_ms = 100, .whole_ms = 100}};
    assert_int_equal(collateral_fetch(&item, retry_after, &q, &err), -COFRE_LACKING);
    assert_string_equal(err.text,
                        "AMD's chain for Milan: AMD's key service: there was no whole answer within 100 ms");
}

static void an_answer_that_breaks_off_is_no_answer(void **state)
{
    char sentence[256];
    (void)state;
    vendor_be(vendor, VENDOR_DIES, NULL);
    snprintf(sentence, sizeof sentence,
             "AMD's chain for Milan: AMD's key service: the answer broke off after %zu bytes",
             kept[KDS_CHAIN].body.len / 2);
    assert_refused(KDS_CHAIN, COFRE_LACKING, sentence);
    vendor_be(vendor, VENDOR_CUTS, NULL);
    assert_refused(
        KDS_CRL, COFRE_LACKING,
        "AMD's revocation list for Milan (VCEK): AMD's key service sent what is not kept: at byte 0: not a "
        "certificate revocation list in DER");
}

static void an_endless_answer_is_cut(void **state)
{
    (void)state;
    vendor_be(vendor, VENDOR_ENDLESS, NULL);
    assert_refused(PCS_QE_IDENTITY, COFRE_LACKING,
                   "the QE identity (standard): Intel's service: the answer has more than 1048576 bytes");
}

static void garbage_is_named_as_such(void **state)
{
    (void)state;
    vendor_be(vendor, VENDOR_GARBLES, NULL);
    assert_vcek_refused(COFRE_LACKING,
                        ": AMD's key service sent what is not kept: at byte 0: not a certificate in DER");
    assert_refused(KDS_CHAIN, COFRE_LACKING,
                   "AMD's chain for Milan: AMD's key service sent what is not kept: at byte 0: not a "
                   "certificate in DER");
    assert_refused(
        PCS_TCB_INFO, COFRE_LACKING,
        "the TCB info of FMSPC e006c0f00000 (standard): Intel's service sent what is not kept: it is no "
        "text that JSON could hold");
    assert_refused(
        PCS_PCK_CRL, COFRE_LACKING,
        "the revocation list of the PCK platform CA: Intel's service sent what is not kept: at byte 0: not a "
        "certificate revocation list in DER");
}

static void a_signature_that_is_wrong_is_named(void **state)
{
    (void)state;
    vendor_be(vendor, VENDOR_BAD_SIGNATURE, NULL);
    assert_vcek_refused(COFRE_LACKING,
                        ": AMD's key service sent what is not kept: the signature of SEV-VCEK is not by "
                        "the key of SEV-Milan");
    assert_refused(
        KDS_CRL, COFRE_LACKING,
        "AMD's revocation list for Milan (VCEK): AMD's key service sent what is not kept: it is not signed "
        "by the ARK of Milan");
    assert_refused(
        PCS_QE_IDENTITY, COFRE_LACKING,
        "the QE identity (standard): Intel's service sent what is not kept: \"qe_identity\" is not signed by "
        "the key of its signer's certificate");
    assert_refused(
        PCS_PCK_CRL, COFRE_LACKING,
        "the revocation list of the PCK platform CA: Intel's service sent what is not kept: no certificate "
        "of its issuer chain signed it");
    assert_refused(
        PCS_ROOT_CRL, COFRE_LACKING,
        "the revocation list of Intel's root: Intel's service sent what is not kept: it is not signed by "
        "the root");
}

static void another_chips_certificate_is_refused(void **state)
{
    struct collateral_id id = vendor_vcek(vendor);
    char own[17], what[COLLATERAL_NAME_MAX], sentence[512];
    struct cofre_err err = {""};
    CLEAN_ITEM item = {.issued = 0};
    (void)state;
    hex_encode(own, id.hwid, 8);
    id.hwid[63] ^= 1;
    vendor_be(vendor, VENDOR_LIES, NULL);
    assert_int_equal(fetch(&item, &id, &err), -COFRE_LACKING);
    collateral_describe(what, &id);
    snprintf(sentence, sizeof sentence,
             "%s: AMD's key service sent what is not kept: it is another chip's: %s...", what, own);
    assert_string_equal(err.text, sentence);
    id = vendor_vcek(vendor);
    id.tcb.svn[SNP_TCB_MICROCODE]++;
    assert_int_equal(fetch(&item, &id, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "sent what is not kept: it is for another TCB: "));
}

static void another_platforms_tcb_info_is_refused(void **state)
{
    struct collateral_id id = {.kind = PCS_TCB_INFO, .fmspc = {0, 0x90, 0x6e, 0xd5}};
    struct collateral_id other_ca = {.kind = PCS_PCK_CRL};
    char own[13], sentence[512];
    struct cofre_err err = {""};
    CLEAN_ITEM item = {.issued = 0};
    (void)state;
    const struct collateral_id mine = vendor_tcb_info(vendor);
    hex_encode(own, mine.fmspc, 6);
    vendor_be(vendor, VENDOR_LIES, NULL);
    assert_int_equal(fetch(&item, &id, &err), -COFRE_LACKING);
    snprintf(sentence, sizeof sentence,
             "the TCB info of FMSPC 00906ed50000 (standard): Intel's service sent what is not kept: it is of "
             "another "
             "FMSPC: %s",
             own);
    assert_string_equal(err.text, sentence);
    assert_int_equal(fetch(&item, &other_ca, &err), -COFRE_LACKING);
    assert_string_equal(err.text,
                        "the revocation list of the PCK processor CA: Intel's service sent what is not "
                        "kept: it is signed by: Intel SGX PCK Platform CA");
}

static void assert_dated(enum collateral_kind kind, const char *format, int64_t time)
{
    char text[TIME_TEXT_SIZE], sentence[512];
    time_format(text, time);
    snprintf(sentence, sizeof sentence, "%s", format);
    strcpy(strstr(sentence, "TIME"), text);
    strcat(sentence, strstr(format, "TIME") + 4);
    assert_refused(kind, COFRE_LACKING, sentence);
}

static void what_has_run_out_is_refused_with_its_date(void **state)
{
    (void)state;
    vendor_publish(vendor, now - 31 * DAY);
    assert_dated(PCS_QE_IDENTITY,
                 "the QE identity (standard): Intel's service sent what is not kept: it had run out on TIME",
                 now - DAY);
    assert_dated(
        PCS_PCK_CRL,
        "the revocation list of the PCK platform CA: Intel's service sent what is not kept: it had run out "
        "on TIME",
        now - DAY);
}

static void what_is_yet_to_come_is_refused(void **state)
{
    (void)state;
    vendor_publish(vendor, now + DAY);
    assert_dated(
        PCS_ROOT_CRL,
        "the revocation list of Intel's root: Intel's service sent what is not kept: it is from TIME, which "
        "is yet to come",
        now + DAY - 3600);
}

static void nobody_vouches_for_a_root_of_ones_own(void **state)
{
    struct collateral_sources sources;
    char root_crl[128], retry_after[64];
    static const struct {
        enum collateral_kind kind;
        const char *sentence;
    } cases[] = {
        {KDS_CHAIN,
         "AMD's chain for Milan: AMD's key service sent what is not kept: the key of its root ARK-Milan is "
         "not AMD's"},
        {PCS_QE_IDENTITY,
         "the QE identity (standard): Intel's service sent what is not kept: the root that its signer "
         "is under is not Intel's"},
        {PCS_PCK_CRL,
         "the revocation list of the PCK platform CA: Intel's service sent what is not kept: the root "
         "that its signer is under is not Intel's"},
    };
    (void)state;
    sources_of(&sources, root_crl, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct collateral_id id = id_of(cases[i].kind);
        CLEAN_ITEM item = {.issued = 0};
        struct cofre_err err = {""};
        const struct collateral_question q = {
            .id = &id,
            .sources = &sources,
            .now = now,
            .limits = {.body = 1 << 20, .connect_ms = 2000, .whole_ms = 5000}};
        assert_int_equal(collateral_fetch(&item, retry_after, &q, &err), -COFRE_LACKING);
        assert_string_equal(err.text, cases[i].sentence);
    }
}

static void redirections_are_not_followed(void **state)
{
    (void)state;
    vendor_be(vendor, VENDOR_MOVED, NULL);
    assert_refused(PCS_QE_IDENTITY, COFRE_LACKING,
                   "the QE identity (standard): Intel's service answered 302");
}

static void addresses_are_https_or_this_machines(void **state)
{
    static const struct {
        const char *url;
        int rc;
    } cases[] = {
        {"https://kdsintf.amd.com", 0},
        {"https://10.0.0.1:8081", 0},
        {"http://127.0.0.1:8081", 0},
        {"http://[::1]:8081", 0},
        {"http://localhost", 0},
        {"http://kdsintf.amd.com", -COFRE_USAGE},
        {"http://127.0.0.1.x.org", -COFRE_USAGE},
        {"file:///etc/passwd", -COFRE_USAGE},
        {"ftp://localhost", -COFRE_USAGE},
        {"https://user@host", -COFRE_USAGE},
        {"kdsintf.amd.com", -COFRE_USAGE},
        {"", -COFRE_USAGE},
    };
    struct cofre_err err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(download_check_address(cases[i].url, &err), cases[i].rc);
}

static void waits_grow_and_honour_what_the_service_asks_for(void **state)
{
    (void)state;
    assert_int_equal(backoff_wanted("", 1000), 0);
    assert_int_equal(backoff_wanted("120", 1000), 120);
    assert_int_equal(backoff_wanted("99999999999999999999", 1000), DAY);
    assert_int_equal(backoff_wanted("soon", 1000), 0);
    assert_int_equal(backoff_wanted("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480 - 30), 30);
    assert_int_equal(backoff_wanted("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480 + 30), 0);
    for (unsigned failures = 1; failures < 40; failures++) {
        int64_t most = failures < 12 ? 1ll << failures : 3600, least = most / 2;
        assert_in_range(backoff_next(failures, "", 5000, 0), 5000 + (least < 1800 ? least : 1800),
                        5000 + most);
        assert_in_range(backoff_next(failures, "", 5000, UINT32_MAX), 5001, 5000 + 3600);
    }
    assert_int_equal(backoff_next(1, "", 0, 0), 1);
    assert_int_equal(backoff_next(1, "", 0, UINT32_MAX), 2);
    assert_int_equal(backoff_next(3, "600", 0, 0), 600);
    assert_int_equal(backoff_next(3, "600", 0, UINT32_MAX), 660);
    assert_true(backoff_refresh(INT64_MAX, 7, 1) == INT64_MAX);
    assert_int_equal(backoff_refresh(1000 + 400, 1000, 0), 1200);
    assert_int_equal(backoff_refresh(1000 + 400, 1000, UINT32_MAX), 1300);
    assert_int_equal(backoff_refresh(1000 + 30 * DAY, 1000, 0), 1000 + DAY);
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(names_are_read_as_they_are_written),
        T(all_kinds_are_fetched_with_their_validity),
        T(a_pccs_answers_in_hexadecimal),
        T(early_and_standard_are_asked_for_as_such),
        T(a_turin_chip_is_asked_for_by_eight_bytes),
        T(throttling_is_said_and_until_when),
        T(a_stalled_answer_is_given_up),
        T(an_answer_that_breaks_off_is_no_answer),
        T(an_endless_answer_is_cut),
        T(garbage_is_named_as_such),
        T(a_signature_that_is_wrong_is_named),
        T(another_chips_certificate_is_refused),
        T(another_platforms_tcb_info_is_refused),
        T(what_has_run_out_is_refused_with_its_date),
        T(what_is_yet_to_come_is_refused),
        T(nobody_vouches_for_a_root_of_ones_own),
        T(redirections_are_not_followed),
        cmocka_unit_test(addresses_are_https_or_this_machines),
        cmocka_unit_test(waits_grow_and_honour_what_the_service_asks_for),
    };
    struct cofre_err err;
    signal(SIGPIPE, SIG_IGN);
    return download_prepare(&err) < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
