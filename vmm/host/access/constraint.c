#include "vmm/host/access/constraint.h"

#include <stdlib.h>
#include <string.h>

#include "attest/check.h"
#include "attest/policy.h"
#include "sev/policy.h"
#include "tdx/abi.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/access/role.h"
#include "vmm/host/access/rows.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* The document as a policy */

/* Members that are a policy's; the rest is about things that evidence does not have. */
static const struct {
    const char *member, *section, *name;
} as_policy[] = {
    {"measurements", "snp", "measurement"},
    {"measurements", "tdx", "mrtd"},
    {"rtmr0", "tdx", "rtmr0"},
    {"rtmr1", "tdx", "rtmr1"},
    {"rtmr2", "tdx", "rtmr2"},
    {"rtmr3", "tdx", "rtmr3"},
    {"host_data", "snp", "host_data"},
    {"mrconfigid", "tdx", "mrconfigid"},
    {"mrowner", "tdx", "mrowner"},
    {"guest_policy", "snp", "guest_policy"},
    {"td_attributes", "tdx", "td_attributes"},
};

static int read_policy(struct policy *out, const json_t *document, struct cofre_err *err)
{
    CLEAN_JSON *file = json_pack("{s:{}, s:{}}", "snp", "tdx");
    for (size_t i = 0; i < COUNT(as_policy); i++) {
        json_t *value = json_object_get(document, as_policy[i].member);
        if (value &&
            json_object_set(json_object_get(file, as_policy[i].section), as_policy[i].name, value) < 0)
            return cofre_fail(err, COFRE_FAILED, "no memory for a constraint");
    }
    CLEAN_FREE char *text = file ? rows_text(file) : NULL;
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "no memory for a constraint");
    return policy_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, err);
}

int constraint_check_document(const json_t *document, struct cofre_err *err)
{
    CLEAN_POLICY policy = {0};
    const json_t *pattern;
    size_t i;
    int rc = read_policy(&policy, document, err);
    if (rc < 0)
        return rc;
    json_array_foreach(json_object_get(document, "approval"), i, pattern)
    {
        if (!json_is_string(pattern) || !role_pattern_set(json_string_value(pattern)))
            return cofre_fail(err, COFRE_USAGE, "approval: \"%.80s\" is no operation, nor all of a noun's",
                              json_is_string(pattern) ? json_string_value(pattern) : "");
    }
    return 0;
}

/* What is judged */

struct launch {
    const json_t *document, *definition;
    const struct access_prediction *predicted;
    const char *tee;
    struct policy policy;
    uint64_t guest_policy, attributes;
};

static bool is_snp(const struct launch *l)
{
    return strcmp(l->tee, "snp") == 0;
}

static bool is_tdx(const struct launch *l)
{
    return strcmp(l->tee, "tdx") == 0;
}

static const char *text_of(const struct launch *l, const char *member)
{
    return json_string_value(json_object_get(l->definition, member));
}

/* As cofre run has them where nothing is said (docs/man/cofre.1). */
static uint64_t bits_of(const struct launch *l, const char *member, uint64_t otherwise)
{
    const char *text = text_of(l, member);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Rules */

static bool names(const json_t *list, const char *text)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (text && json_is_string(one) && strcmp(json_string_value(one), text) == 0)
            return true;
    }
    return false;
}

/* Arguments are members of document and definition. */
static int check_listed(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    const json_t *list = json_object_get(l->document, member);
    return !list || names(list, text_of(l, of))
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the guest's %s is none of the tenant's list", of);
}

static int check_emulated(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    return !json_is_true(json_object_get(l->definition, of)) ||
                   json_is_true(json_object_get(l->document, member))
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE,
                            "an emulated TEE protects nothing, and the tenant does not allow it");
}

static int check_given(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    return !json_is_true(json_object_get(l->document, member)) || json_object_get(l->definition, of)
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the definition must have \"%s\"", of);
}

static int check_value(const struct policy_list *list, struct view value, const char *what,
                       struct cofre_err *err)
{
    return list->count == 0 || (value.len && policy_list_has(list, value))
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the guest's %s is none of the tenant's list", what);
}

static int check_hex(const struct policy_list *list, const struct launch *l, const char *of,
                     struct cofre_err *err)
{
    CLEAN_BYTES value = {0};
    const char *text = text_of(l, of);
    int rc = text ? hex_decode_some(&value, 64, text, err) : 0;
    return rc < 0 ? rc : check_value(list, bytes_view(&value), of, err);
}

/* A guest that nothing measures is none of those that are listed. */
static int check_measurement(const struct launch *l, const char *member, const char *of,
                             struct cofre_err *err)
{
    (void)of;
    if (json_object_get(l->document, member) && !is_snp(l) && !is_tdx(l))
        return cofre_fail(err, COFRE_NEGATIVE,
                          "a plain guest is not measured, and the tenant lists measurements");
    return !l->predicted ? 0
                         : check_value(is_snp(l) ? &l->policy.snp.measurement : &l->policy.tdx.mrtd,
                                       l->predicted->measurement, "measurement", err);
}

static int check_rtmr(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    const size_t n = (size_t)(member[4] - '0');
    (void)of;
    return !is_tdx(l) || !l->predicted
               ? 0
               : check_value(&l->policy.tdx.rtmr[n], l->predicted->rtmr[n], member, err);
}

static int check_bits(const struct policy_named_bit *bit, const enum policy_bit *wanted, size_t count,
                      uint64_t value, struct cofre_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (judge_bit(wanted[i], value & bit[i].mask, bit[i].name, err) < 0)
            return -COFRE_NEGATIVE;
    return 0;
}

static int check_guest_policy(const struct launch *l, const char *member, const char *of,
                              struct cofre_err *err)
{
    (void)member;
    (void)of;
    return !is_snp(l) ? 0
                      : check_bits(policy_snp_guest_bits, l->policy.snp.guest_policy, POLICY_SNP_GUEST_BITS,
                                   l->guest_policy, err);
}

static int check_attributes(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    (void)member;
    (void)of;
    return !is_tdx(l) ? 0
                      : check_bits(policy_tdx_attributes, l->policy.tdx.td_attributes, POLICY_TDX_ATTRIBUTES,
                                   l->attributes, err);
}

static int check_host_data(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    (void)member;
    return is_snp(l) ? check_hex(&l->policy.snp.host_data, l, of, err) : 0;
}

static int check_mrconfigid(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    (void)member;
    return is_tdx(l) ? check_hex(&l->policy.tdx.mrconfigid, l, of, err) : 0;
}

static int check_mrowner(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    (void)member;
    return is_tdx(l) ? check_hex(&l->policy.tdx.mrowner, l, of, err) : 0;
}

static int check_id_block(const struct launch *l, const char *member, const char *of, struct cofre_err *err)
{
    return is_snp(l) ? check_given(l, member, of, err) : 0;
}

static const struct {
    const char *member; /* of the document: the rule's name */
    const char *of;     /* of the definition */
    int (*check)(const struct launch *l, const char *member, const char *of, struct cofre_err *err);
} rules[] = {
    {"tees", "tee", check_listed},
    {"emulated", "emulated", check_emulated},
    {"kernels", "kernel", check_listed},
    {"initrds", "initrd", check_listed},
    {"guest_policy", "policy", check_guest_policy},
    {"td_attributes", "attributes", check_attributes},
    {"host_data", "host_data", check_host_data},
    {"mrconfigid", "mrconfigid", check_mrconfigid},
    {"mrowner", "mrowner", check_mrowner},
    {"id_block", "id_block", check_id_block},
    {"expect", "expect", check_given},
    {"measurements", NULL, check_measurement},
    {"rtmr0", NULL, check_rtmr},
    {"rtmr1", NULL, check_rtmr},
    {"rtmr2", NULL, check_rtmr},
    {"rtmr3", NULL, check_rtmr},
};

static int judge(const struct launch *l, struct cofre_err *err)
{
    for (size_t i = 0; i < COUNT(rules); i++) {
        int rc = rules[i].check(l, rules[i].member, rules[i].of, err);
        if (rc < 0)
            return cofre_within(err, rc, "%s", rules[i].member);
    }
    return 0;
}

int constraint_judge(const json_t *document, const json_t *definition,
                     const struct access_prediction *predicted, struct cofre_err *err)
{
    struct launch l = {.document = document, .definition = definition, .predicted = predicted};
    l.tee = text_of(&l, "tee");
    if (!l.tee)
        return cofre_fail(err, COFRE_NEGATIVE, "tees: the definition does not say which TEE");
    l.guest_policy = bits_of(&l, "policy", SNP_POLICY_DEFAULT);
    l.attributes = bits_of(&l, "attributes", TDX_ATTR_SEPT_VE_DISABLE);
    int rc = read_policy(&l.policy, document, err);
    if (rc < 0)
        return -COFRE_FAILED;
    rc = judge(&l, err);
    policy_free(&l.policy);
    return rc;
}

/* What is forced */

int constraint_force(const json_t *document, json_t *definition, struct cofre_err *err)
{
    static const struct {
        const char *tee, *member;
    } forced[] = {{"snp", "host_data"}, {"tdx", "mrconfigid"}, {"tdx", "mrowner"}};
    const char *tee = json_string_value(json_object_get(definition, "tee"));
    int put = 0;
    for (size_t i = 0; tee && i < COUNT(forced); i++) {
        const json_t *list = json_object_get(document, forced[i].member);
        if (strcmp(tee, forced[i].tee) != 0 || json_array_size(list) != 1 ||
            json_object_get(definition, forced[i].member))
            continue;
        if (json_object_set(definition, forced[i].member, json_array_get(list, 0)) < 0)
            return cofre_fail(err, COFRE_FAILED, "no memory for a definition");
        put = 1;
    }
    return put;
}

/* Rows */

static int take_document(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    json_t *document = json_loads(db_string(&column[0]), 0, NULL);
    if (!json_is_object(document)) {
        json_decref(document);
        return cofre_fail(err, COFRE_FAILED, "a tenant's constraint cannot be read");
    }
    *(json_t **)context = document;
    return 0;
}

int constraint_load(json_t **document, struct db *db, const char *tenant, struct cofre_err *err)
{
    *document = NULL;
    return rows_one(DB_RUN(db, "SELECT document FROM access_constraint WHERE tenant = $1", take_document,
                           document, err, db_text(tenant)));
}

int access_constraint_check(struct db *db, const char *tenant, const json_t *definition,
                            const struct access_prediction *predicted, struct cofre_err *err)
{
    CLEAN_JSON *document = NULL;
    int rc = constraint_load(&document, db, tenant, err);
    return rc < 0 ? rc : rc == 1 ? 0 : constraint_judge(document, definition, predicted, err);
}

int access_constraint_force(struct db *db, const char *tenant, json_t *definition, struct cofre_err *err)
{
    CLEAN_JSON *document = NULL;
    int rc = constraint_load(&document, db, tenant, err);
    return rc < 0 ? rc : rc == 1 ? 0 : constraint_force(document, definition, err);
}
