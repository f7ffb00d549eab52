#include "attest/service/endorsements.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/collateral.h"
#include "tdx/quote.h"
#include "vmm/base/file.h"

#define CERT_FILE_MAX (1u << 20)

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
    pthread_rwlock_wrlock(&e->lock);
    struct set *before = e->set;
    e->set = set;
    pthread_rwlock_unlock(&e->lock);
    set_free(before);
    return 0;
}

int endorsements_new(struct endorsements **out, const struct trust_config *config, struct cofre_err *err)
{
    struct endorsements *e = calloc(1, sizeof *e);
    if (!e)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    pthread_rwlock_init(&e->lock, NULL);
    int rc = endorsements_reload(e, config, err);
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
    set_free(e->set);
    pthread_rwlock_destroy(&e->lock);
    free(e);
}

/* The verdict without collateral says which platform it is; with one of another platform it could not pass. */
static int appraise_tdx(const struct set *set, struct verdict *out, struct appraisal *in,
                        struct cofre_err *err)
{
    int rc = appraise(out, in, err);
    for (size_t i = 0; i < set->collaterals && rc == 0; i++) {
        char fmspc[2 * sizeof set->collateral[0].tcb.fmspc + 1];
        hex_encode(fmspc, set->collateral[i].tcb.fmspc, sizeof set->collateral[i].tcb.fmspc);
        if (strcmp(fmspc, out->product) != 0)
            continue;
        verdict_free(out);
        in->collateral = &set->collateral[i];
        return appraise(out, in, err);
    }
    return rc;
}

int endorsements_appraise(struct endorsements *e, struct verdict *out, struct appraisal *in,
                          struct cofre_err *err)
{
    pthread_rwlock_rdlock(&e->lock);
    in->roots = &e->set->roots;
    in->crls = &e->set->crls;
    in->collateral = NULL;
    int rc =
        strcmp(in->evidence->tee, "tdx") == 0 ? appraise_tdx(e->set, out, in, err) : appraise(out, in, err);
    pthread_rwlock_unlock(&e->lock);
    return rc;
}
