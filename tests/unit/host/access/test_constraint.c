/* What a tenant's guests must be: each rule, refused for just that reason. */
#include "tests/unit/host/access/check.h"

#include <stdio.h>
#include <string.h>

#include "attest/policy.h"
#include "tests/unit/host/access/made.h"
#include "vmm/base/json.h"
#include "vmm/host/access/constraint.h"
#include "vmm/host/interface/schemas.h"

#define A16    "aaaaaaaaaaaaaaaa"
#define B16    "bbbbbbbbbbbbbbbb"
#define A32    A16 A16 A16 A16
#define B32    B16 B16 B16 B16
#define A48    A32 A16 A16
#define B48    B32 B16 B16
#define KERNEL "'kernel': 'sha256:" A32 "'"
#define SNP    "{'tee': 'snp', " KERNEL
#define TDX    "{'tee': 'tdx', " KERNEL
#define PLAIN  "{'tee': 'none', " KERNEL "}"

/* Predicted: all a, or nothing yet. */
static const struct {
    const char *document, *definition;
    bool predicted;
    const char *rule; /* NULL: it may be */
} cases[] = {
    {"{}", PLAIN, true, NULL},
    {"{'tees': ['snp']}", SNP "}", true, NULL},
    {"{'tees': ['snp']}", TDX "}", true, "tees"},
    {"{'tees': ['snp', 'tdx']}", PLAIN, true, "tees"},
    {"{}", SNP ", 'emulated': true}", true, "emulated"},
    {"{'emulated': false}", SNP ", 'emulated': true}", true, "emulated"},
    {"{'emulated': true}", SNP ", 'emulated': true}", true, NULL},
    {"{}", SNP ", 'emulated': false}", true, NULL},
    {"{'kernels': ['sha256:" B32 "', 'sha256:" A32 "']}", SNP "}", true, NULL},
    {"{'kernels': ['sha256:" B32 "']}", SNP "}", false, "kernels"},
    {"{'initrds': ['sha256:" A32 "']}", SNP "}", false, "initrds"},
    {"{'initrds': ['sha256:" A32 "']}", SNP ", 'initrd': 'sha256:" A32 "'}", true, NULL},
    {"{'measurements': ['" A48 "']}", SNP "}", true, NULL},
    {"{'measurements': ['" B48 "']}", SNP "}", true, "measurements"},
    {"{'measurements': ['" B48 "']}", SNP "}", false, NULL},
    {"{'measurements': ['" B48 "']}", TDX "}", true, "measurements"},
    {"{'measurements': ['" A48 "']}", TDX "}", true, NULL},
    {"{'measurements': ['" A48 "']}", PLAIN, false, "measurements"},
    {"{'rtmr1': ['" A48 "'], 'rtmr2': ['" B48 "']}", TDX "}", true, "rtmr2"},
    {"{'rtmr1': ['" A48 "']}", TDX "}", true, NULL},
    {"{'rtmr3': ['" B48 "']}", SNP "}", true, NULL},
    {"{}", SNP ", 'policy': '0xb0000'}", true, "guest_policy"}, /* debug */
    {"{}", SNP ", 'policy': '0x70000'}", true, "guest_policy"}, /* migrate_ma */
    {"{'guest_policy': {'debug': 'any'}}", SNP ", 'policy': '0xb0000'}", true, NULL},
    {"{'guest_policy': {'smt': 'forbidden'}}", SNP "}", true, "guest_policy"},
    {"{'guest_policy': {'smt': 'forbidden'}}", SNP ", 'policy': '0x20000'}", true, NULL},
    {"{'guest_policy': {'single_socket': 'required'}}", SNP "}", true, "guest_policy"},
    {"{'guest_policy': {'single_socket': 'required'}}", SNP ", 'policy': '0x130000'}", true, NULL},
    {"{}", TDX "}", true, NULL},
    {"{}", TDX ", 'attributes': '0x10000001'}", true, "td_attributes"}, /* debug */
    {"{}", TDX ", 'attributes': '0x0'}", true, "td_attributes"},        /* no SEPT_VE_DISABLE */
    {"{'td_attributes': {'pks': 'required'}}", TDX "}", true, "td_attributes"},
    {"{'td_attributes': {'pks': 'required'}}", TDX ", 'attributes': '0x50000000'}", true, NULL},
    {"{'host_data': ['" A32 "']}", SNP "}", true, "host_data"},
    {"{'host_data': ['" A32 "']}", SNP ", 'host_data': '" B32 "'}", true, "host_data"},
    {"{'host_data': ['" B32 "', '" A32 "']}", SNP ", 'host_data': '" A32 "'}", true, NULL},
    {"{'host_data': ['" A32 "']}", TDX "}", true, NULL},
    {"{'mrconfigid': ['" A48 "']}", TDX "}", false, "mrconfigid"},
    {"{'mrconfigid': ['" A48 "']}", TDX ", 'mrconfigid': '" A48 "'}", true, NULL},
    {"{'mrowner': ['" A48 "']}", TDX ", 'mrowner': '" B48 "'}", true, "mrowner"},
    {"{'mrowner': ['" A48 "']}", TDX ", 'mrowner': '" A48 "'}", true, NULL},
    {"{'id_block': true}", SNP "}", false, "id_block"},
    {"{'id_block': true}", SNP ", 'id_block': 'sha256:" A32 "'}", true, NULL},
    {"{'id_block': true}", TDX "}", true, NULL},
    {"{'expect': true}", SNP "}", false, "expect"},
    {"{'expect': true}", SNP ", 'expect': {'measurement': '" A48 "'}}", true, NULL},
};

static struct access_prediction all_a(void)
{
    static uint8_t a[48];
    memset(a, 0xaa, sizeof a);
    const struct view v = {a, sizeof a};
    return (struct access_prediction){v, {v, v, v, v}};
}

static void each_rule_refuses_what_it_is_for(void **state)
{
    const struct access_prediction predicted = all_a();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        CLEAN_JSON *document = made_json(cases[i].document), *definition = made_json(cases[i].definition);
        if (schema_check(document, &schema_constraints, &err) < 0)
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(constraint_check_document(document, &err), 0);
        int rc = constraint_judge(document, definition, cases[i].predicted ? &predicted : NULL, &err);
        const size_t len = cases[i].rule ? strlen(cases[i].rule) : 0;
        if (rc != (cases[i].rule ? -COFRE_NEGATIVE : 0) ||
            (len && (strncmp(err.text, cases[i].rule, len) != 0 || err.text[len] != ':')))
            fail_msg("case %zu, %s of %s: %d, %s", i, cases[i].definition, cases[i].document, rc, err.text);
    }
}

/* A prediction that has no measurement is none of those that are listed. */
static void what_is_not_measured_is_not_listed(void **state)
{
    const struct access_prediction nothing = {0};
    CLEAN_JSON *document = made_json("{'measurements': ['" A48 "'], 'rtmr0': ['" A48 "']}"),
               *snp = made_json(SNP "}"), *tdx = made_json(TDX "}");
    (void)state;
    assert_int_equal(constraint_judge(document, snp, &nothing, NULL), -COFRE_NEGATIVE);
    assert_int_equal(constraint_judge(document, tdx, &nothing, NULL), -COFRE_NEGATIVE);
}

static void one_value_alone_is_put_where_a_definition_has_none(void **state)
{
    static const struct {
        const char *document, *definition, *member, *value;
        int rc;
    } forced[] = {
        {"{'host_data': ['" A32 "']}", SNP "}", "host_data", A32, 1},
        {"{'host_data': ['" A32 "']}", SNP ", 'host_data': '" B32 "'}", "host_data", B32, 0},
        {"{'host_data': ['" A32 "', '" B32 "']}", SNP "}", "host_data", NULL, 0},
        {"{'host_data': ['" A32 "']}", TDX "}", "host_data", NULL, 0},
        {"{'mrconfigid': ['" A48 "']}", TDX "}", "mrconfigid", A48, 1},
        {"{'mrowner': ['" A48 "']}", TDX "}", "mrowner", A48, 1},
        {"{}", TDX "}", "mrowner", NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof forced / sizeof *forced; i++) {
        CLEAN_JSON *document = made_json(forced[i].document), *definition = made_json(forced[i].definition);
        assert_int_equal(constraint_force(document, definition, NULL), forced[i].rc);
        const char *value = json_string_value(json_object_get(definition, forced[i].member));
        assert_true(forced[i].value ? value && strcmp(value, forced[i].value) == 0 : !value);
    }
}

static void documents_that_cannot_be_are_refused(void **state)
{
    static const char *const documents[] = {"{'measurements': []}",
                                            "{'measurements': ['aa']}",
                                            "{'guest_policy': {'turbo': 'any'}}",
                                            "{'guest_policy': {'smt': 1}}",
                                            "{'td_attributes': {'debug': 'yes'}}",
                                            "{'approval': ['guest.fly']}",
                                            "{'approval': [7]}",
                                            "{'host_data': 'aa'}"};
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        CLEAN_JSON *document = made_json(documents[i]);
        struct cofre_err err = {""};
        if (constraint_check_document(document, &err) != -COFRE_USAGE)
            fail_msg("%s was accepted", documents[i]);
    }
}

/* The interface's table has each bit that policies have, by its name. */
static void the_bits_of_the_interface_are_the_policys(void **state)
{
    const struct schema *bits = schema_find(&schema_constraints, "guest_policy")->shape.object,
                        *attributes = schema_find(&schema_constraints, "td_attributes")->shape.object;
    size_t count;
    (void)state;
    for (size_t i = 0; i < POLICY_SNP_GUEST_BITS; i++)
        assert_non_null(schema_find(bits, policy_snp_guest_bits[i].name));
    for (count = 0; bits->member[count].name; count++)
        continue;
    assert_int_equal(count, POLICY_SNP_GUEST_BITS);
    for (size_t i = 0; i < POLICY_TDX_ATTRIBUTES; i++)
        assert_non_null(schema_find(attributes, policy_tdx_attributes[i].name));
    for (count = 0; attributes->member[count].name; count++)
        continue;
    assert_int_equal(count, POLICY_TDX_ATTRIBUTES);
}

static void a_constraint_is_kept_for_its_tenant(void **state)
{
    struct made made;
    struct cofre_err err;
    const struct access_caller ann = made_caller("user:ann");
    CLEAN_JSON *emulated = made_json(SNP ", 'emulated': true}");
    json_t *answer = NULL;
    int rc;
    (void)state;
    made_start(&made);
    (void)made_grant(&made, "user:ann", "administrator", "", "{}", false);
    assert_int_equal(access_constraint_check(made.db, "blue", emulated, NULL, &err), 0);
    assert_int_equal(
        made_do(&made, &ann, "constraint.set", "{'tenant': 'blue', 'tees': ['snp']}", &rc, NULL, &err),
        ACCESS_ALLOWED);
    assert_int_equal(rc, 0);
    assert_int_equal(access_constraint_check(made.db, "blue", emulated, NULL, &err), -COFRE_NEGATIVE);
    assert_int_equal(access_constraint_check(made.db, "red", emulated, NULL, &err), 0);
    assert_int_equal(made_do(&made, &ann, "constraint.show", "{'tenant': 'blue'}", &rc, &answer, &err),
                     ACCESS_ALLOWED);
    CLEAN_JSON *wanted = made_json("{'constraints': {'tees': ['snp']}}");
    assert_true(json_equal(answer, wanted));
    json_decref(answer);
    assert_int_equal(
        made_do(&made, &ann, "constraint.set", "{'tenant': 'blue', 'measurements': []}", &rc, NULL, &err),
        ACCESS_ALLOWED);
    assert_int_equal(rc, -COFRE_USAGE);
    assert_int_equal(access_constraint_check(made.db, "blue", emulated, NULL, &err), -COFRE_NEGATIVE);
    made_end(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_refuses_what_it_is_for),
        cmocka_unit_test(what_is_not_measured_is_not_listed),
        cmocka_unit_test(one_value_alone_is_put_where_a_definition_has_none),
        cmocka_unit_test(documents_that_cannot_be_are_refused),
        cmocka_unit_test(the_bits_of_the_interface_are_the_policys),
        cmocka_unit_test(a_constraint_is_kept_for_its_tenant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
