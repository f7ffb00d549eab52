/* cofre collateral: from one service's database to another's, checked on the way as if it had been fetched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/collateral/keeper.h"
#include "attest/store/collateral.h"
#include "attest/store/schema.h"
#include "tests/unit/cli/run.h"
#include "tests/unit/collateral/vendor.h"

#define DAY 86400

static int64_t now; /* of the service that fetches */
static int64_t read_clock(void)
{
    return now;
}

static void new_database(const char *name)
{
    char path[CLI_PATH_SIZE];
    struct db *db = NULL;
    cli_path(path, name);
    remove(path);
    assert_int_equal(db_open(&db, path, NULL), 0);
    assert_int_equal(schema_bring(db, NULL), 0);
    db_close(db);
}

/* What a service on that database fetches for one platform of each vendor's. */
static void fetch_into(const char *name, struct vendor *vendor)
{
    char path[CLI_PATH_SIZE], root_crl[128];
    struct keeper *keeper;
    struct db *db;
    const struct collateral_id all[] = {
        vendor_vcek(vendor),       {.kind = KDS_CRL, .product = SNP_PRODUCT_MILAN}, vendor_tcb_info(vendor),
        {.kind = PCS_QE_IDENTITY}, {.kind = PCS_PCK_CRL, .platform_ca = true},      {.kind = PCS_ROOT_CRL}};
    cli_path(path, name);
    snprintf(root_crl, sizeof root_crl, "%s/IntelSGXRootCA.der", vendor_url(vendor));
    const struct keeper_config config = {
        .database = path,
        .sources = {.kds = vendor_url(vendor), .pcs = vendor_url(vendor), .pcs_root_crl = root_crl},
        .limits = {.body = 1 << 20, .connect_ms = 2000, .whole_ms = 30000},
        .clock = read_clock};
    assert_int_equal(keeper_new(&keeper, &config, NULL), 0);
    assert_int_equal(keeper_use_roots(keeper, vendor_roots(vendor), NULL), 0);
    assert_int_equal(db_open(&db, path, NULL), 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CLEAN_ITEM item = {.issued = 0};
        int64_t again;
        (void)keeper_get(keeper, db, &all[i], &item, &again, NULL);
        while (keeper_step(keeper, COLLATERAL_AMD) || keeper_step(keeper, COLLATERAL_INTEL))
            ;
    }
    db_close(db);
    keeper_free(keeper);
}

/* As a service that was last on the net a month ago has it. */
static void keep_unchecked(const char *name, const struct vendor *vendor)
{
    char path[CLI_PATH_SIZE], url[256];
    struct db *db;
    CLEAN_DOWNLOAD got = {.status = 0};
    snprintf(url, sizeof url, "%s/tdx/certification/v4/qe/identity?update=standard", vendor_url(vendor));
    const struct download_order order = {
        .url = url, .header = "SGX-Enclave-Identity-Issuer-Chain", .limits = {1 << 20, 2000, 30000}};
    assert_int_equal(download(&got, &order, NULL), 0);
    cli_path(path, name);
    assert_int_equal(db_open(&db, path, NULL), 0);
    const struct stored_collateral row = {.name = "pcs/qe/standard",
                                          .body = bytes_view(&got.body),
                                          .chain = bytes_view(&got.header),
                                          .issued = now - 31 * DAY,
                                          .until = now - DAY,
                                          .fetched = now - 31 * DAY};
    assert_int_equal(stored_collateral_keep(db, &row, NULL), 1);
    db_close(db);
}

static void write_roots(const struct vendor *vendor)
{
    char path[CLI_PATH_SIZE];
    cli_path(path, "roots.pem");
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    for (size_t i = 0; i < vendor_roots(vendor)->count; i++)
        assert_int_equal(PEM_write_X509(to, vendor_roots(vendor)->cert[i]), 1);
    fclose(to);
}

static int setup(void **state)
{
    assert_int_equal(cli_setup(state), 0);
    now = time(NULL);
    struct vendor *vendor = vendor_new(now);
    new_database("here.db");
    fetch_into("here.db", vendor);
    vendor_publish(vendor, now - 31 * DAY);
    new_database("old.db");
    keep_unchecked("old.db", vendor);
    write_roots(vendor);
    vendor_free(vendor);
    return 0;
}

static void assert_runs(const char *arguments, int code, const char *output)
{
    assert_int_equal(cli_run(arguments), code);
    assert_string_equal(cli_output, output);
}

static void what_is_held_here_is_held_there(void **state)
{
    CLEAN_BYTES one = {0}, two = {0};
    (void)state;
    new_database("there.db");
    assert_runs("collateral export --database here.db --out a.json", 0, "  exported               7\n");
    assert_runs("collateral import --database there.db --in a.json --trust-root roots.pem", 0,
                "  imported               7\n  older                  0\n  run_out                0\n");
    assert_runs("collateral export --database there.db --out b.json --json", 0, "{\n  \"exported\": 7\n}\n");
    cli_read(&one, "a.json");
    cli_read(&two, "b.json");
    assert_true(view_equal(bytes_view(&one), bytes_view(&two)));
    assert_runs("collateral import --database there.db --in a.json --trust-root roots.pem", 0,
                "  imported               7\n  older                  0\n  run_out                0\n");
}

static void what_is_older_leaves_what_is_held(void **state)
{
    struct cofre_err err;
    struct db *db;
    char path[CLI_PATH_SIZE];
    (void)state;
    new_database("there.db");
    assert_int_equal(cli_run("collateral export --database here.db --out a.json"), 0);
    cli_path(path, "there.db");
    assert_int_equal(db_open(&db, path, &err), 0);
    const struct stored_collateral newer = {
        .name = "pcs/qe/standard", .body = {(const uint8_t *)"{}", 2}, .issued = now, .until = now + DAY};
    assert_int_equal(stored_collateral_keep(db, &newer, &err), 1);
    db_close(db);
    assert_runs("collateral import --database there.db --in a.json --trust-root roots.pem", 0,
                "  imported               6\n  older                  1\n  run_out                0\n");
}

static void what_has_run_out_is_left_out(void **state)
{
    (void)state;
    new_database("there.db");
    assert_int_equal(cli_run("collateral export --database old.db --out old.json"), 0);
    assert_int_equal(
        cli_run("collateral import --database there.db --in old.json --trust-root roots.pem --json"), 0);
    assert_non_null(strstr(cli_output, "\"run_out\": 1"));
}

/* In a copy of what here.db exports: that text becomes another of its length. */
static void change_export(const char *was, const char *is)
{
    CLEAN_BYTES file = {0};
    assert_int_equal(cli_run("collateral export --database here.db --out c.json"), 0);
    cli_read(&file, "c.json");
    char *at = memmem(file.data, file.len, was, strlen(was));
    assert_non_null(at);
    assert_int_equal(strlen(was), strlen(is));
    memcpy(at, is, strlen(is));
    cli_write("c.json", bytes_view(&file));
}

#define IMPORT "collateral import --database there.db --in c.json --trust-root roots.pem"

static void one_wrong_item_and_nothing_is_kept(void **state)
{
    (void)state;
    new_database("there.db");
    change_export("pcs/tcb/e006c0f00000", "pcs/tcb/e006c0f00001");
    assert_runs(IMPORT, COFRE_NEGATIVE,
                "cofre collateral: c.json: item 7 (pcs/tcb/e006c0f00001/standard): it is of another FMSPC: "
                "e006c0f00000\n");
    assert_runs("collateral export --database there.db --out d.json", 0, "  exported               0\n");
    change_export("pcs/qe/standard", "pcs/qf/standard");
    assert_runs(
        IMPORT, COFRE_MALFORMED,
        "cofre collateral: c.json: item 5 (pcs/qf/standard): nothing is called \"pcs/qf/standard\"\n");
    change_export("\"cofre_collateral\": 1", "\"cofre_collateral\": 2");
    assert_runs(IMPORT, COFRE_MALFORMED, "cofre collateral: c.json: version 2 is not known here\n");
    cli_write("c.json", (struct view){(const uint8_t *)"{\"tcb_info\": \"\"}", 16});
    assert_runs(IMPORT, COFRE_MALFORMED,
                "cofre collateral: c.json: it is no file that cofre collateral export made\n");
}

static void nobody_vouches_for_the_emulated_without_their_roots(void **state)
{
    (void)state;
    new_database("there.db");
    assert_int_equal(cli_run("collateral export --database here.db --out c.json"), 0);
    assert_int_equal(cli_run("collateral import --database there.db --in c.json"), COFRE_NEGATIVE);
    assert_non_null(
        strstr(cli_output, " (kds/Milan/vcek/cert_chain): the key of its root ARK-Milan is not AMD's\n"));
}

static void usage_is_what_help_says(void **state)
{
    static const char *const wrong[] = {"collateral",
                                        "collateral export --database here.db",
                                        "collateral export --database here.db --in a.json",
                                        "collateral import --database here.db --out a.json",
                                        "collateral import --in a.json",
                                        "collateral fetch --database here.db --out x"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(cli_run(wrong[i]), COFRE_USAGE);
    assert_int_equal(cli_run("collateral --help"), 0);
    assert_runs("collateral export --database none.db --out x", COFRE_LACKING,
                "cofre collateral: none.db: there is no such database: cofre-trust makes it\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_here_is_held_there),
        cmocka_unit_test(what_is_older_leaves_what_is_held),
        cmocka_unit_test(what_has_run_out_is_left_out),
        cmocka_unit_test(one_wrong_item_and_nothing_is_kept),
        cmocka_unit_test(nobody_vouches_for_the_emulated_without_their_roots),
        cmocka_unit_test(usage_is_what_help_says),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, setup, cli_teardown);
}
