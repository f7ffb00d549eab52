/* Files of collateral from anybody: whatever was changed in a genuine one, nothing is kept but what Intel's emulated keys signed,
 * under its own name. */
#include <string.h>

#include "attest/collateral/parcel.h"
#include "attest/store/collateral.h"
#include "attest/store/schema.h"
#include "tdx/model/platform.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

static struct bytes seed;
static struct x509_certs roots;
static struct db *db;

/* The documents as Intel's service answers. */
static const struct {
    const char *name, *member, *signature, *chain, *answer;
} documents[] = {
    {"pcs/tcb/e006c0f00000/standard", "tcb_info", "tcb_info_signature", "tcb_info_issuer_chain", "tcbInfo"},
    {"pcs/qe/early", "qe_identity", "qe_identity_signature", "qe_identity_issuer_chain", "enclaveIdentity"},
    {"pcs/pckcrl/platform", "pck_crl", NULL, "pck_crl_issuer_chain", NULL},
    {"pcs/rootcacrl", "root_ca_crl", NULL, NULL, NULL},
};
#define DOCUMENTS (sizeof documents / sizeof *documents)

static void body_of(struct bytes *out, const json_t *file, size_t i)
{
    const char *text = json_string_value(json_object_get(file, documents[i].member));
    CLEAN_FREE char *answer = NULL;
    FUZZ_CHECK(text);
    if (!documents[i].answer) {
        FUZZ_CHECK(hex_decode_some(out, COLLATERAL_BODY_MAX, text, NULL) == 0);
        return;
    }
    int len = asprintf(&answer, "{\"%s\":%s,\"signature\":\"%s\"}", documents[i].answer, text,
                       json_string_value(json_object_get(file, documents[i].signature)));
    FUZZ_CHECK(len > 0 && bytes_copy(out, (struct view){(uint8_t *)answer, (size_t)len}, NULL) == 0);
}

static void make_seed(const struct bytes *collateral)
{
    CLEAN_JSON *file = json_loadb((const char *)collateral->data, collateral->len, 0, NULL);
    CLEAN_JSON *items = json_array();
    for (size_t i = 0; i < DOCUMENTS; i++) {
        CLEAN_BYTES body = {0};
        CLEAN_FREE char *base64 = NULL;
        body_of(&body, file, i);
        FUZZ_CHECK(base64_encode(&base64, bytes_view(&body), NULL) == 0);
        json_t *item = json_pack("{s:s, s:s}", "name", documents[i].name, "body", base64);
        if (documents[i].chain)
            json_object_set(item, "chain", json_object_get(file, documents[i].chain));
        FUZZ_CHECK(json_array_append_new(items, item) == 0);
    }
    CLEAN_JSON *whole = json_pack("{s:i, s:O}", "cofre_collateral", 1, "items", items);
    CLEAN_FREE char *text = json_dumps(whole, JSON_COMPACT);
    FUZZ_CHECK(text && strlen(text) <= FUZZ_SEED_MAX);
    FUZZ_CHECK(bytes_copy(&seed, (struct view){(uint8_t *)text, strlen(text)}, NULL) == 0);
}

/* The database is a file that has no name any more. */
static void set_up(void)
{
    char dir[] = "/tmp/cofre-fuzz-XXXXXX", command[64], name[64];
    struct tdx_platform *platform = NULL;
    struct parcel_counts counts;
    CLEAN_BYTES collateral = {0}, root = {0};
    FUZZ_CHECK(mkdtemp(dir) && tdx_platform_open(&platform, dir, NULL, NULL) == 0);
    FUZZ_CHECK(tdx_platform_collateral(platform, FUZZ_NOW, &collateral, NULL) == 0);
    FUZZ_CHECK(tdx_platform_root(platform, &root, NULL) == 0);
    FUZZ_CHECK(x509_certs_add(&roots, bytes_view(&root), NULL) == 0);
    tdx_platform_close(platform);
    make_seed(&collateral);
    (void)snprintf(name, sizeof name, "%s/db", dir);
    FUZZ_CHECK(db_open(&db, name, NULL) == 0 && schema_bring(db, NULL) == 0);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    FUZZ_CHECK(system(command) == 0);
    FUZZ_CHECK(parcel_import(&counts, db, bytes_view(&seed), &roots, FUZZ_NOW, NULL) == 0 &&
               counts.kept == DOCUMENTS);
}

static int check_row(void *context, const struct stored_collateral *c, struct cofre_err *err)
{
    static const char *const names[] = {"pcs/tcb/e006c0f00000/standard",
                                        "pcs/tcb/e006c0f00000/early",
                                        "pcs/qe/standard",
                                        "pcs/qe/early",
                                        "pcs/pckcrl/platform",
                                        "pcs/rootcacrl"};
    bool known = false;
    (void)context, (void)err;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        known |= strcmp(names[i], c->name) == 0;
    FUZZ_CHECK(known && c->issued <= FUZZ_NOW && c->until > FUZZ_NOW);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parcel_counts counts;
    struct cofre_err err = {""};
    if (!db)
        set_up();
    if (parcel_import(&counts, db, (struct view){data, size}, &roots, FUZZ_NOW, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return 0;
    }
    FUZZ_CHECK(stored_collateral_list(db, "", 100, check_row, NULL, NULL) >= 0);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (!db)
        set_up();
    if (index > 0)
        return 0;
    memcpy(out, seed.data, seed.len);
    return seed.len;
}
