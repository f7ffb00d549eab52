#include "attest/collateral/shelf.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/collateral/tdx_file.h"

#define PLACES     2048
#define FRESH      60 /* seconds, after which other instances' news are looked for */
#define FRESH_OVER 5  /* and after which a vendor is tried again for what has run out */

struct book {
    struct decoded decoded; /* first: what is given out is found back by it */
    char name[COLLATERAL_NAME_MAX];
    enum collateral_vendor vendor;
    unsigned refs;
    int64_t read_at, until; /* until: of the part that runs out first */
    uint64_t changes;
};

struct shelf {
    struct keeper *keeper;
    pthread_mutex_t lock;
    struct book *place[PLACES];
    size_t used, oldest;
};

static void book_free(struct book *b)
{
    x509_certs_free(&b->decoded.certs);
    x509_crls_free(&b->decoded.crls);
    tdx_collateral_free(&b->decoded.tdx);
    free(b);
}

/* Under the lock. */
static void release(struct book *b)
{
    if (--b->refs == 0)
        book_free(b);
}

static bool is_fresh(const struct shelf *s, const struct book *b, int64_t now)
{
    return b->changes == keeper_changes(s->keeper, b->vendor) && now >= b->read_at &&
           now - b->read_at < (now < b->until ? FRESH : FRESH_OVER);
}

static struct book **find(struct shelf *s, const char *name)
{
    for (size_t i = 0; i < s->used; i++)
        if (strcmp(s->place[i]->name, name) == 0)
            return &s->place[i];
    return NULL;
}

static const struct decoded *take(struct shelf *s, const char *name, int64_t now)
{
    pthread_mutex_lock(&s->lock);
    struct book **place = find(s, name), *b = place && is_fresh(s, *place, now) ? *place : NULL;
    if (b)
        b->refs++;
    pthread_mutex_unlock(&s->lock);
    return b ? &b->decoded : NULL;
}

/* The caller's own reference comes with it. */
static const struct decoded *put(struct shelf *s, struct book *b)
{
    pthread_mutex_lock(&s->lock);
    struct book **place = find(s, b->name);
    if (!place && s->used < PLACES)
        s->place[s->used++] = b;
    else {
        if (!place) {
            place = &s->place[s->oldest];
            s->oldest = (s->oldest + 1) % PLACES;
        }
        release(*place);
        *place = b;
    }
    b->refs = 2;
    pthread_mutex_unlock(&s->lock);
    return &b->decoded;
}

static struct book *new_book(struct shelf *s, const char *name, enum collateral_vendor vendor, int64_t now)
{
    struct book *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    (void)snprintf(b->name, sizeof b->name, "%s", name);
    b->vendor = vendor;
    b->read_at = now;
    b->until = COLLATERAL_FOR_EVER;
    b->changes = keeper_changes(s->keeper, vendor);
    return b;
}

/* Reads one thing; without effect on *item where nothing is held. */
static int get(struct shelf *s, struct db *db, const struct collateral_id *id, struct book *b,
               struct collateral_item *item, int64_t *again, struct cofre_err *err)
{
    int rc = keeper_get(s->keeper, db, id, item, again, err);
    if (rc == 0 && item->body.len && item->until < b->until)
        b->until = item->until;
    return rc;
}

static int read_vcek(struct shelf *s, struct db *db, const struct collateral_id *id, struct book *b,
                     int64_t *again, struct cofre_err *err)
{
    struct collateral_id of;
    CLEAN_ITEM vcek = {.issued = 0}, chain = {.issued = 0};
    int rc = get(s, db, id, b, &vcek, again, err);
    if (rc < 0 || vcek.body.len == 0)
        return rc;
    collateral_base(&of, id);
    rc = get(s, db, &of, b, &chain, again, err);
    if (rc == 0)
        rc = x509_certs_add(&b->decoded.certs, bytes_view(&vcek.body), err);
    return rc < 0 || chain.body.len == 0 ? rc
                                         : x509_certs_add(&b->decoded.certs, bytes_view(&chain.body), err);
}

static int read_crl(struct shelf *s, struct db *db, const struct collateral_id *id, struct book *b,
                    int64_t *again, struct cofre_err *err)
{
    CLEAN_ITEM crl = {.issued = 0};
    int rc = get(s, db, id, b, &crl, again, err);
    return rc < 0 || crl.body.len == 0 ? rc : x509_crls_add(&b->decoded.crls, bytes_view(&crl.body), err);
}

static bool is_empty(const struct book *b)
{
    return b->decoded.certs.count == 0 && b->decoded.crls.count == 0 &&
           b->decoded.tdx.tcb_signed.text.len == 0;
}

static int read_one(struct shelf *s, struct db *db, const struct collateral_id *id, int64_t now,
                    const struct decoded **out, int64_t *again,
                    int (*read)(struct shelf *s, struct db *db, const struct collateral_id *id,
                                struct book *b, int64_t *again, struct cofre_err *err),
                    struct cofre_err *err)
{
    char name[COLLATERAL_NAME_MAX];
    collateral_name(name, id);
    *out = take(s, name, now);
    if (*out)
        return 0;
    struct book *b = new_book(s, name, collateral_vendor(id->kind), now);
    int rc = b ? read(s, db, id, b, again, err) : cofre_fail(err, COFRE_FAILED, "out of memory");
    if (rc == 0 && !is_empty(b))
        *out = put(s, b);
    else if (b)
        book_free(b);
    return rc;
}

int shelf_vcek(struct shelf *s, struct db *db, const struct collateral_id *id, int64_t now,
               const struct decoded **out, int64_t *again, struct cofre_err *err)
{
    return read_one(s, db, id, now, out, again, read_vcek, err);
}

int shelf_crl(struct shelf *s, struct db *db, const struct collateral_id *id, int64_t now,
              const struct decoded **out, int64_t *again, struct cofre_err *err)
{
    return read_one(s, db, id, now, out, again, read_crl, err);
}

#define PARTS 4

static int read_tdx(struct shelf *s, struct db *db, const struct shelf_platform *p, struct book *b,
                    int64_t *again, struct cofre_err *err)
{
    struct collateral_id id[PARTS] = {{.kind = PCS_TCB_INFO, .early = p->early},
                                      {.kind = PCS_QE_IDENTITY, .early = p->early},
                                      {.kind = PCS_PCK_CRL, .platform_ca = p->platform_ca},
                                      {.kind = PCS_ROOT_CRL}};
    struct collateral_item item[PARTS] = {{.issued = 0}};
    struct tdx_part part[PARTS];
    size_t parts = 0;
    int rc = 0;
    memcpy(id[0].fmspc, p->fmspc, sizeof p->fmspc);
    for (size_t i = 0; i < PARTS && rc == 0; i++) {
        rc = get(s, db, &id[i], b, &item[i], again, err);
        if (rc == 0 && item[i].body.len)
            part[parts++] = (struct tdx_part){id[i].kind, &item[i]};
    }
    if (rc == 0 && item[0].body.len)
        rc = tdx_file_read(&b->decoded.tdx, part, parts, err);
    for (size_t i = 0; i < PARTS; i++)
        collateral_item_free(&item[i]);
    return rc;
}

int shelf_tdx(struct shelf *s, struct db *db, const struct shelf_platform *platform, int64_t now,
              const struct decoded **out, int64_t *again, struct cofre_err *err)
{
    char name[COLLATERAL_NAME_MAX], fmspc[2 * sizeof platform->fmspc + 1];
    hex_encode(fmspc, platform->fmspc, sizeof platform->fmspc);
    (void)snprintf(name, sizeof name, "%s under %s, %s", fmspc,
                   platform->platform_ca ? "platform" : "processor", platform->early ? "early" : "standard");
    *out = take(s, name, now);
    if (*out || !db)
        return 0;
    struct book *b = new_book(s, name, COLLATERAL_INTEL, now);
    int rc = b ? read_tdx(s, db, platform, b, again, err) : cofre_fail(err, COFRE_FAILED, "out of memory");
    if (rc == 0 && !is_empty(b))
        *out = put(s, b);
    else if (b)
        book_free(b);
    return rc;
}

int shelf_new(struct shelf **out, struct keeper *keeper, struct cofre_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    (*out)->keeper = keeper;
    pthread_mutex_init(&(*out)->lock, NULL);
    return 0;
}

void shelf_give_back(struct shelf *s, const struct decoded *decoded)
{
    if (!decoded)
        return;
    pthread_mutex_lock(&s->lock);
    release((struct book *)decoded);
    pthread_mutex_unlock(&s->lock);
}

void shelf_free(struct shelf *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->used; i++)
        release(s->place[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
