/* GET /v1/reference-values.cose: what is good now, as a CoRIM that the service signs. */
#include <stdio.h>
#include <string.h>

#include "attest/corim/corim.h"
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/service/signer.h"
#include "attest/store/reference.h"

struct export
{
    struct corim corim;
    const char *name; /* NULL: all */
    int64_t now;
};

/* What is good now. The file is valid while all of it is. */
static int take_good(void *context, const struct stored_reference *s, struct cofre_err *err)
{
    struct export *out = context;
    const struct reference *r = &s->value;
    if (r->tee != out->corim.tee || reference_state(r, out->now) != REFERENCE_GOOD ||
        (out->name && strcmp(out->name, r->name) != 0))
        return 0;
    const int64_t until = r->retired && r->retired < r->until ? r->retired : r->until;
    if (r->from > out->corim.from)
        out->corim.from = r->from;
    if (until < out->corim.until)
        out->corim.until = until;
    return references_append(&out->corim.values, r, err);
}

static int read_query(struct export *out, struct call *call, struct cofre_err *err)
{
    const char *tee = request_parameter(call->request, "tee");
    out->name = request_parameter(call->request, "name");
    for (enum reference_tee i = 0; tee && i < REFERENCE_TEES; i++)
        if (strcmp(tee, reference_tee_names[i]) == 0) {
            out->corim.tee = i;
            return 0;
        }
    return cofre_fail(err, COFRE_USAGE, "the query has to have tee, which is snp or tdx");
}

static int make_export(struct export *out, struct call *call, struct bytes *file, struct cofre_err *err)
{
    int rc = read_query(out, call, err);
    if (rc == 0)
        rc = stored_reference_list_all(call->db, take_good, out, err);
    if (rc < 0)
        return rc;
    if (out->corim.values.count == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "no such reference value is good now");
    if (out->corim.until == INT64_MAX)
        out->corim.from = 0;
    (void)snprintf(out->corim.signer, sizeof out->corim.signer, "%s", call->trust->config->name);
    (void)snprintf(out->corim.id, sizeof out->corim.id, "%.90s:%lld", out->corim.signer, (long long)out->now);
    out->corim.entity[0].roles = 1u << CORIM_ROLE_SIGNER;
    (void)snprintf(out->corim.entity[0].name, sizeof out->corim.entity[0].name, "%s", out->corim.signer);
    out->corim.entities = 1;
    return signer_sign_corim(call->trust->signer, file, &out->corim, err);
}

void references_export(struct call *call)
{
    struct cofre_err err;
    CLEAN_BYTES file = {0};
    struct export out = {.corim = {.until = INT64_MAX}, .now = call->now};
    int rc = make_export(&out, call, &file, &err);
    corim_free(&out.corim);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer(call->request, 200, "application/rim+cose", bytes_view(&file));
}
