#include "attest/collateral/fetch.h"

#include <string.h>

#include "attest/collateral/kinds.h"

bool collateral_has_source(const struct collateral_sources *s, enum collateral_vendor vendor)
{
    return vendor == COLLATERAL_AMD ? s->kds != NULL : s->pcs || s->pccs;
}

static const char *who(const struct collateral_question *q)
{
    if (collateral_vendor(q->id->kind) == COLLATERAL_AMD)
        return "AMD's key service";
    return q->sources->pccs ? "the PCCS" : "Intel's service";
}

/* PCCS: 461 is a platform that it was never told of. Intel's: 410 is an evaluation number that ran out. */
static const struct {
    long status;
    enum cofre_error code;
    const char *means;
} statuses[] = {
    {400, COFRE_LACKING, "the question is malformed"},
    {404, COFRE_NEGATIVE, "there is no such thing"},
    {410, COFRE_NEGATIVE, "there is no such thing any more"},
    {429, COFRE_LACKING, "too many questions"},
    {461, COFRE_NEGATIVE, "the platform is not known"},
    {502, COFRE_LACKING, "what it asks itself does not answer"},
    {503, COFRE_LACKING, "it cannot answer now"},
};

static int refuse_status(const struct collateral_question *q, long status, struct cofre_err *err)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status)
            return cofre_fail(err, statuses[i].code, "%s answered %ld (%s)", who(q), status,
                              statuses[i].means);
    return cofre_fail(err, COFRE_LACKING, "%s answered %ld", who(q), status);
}

static int take(struct collateral_item *out, struct download *got, const struct collateral_question *q,
                struct cofre_err *err)
{
    *out = (struct collateral_item){.body = got->body, .chain = got->header};
    got->body = got->header = (struct bytes){0};
    int rc = 0;
    if (q->id->kind == PCS_PCK_CRL || q->id->kind == PCS_ROOT_CRL)
        rc = pcs_unwrap_crl(&out->body, err);
    if (rc == 0)
        rc = collateral_check(q->id, out, q->base, q->roots, q->now, err);
    if (rc < 0) {
        collateral_item_free(out);
        (void)cofre_within(err, rc, "%s sent what is not kept", who(q));
        return rc == -COFRE_FAILED ? rc : -COFRE_LACKING;
    }
    return 0;
}

static int ask(struct collateral_item *out, char retry_after[64], const struct collateral_question *q,
               struct cofre_err *err)
{
    char url[COLLATERAL_URL_MAX];
    CLEAN_DOWNLOAD got = {.status = 0};
    if (collateral_vendor(q->id->kind) == COLLATERAL_AMD)
        kds_url(url, q->sources->kds, q->id);
    else
        pcs_url(url, q->sources, q->id);
    const struct download_order order = {.url = url,
                                         .header = pcs_chain_header(q->id->kind),
                                         .limits = q->limits,
                                         .is_over = q->is_over,
                                         .context = q->context};
    int rc = download(&got, &order, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", who(q));
    strcpy(retry_after, got.retry_after);
    return got.status == 200 ? take(out, &got, q, err) : refuse_status(q, got.status, err);
}

int collateral_fetch(struct collateral_item *out, char retry_after[64], const struct collateral_question *q,
                     struct cofre_err *err)
{
    char what[COLLATERAL_NAME_MAX];
    *out = (struct collateral_item){.issued = 0};
    retry_after[0] = 0;
    int rc = ask(out, retry_after, q, err);
    collateral_describe(what, q->id);
    return rc < 0 ? cofre_within(err, rc, "%s", what) : 0;
}
