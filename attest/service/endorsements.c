#include "attest/service/endorsements.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "attest/collateral/shelf.h"
#include "sev/report.h"
#include "tdx/chain.h"
#include "tdx/pck.h"
#include "vmm/base/file.h"

#define CERT_FILE_MAX (1u << 20)

/* Of vendors' services. A worker waits no longer than a guest that boots can. */
#define WAIT_MS    5000
#define CONNECT_MS 3000
#define WHOLE_MS   10000

/* What was read at once. */
struct set {
    struct x509_certs roots;
    struct x509_crls crls;
    struct tdx_collateral collateral[TRUST_FILES_MAX];
    size_t collaterals;
};

struct endorsements {
    pthread_rwlock_t lock;
    struct set *set;
    struct keeper *keeper;
    struct shelf *shelf;
    bool early;
};

static void set_free(struct set *set)
{
    if (!set)
        return;
    x509_certs_free(&set->roots);
    x509_crls_free(&set->crls);
    for (size_t i = 0; i < set->collaterals; i++)
        tdx_collateral_free(&set->collateral[i]);
    free(set);
}

static int add_root(struct set *set, struct view file, struct cofre_err *err)
{
    return x509_certs_add(&set->roots, file, err);
}

static int add_crl(struct set *set, struct view file, struct cofre_err *err)
{
    return x509_crls_add(&set->crls, file, err);
}

static int add_collateral(struct set *set, struct view file, struct cofre_err *err)
{
    int rc = tdx_collateral_parse(&set->collateral[set->collaterals], file, err);
    set->collaterals += rc == 0;
    return rc;
}

static int read_files(struct set *set, const struct trust_files *files, size_t max,
                      int (*add)(struct set *set, struct view file, struct cofre_err *err),
                      struct cofre_err *err)
{
    for (size_t i = 0; i < TRUST_FILES_MAX && files->path[i]; i++) {
        CLEAN_BYTES file = {0};
        int rc = file_read(&file, files->path[i], max, err);
        if (rc < 0)
            return rc;
        rc = add(set, bytes_view(&file), err);
        if (rc < 0)
            return cofre_within(err, rc, "%s", files->path[i]);
    }
    return 0;
}

static int read_set(struct set *set, const struct trust_config *config, struct cofre_err *err)
{
    int rc = read_files(set, &config->trust_roots, CERT_FILE_MAX, add_root, err);
    if (rc == 0)
        rc = read_files(set, &config->crls, CERT_FILE_MAX, add_crl, err);
    return rc < 0 ? rc : read_files(set, &config->collateral, TDX_COLLATERAL_FILE_MAX, add_collateral, err);
}

int endorsements_reload(struct endorsements *e, const struct trust_config *config, struct cofre_err *err)
{
    struct set *set = calloc(1, sizeof *set);
    int rc = set ? read_set(set, config, err) : cofre_fail(err, COFRE_FAILED, "out of memory");
    if (rc < 0) {
        set_free(set);
        return rc;
    }
    rc = keeper_use_roots(e->keeper, &set->roots, err);
    if (rc < 0) {
        set_free(set);
        return rc;
    }
    pthread_rwlock_wrlock(&e->lock);
    struct set *before = e->set;
    e->set = set;
    pthread_rwlock_unlock(&e->lock);
    set_free(before);
    return 0;
}

/* Half of the workers wait for vendors at most: the others judge what needs none. */
static int start_keeper(struct endorsements *e, const struct trust_config *config, int64_t (*clock)(void),
                        struct cofre_err *err)
{
    const struct keeper_config keeping = {
        .database = config->database,
        .sources = {.kds = config->kds,
                    .pcs = config->pcs,
                    .pccs = config->pccs,
                    .pcs_root_crl = config->pcs_root_crl ? config->pcs_root_crl : COLLATERAL_PCS_ROOT_CRL},
        .waiters = config->workers / 2,
        .wait_ms = WAIT_MS,
        .limits = {.body = COLLATERAL_BODY_MAX, .connect_ms = CONNECT_MS, .whole_ms = WHOLE_MS},
        .clock = clock};
    int rc = keeper_new(&e->keeper, &keeping, err);
    if (rc == 0)
        rc = shelf_new(&e->shelf, e->keeper, err);
    if (rc == 0)
        rc = endorsements_reload(e, config, err);
    return rc < 0 ? rc : keeper_start(e->keeper, err);
}

int endorsements_new(struct endorsements **out, const struct trust_config *config, int64_t (*clock)(void),
                     struct cofre_err *err)
{
    struct endorsements *e = calloc(1, sizeof *e);
    if (!e)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    pthread_rwlock_init(&e->lock, NULL);
    e->early = config->tcb_update && strcmp(config->tcb_update, "early") == 0;
    int rc = start_keeper(e, config, clock, err);
    if (rc < 0) {
        endorsements_free(e);
        return rc;
    }
    *out = e;
    return 0;
}

void endorsements_free(struct endorsements *e)
{
    if (!e)
        return;
    keeper_free(e->keeper);
    shelf_free(e->shelf);
    set_free(e->set);
    pthread_rwlock_destroy(&e->lock);
    free(e);
}

/* One appraisal, and what was taken from the shelf for it. */
struct occasion {
    struct endorsements *e;
    const struct set *set;
    struct db *db;
    struct appraisal *in;
    struct x509_crls crls; /* the files' and the vendor's */
    const struct decoded *certs, *list, *collateral;
    struct cofre_err lacking;
    int64_t again;
};

/* A vendor's "no such thing" is a reason for the verdict; all else is one to judge later. */
static int take_no(struct occasion *o, int rc, const struct cofre_err *why)
{
    if (rc != -COFRE_NEGATIVE)
        return rc;
    o->lacking = *why;
    return 0;
}

/* ---- SEV-SNP ---- */

/* What its own table of certificates says of who signed a report. */
struct signer {
    bool has_leaf, vlek;
    enum snp_product product;
};

static enum snp_product product_of(struct view der)
{
    CLEAN_CERTS certs = {.count = 0};
    struct snp_leaf leaf;
    return x509_certs_add(&certs, der, NULL) == 0 && snp_leaf_parse(&leaf, certs.cert[0], NULL) == 0
               ? leaf.product
               : SNP_PRODUCT_UNKNOWN;
}

static void find_signer(struct signer *out, const struct evidence *evidence, const struct snp_report *report)
{
    struct snp_cert_table table;
    *out = (struct signer){.vlek = SNP_REPORT_SIGNING_KEY(report->flags) == SNP_SIGNING_KEY_VLEK,
                           .product = snp_report_product(report)};
    if (evidence->certificates.len == 0 ||
        snp_cert_table_parse(&table, bytes_view(&evidence->certificates), NULL) < 0)
        return;
    for (size_t i = 0; i < table.count; i++) {
        enum snp_cert_kind kind = table.entry[i].kind;
        if (kind != SNP_CERT_VCEK && kind != SNP_CERT_VLEK)
            continue;
        out->has_leaf = true;
        if (out->product == SNP_PRODUCT_UNKNOWN)
            out->product = product_of(table.entry[i].data);
    }
}

static int take_vcek(struct occasion *o, const struct snp_report *report, enum snp_product product,
                     struct cofre_err *err)
{
    struct collateral_id id = {.kind = KDS_VCEK, .product = product};
    struct cofre_err why = {""};
    memcpy(id.hwid, report->chip_id, sizeof id.hwid);
    if (bytes_are_zero(id.hwid, sizeof id.hwid) || !snp_tcb_decode(&id.tcb, report->reported_tcb, product))
        return 0;
    int rc = shelf_vcek(o->e->shelf, o->db, &id, o->in->at, &o->certs, &o->again, &why);
    if (o->certs)
        o->in->certs = &o->certs->certs;
    *err = why;
    return take_no(o, rc, &why);
}

static int take_list(struct occasion *o, const struct signer *signer, struct cofre_err *err)
{
    const struct collateral_id id = {.kind = KDS_CRL, .product = signer->product, .vlek = signer->vlek};
    int rc = shelf_crl(o->e->shelf, o->db, &id, o->in->at, &o->list, &o->again, err);
    if (rc < 0 || !o->list)
        return rc == -COFRE_NEGATIVE ? -COFRE_LACKING : rc;
    rc = x509_crls_join(&o->crls, &o->list->crls, err);
    o->in->crls = &o->crls;
    return rc;
}

/* Evidence that is no report is refused by who judges it. */
static int equip_snp(struct occasion *o, struct cofre_err *err)
{
    struct snp_report report;
    struct signer signer;
    if (snp_report_parse(&report, bytes_view(&o->in->evidence->report), NULL) < 0)
        return 0;
    find_signer(&signer, o->in->evidence, &report);
    if (signer.product == SNP_PRODUCT_UNKNOWN)
        return 0;
    int rc = signer.has_leaf || signer.vlek ? 0 : take_vcek(o, &report, signer.product, err);
    return rc == 0 && (signer.has_leaf || o->certs) ? take_list(o, &signer, err) : rc;
}

/* ---- TDX ---- */

static bool is_genuine(const struct occasion *o, const struct tdx_chain *chain)
{
    return chain->leaf && chain->intermediate && chain->root &&
           (tdx_root_is_intel(chain->root) || x509_certs_have(&o->set->roots, chain->root)) &&
           x509_check_issued(&tdx_scheme, chain->root, chain->root, NULL) == 0 &&
           x509_check_issued(&tdx_scheme, chain->intermediate, chain->root, NULL) == 0 &&
           x509_check_issued(&tdx_scheme, chain->leaf, chain->intermediate, NULL) == 0;
}

/* Nobody is asked about a platform that anybody could have made up. */
static int take_collateral(struct occasion *o, const struct tdx_pck *pck, const struct tdx_chain *chain,
                           struct cofre_err *err)
{
    const enum tdx_role ca = chain->intermediate ? tdx_cert_role(chain->intermediate) : TDX_ROLE_OTHER;
    struct shelf_platform platform = {.platform_ca = ca == TDX_ROLE_PLATFORM_CA, .early = o->e->early};
    struct cofre_err why = {""};
    if (ca != TDX_ROLE_PLATFORM_CA && ca != TDX_ROLE_PROCESSOR_CA)
        return 0;
    memcpy(platform.fmspc, pck->fmspc, sizeof platform.fmspc);
    int rc = shelf_tdx(o->e->shelf, NULL, &platform, o->in->at, &o->collateral, &o->again, &why);
    if (rc == 0 && !o->collateral && is_genuine(o, chain))
        rc = shelf_tdx(o->e->shelf, o->db, &platform, o->in->at, &o->collateral, &o->again, &why);
    *err = why;
    return take_no(o, rc, &why);
}

static int find_collateral(void *context, const struct tdx_pck *pck, const struct tdx_chain *chain,
                           const struct tdx_collateral **out, struct cofre_err *err)
{
    struct occasion *o = context;
    for (size_t i = 0; i < o->set->collaterals; i++)
        if (memcmp(o->set->collateral[i].tcb.fmspc, pck->fmspc, sizeof pck->fmspc) == 0) {
            *out = &o->set->collateral[i];
            return 0;
        }
    int rc = take_collateral(o, pck, chain, err);
    if (o->collateral)
        *out = &o->collateral->tdx;
    return rc;
}

static int appraise_on(struct occasion *o, struct verdict *out, struct cofre_err *err)
{
    o->in->roots = &o->set->roots;
    o->in->crls = &o->set->crls;
    o->in->lacking = o->lacking.text;
    o->in->finder = (struct appraisal_finder){find_collateral, o};
    int rc = x509_crls_join(&o->crls, &o->set->crls, err);
    if (rc == 0 && strcmp(o->in->evidence->tee, "snp") == 0)
        rc = equip_snp(o, err);
    return rc < 0 ? rc : appraise(out, o->in, err);
}

int endorsements_appraise(struct endorsements *e, struct db *db, struct verdict *out, struct appraisal *in,
                          int64_t *again, struct cofre_err *err)
{
    struct occasion o = {.e = e, .db = db, .in = in};
    pthread_rwlock_rdlock(&e->lock);
    o.set = e->set;
    int rc = appraise_on(&o, out, err);
    pthread_rwlock_unlock(&e->lock);
    x509_crls_free(&o.crls);
    shelf_give_back(e->shelf, o.certs);
    shelf_give_back(e->shelf, o.list);
    shelf_give_back(e->shelf, o.collateral);
    *again = o.again;
    return rc;
}
