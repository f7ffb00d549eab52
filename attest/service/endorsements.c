#include <stdlib.h>
#include <string.h>

#include "attest/service/endorsements_parts.h"
#include "vmm/base/file.h"

#define CERT_FILE_MAX (1u << 20)

/* Of vendors' services. A worker waits no longer than a guest that boots can. */
#define WAIT_MS    5000
#define CONNECT_MS 3000
#define WHOLE_MS   10000

static void set_free(struct endorsement_set *set)
{
    if (!set)
        return;
    x509_certs_free(&set->roots);
    x509_crls_free(&set->crls);
    for (size_t i = 0; i < set->collaterals; i++)
        tdx_collateral_free(&set->collateral[i]);
    free(set);
}

static struct endorsement_set *take(struct endorsements *e)
{
    pthread_mutex_lock(&e->lock);
    struct endorsement_set *set = e->set;
    set->users++;
    pthread_mutex_unlock(&e->lock);
    return set;
}

static void give_back(struct endorsements *e, struct endorsement_set *set)
{
    if (!set)
        return;
    pthread_mutex_lock(&e->lock);
    const bool last = --set->users == 0;
    pthread_mutex_unlock(&e->lock);
    if (last)
        set_free(set);
}

static int add_root(struct endorsement_set *set, struct view file, struct cofre_err *err)
{
    return x509_certs_add(&set->roots, file, err);
}

static int add_crl(struct endorsement_set *set, struct view file, struct cofre_err *err)
{
    return x509_crls_add(&set->crls, file, err);
}

static int add_collateral(struct endorsement_set *set, struct view file, struct cofre_err *err)
{
    int rc = tdx_collateral_parse(&set->collateral[set->collaterals], file, err);
    set->collaterals += rc == 0;
    return rc;
}

static int read_files(struct endorsement_set *set, const struct trust_files *files, size_t max,
                      int (*add)(struct endorsement_set *set, struct view file, struct cofre_err *err),
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

static int read_set(struct endorsement_set *set, const struct trust_config *config, struct cofre_err *err)
{
    int rc = read_files(set, &config->trust_roots, CERT_FILE_MAX, add_root, err);
    if (rc == 0)
        rc = read_files(set, &config->crls, CERT_FILE_MAX, add_crl, err);
    return rc < 0 ? rc : read_files(set, &config->collateral, TDX_COLLATERAL_FILE_MAX, add_collateral, err);
}

int endorsements_reload(struct endorsements *e, const struct trust_config *config, struct cofre_err *err)
{
    struct endorsement_set *set = calloc(1, sizeof *set);
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
    set->users = 1;
    pthread_mutex_lock(&e->lock);
    struct endorsement_set *before = e->set;
    e->set = set;
    pthread_mutex_unlock(&e->lock);
    give_back(e, before);
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
    pthread_mutex_init(&e->lock, NULL);
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
    pthread_mutex_destroy(&e->lock);
    free(e);
}

int occasion_take_no(struct occasion *o, int rc, const struct cofre_err *why)
{
    if (rc != -COFRE_NEGATIVE)
        return rc;
    o->lacking = *why;
    return 0;
}

static int appraise_on(struct occasion *o, struct verdict *out, struct cofre_err *err)
{
    o->in->roots = &o->set->roots;
    o->in->crls = &o->set->crls;
    o->in->lacking = o->lacking.text;
    o->in->finder = (struct appraisal_finder){occasion_find_tdx, o};
    int rc = x509_crls_join(&o->crls, &o->set->crls, err);
    if (rc == 0 && strcmp(o->in->evidence->tee, "snp") == 0)
        rc = occasion_equip_snp(o, err);
    return rc < 0 ? rc : appraise(out, o->in, err);
}

int endorsements_appraise(struct endorsements *e, struct db *db, struct verdict *out, struct appraisal *in,
                          int64_t *again, struct cofre_err *err)
{
    struct endorsement_set *set = take(e);
    struct occasion o = {.e = e, .set = set, .db = db, .in = in};
    int rc = appraise_on(&o, out, err);
    x509_crls_free(&o.crls);
    give_back(e, set);
    shelf_give_back(e->shelf, o.certs);
    shelf_give_back(e->shelf, o.list);
    shelf_give_back(e->shelf, o.collateral);
    *again = o.again;
    return rc;
}
