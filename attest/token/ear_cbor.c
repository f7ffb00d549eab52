/* Results as the claims of a CWT. */
#include <string.h>

#include "attest/token/cwt.h"
#include "attest/token/ear_claims.h"

static void put_vector(struct cose_writer *w, const struct ear_vector *v)
{
    cose_begin(w);
    for (int i = 0; i < EAR_MEMBERS; i++)
        if (v->has[i]) {
            cose_put_int(w, i);
            cose_put_int(w, v->value[i]);
        }
    cose_end_map(w);
}

static void put_texts(struct cose_writer *w, const json_t *list)
{
    cose_begin(w);
    for (size_t i = 0; i < json_array_size(list); i++)
        cose_put_text(w, json_string_value(json_array_get(list, i)));
    cose_end_array(w);
}

static void put_claims(struct cose_writer *w, const void *of, const struct ear_claim *claims);

static void put_claim(struct cose_writer *w, const void *of, const struct ear_claim *claim)
{
    const void *at = ear_claim_at(of, claim);
    const struct ear_bytes *bytes = at;
    switch (claim->kind) {
    case EAR_TEXT:
        cose_put_text(w, at);
        break;
    case EAR_INTEGER:
    case EAR_STATUS:
        cose_put_int(w, *(const int64_t *)at);
        break;
    case EAR_FLAG:
        cose_put_bool(w, *(const bool *)at);
        break;
    case EAR_BYTES:
        cose_put_bytes(w, (struct view){bytes->data, bytes->len});
        break;
    case EAR_TEXTS:
        put_texts(w, *(json_t *const *)at);
        break;
    case EAR_VECTOR:
        put_vector(w, at);
        break;
    case EAR_GROUP:
        cose_begin(w);
        put_claims(w, of, claim->group);
        cose_end_map(w);
        break;
    }
}

static void put_claims(struct cose_writer *w, const void *of, const struct ear_claim *claims)
{
    for (; claims->name; claims++)
        if (ear_claim_is_there(of, claims)) {
            cose_put_int(w, claims->key);
            put_claim(w, of, claims);
        }
}

int ear_cbor(struct bytes *out, const struct ear *ear, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    cose_put_int(&w, EAR_PROFILE_KEY);
    cose_put_text(&w, EAR_PROFILE);
    put_claims(&w, ear, ear_token_claims);
    cose_put_int(&w, EAR_SUBMODS_KEY);
    cose_begin(&w);
    for (size_t i = 0; i < ear->submods; i++) {
        cose_put_text(&w, ear->submod[i].name);
        cose_begin(&w);
        put_claims(&w, &ear->submod[i], ear_submod_claims);
        cose_end_map(&w);
    }
    cose_end_map(&w);
    cose_end_map(&w);
    return cose_take(out, &w, err);
}

static struct view text_of(const struct cose_item *item)
{
    return item->kind == COSE_TEXT ? item->data : (struct view){0};
}

static int take_texts(void *of, const struct ear_claim *claim, const struct cose_item *list,
                      struct cofre_err *err)
{
    if (list->kind != COSE_ARRAY || list->number == 0)
        return ear_is_not(claim, "a list with one text at least", err);
    const struct cose_item *at = cose_first(list);
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < list->number; i++, at = cose_behind(at))
        rc = ear_take_texts_item(of, claim, text_of(at), err);
    return rc;
}

static int take_vector(struct ear_vector *v, const struct ear_claim *claim, const struct cose_item *map,
                       struct cofre_err *err)
{
    int rc = 0, found = 0;
    for (int i = 0; rc == 0 && i < EAR_MEMBERS; i++) {
        const struct cose_item *member = cose_at(map, i);
        int64_t value;
        if (!member)
            continue;
        if (!cose_int(&value, member))
            return ear_is_not(claim, "a vector of numbers", err);
        rc = ear_take_member(v, i, value, err);
        found++;
    }
    return rc < 0 || found ? rc : ear_is_not(claim, "a vector with one member at least", err);
}

static int take_claims(void *of, const struct ear_claim *claims, const struct cose_item *map,
                       struct cofre_err *err);

static int take_claim(void *of, const struct ear_claim *claim, const struct cose_item *item,
                      struct cofre_err *err)
{
    int64_t value = -1;
    switch (claim->kind) {
    case EAR_TEXT:
        return ear_take_text(of, claim, text_of(item), err);
    case EAR_INTEGER:
        (void)cose_int(&value, item);
        return ear_take_integer(of, claim, value, err);
    case EAR_STATUS:
        (void)cose_int(&value, item);
        return ear_take_status(of, claim, value, err);
    case EAR_FLAG:
        *(bool *)ear_claim_at(of, claim) = item->number;
        return item->kind == COSE_BOOL ? 0 : ear_is_not(claim, "true or false", err);
    case EAR_BYTES:
        return ear_take_bytes(of, claim, item->kind == COSE_BYTES ? item->data : (struct view){0}, err);
    case EAR_TEXTS:
        return take_texts(of, claim, item, err);
    case EAR_VECTOR:
        return take_vector(ear_claim_at(of, claim), claim, item, err);
    default:
        return item->kind == COSE_MAP ? take_claims(of, claim->group, item, err)
                                      : ear_is_not(claim, "a map", err);
    }
}

static int take_claims(void *of, const struct ear_claim *claims, const struct cose_item *map,
                       struct cofre_err *err)
{
    int rc = 0;
    for (; rc == 0 && claims->name; claims++) {
        const struct cose_item *item = cose_at(map, claims->key);
        if (item)
            rc = take_claim(of, claims, item, err);
        else if (claims->required)
            rc = cofre_fail(err, COFRE_MALFORMED, "%s (%d) is missing", claims->name, (int)claims->key);
    }
    return rc;
}

static int take_submods(struct ear *out, const struct cose_item *submods, struct cofre_err *err)
{
    if (!submods || submods->kind != COSE_MAP || submods->number == 0 || submods->number > EAR_SUBMODS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "submods (%d) is not a map of 1 to %d", EAR_SUBMODS_KEY,
                          EAR_SUBMODS_MAX);
    const struct cose_item *at = cose_first(submods);
    for (uint64_t i = 0; i < submods->number; i++, at = cose_behind(at + 1)) {
        struct ear_submod *s = &out->submod[out->submods++];
        static const struct ear_claim named = {"a submodule's name",
                                               EAR_SUBMODS_KEY,
                                               EAR_TEXT,
                                               offsetof(struct ear_submod, name),
                                               0,
                                               true,
                                               NULL};
        int rc = ear_take_text(s, &named, text_of(at), err);
        if (rc == 0 && at[1].kind != COSE_MAP)
            rc = cofre_fail(err, COFRE_MALFORMED, "it is no map");
        if (rc == 0)
            rc = take_claims(s, ear_submod_claims, at + 1, err);
        if (rc < 0)
            return cofre_within(err, rc, "submodule %s", s->name);
    }
    return 0;
}

int ear_from_cbor(struct ear *out, struct view claims, struct cofre_err *err)
{
    CLEAN_COSE_DOC doc = {0};
    *out = (struct ear){0};
    int rc = cose_read(&doc, claims, err);
    if (rc < 0)
        return cofre_within(err, rc, "the claims");
    rc = cose_is_text(cose_at(doc.item, EAR_PROFILE_KEY), EAR_PROFILE)
             ? take_claims(out, ear_token_claims, doc.item, err)
             : cofre_fail(err, COFRE_MALFORMED,
                          "eat_profile (%d) is not %s: it is no result that is read here", EAR_PROFILE_KEY,
                          EAR_PROFILE);
    if (rc == 0)
        rc = take_submods(out, cose_at(doc.item, EAR_SUBMODS_KEY), err);
    if (rc == 0)
        rc = ear_check_statuses(out, err);
    if (rc < 0)
        ear_free(out);
    return rc;
}
