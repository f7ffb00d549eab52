#include "attest/json_writer.h"
#include "attest/verdict.h"
#include "vmm/base/cleanup.h"

static void put_check(struct json_writer *w, const struct check_result *c)
{
    writer_open_object(w);
    writer_pair(w, "id", c->id);
    if (c->outcome == CHECK_PASSED || c->outcome == CHECK_FAILED)
        writer_truth(w, "ok", c->outcome == CHECK_PASSED);
    else
        writer_pair(w, "ok", NULL);
    writer_pair(w, "why", c->why);
    if (c->outcome == CHECK_SKIPPED)
        writer_truth(w, "skipped", true);
    if (c->outcome == CHECK_UNJUDGED)
        writer_truth(w, "unjudged", true);
    writer_close_object(w);
}

static void put_checks(struct json_writer *w, const struct verdict *v)
{
    writer_text(w, "checks");
    writer_open_list(w);
    for (size_t i = 0; i < v->count; i++)
        put_check(w, &v->check[i]);
    writer_close_list(w);
}

char *verdict_text(const struct verdict *v)
{
    CLEAN_WRITER w = writer_new();
    if (w.bad)
        return NULL;
    writer_open_object(&w);
    writer_pair(&w, "verdict", verdict_outcome(v) == CHECK_PASSED ? "pass" : "fail");
    writer_pair(&w, "outcome", verdict_outcome_word(v));
    writer_pair(&w, "tee", v->tee);
    writer_number(&w, "version", v->version);
    writer_pair(&w, "product", v->product);
    writer_truth(&w, "emulated", v->emulated);
    writer_pair(&w, "root", v->root);
    put_checks(&w, v);
    writer_value(&w, "claims", v->claims);
    writer_pair(&w, "tcb_status", v->tcb_status);
    writer_value(&w, "advisories", v->advisories);
    if (v->reference)
        writer_value(&w, "reference", v->reference);
    writer_close_object(&w);
    return writer_take(&w);
}

json_t *verdict_json(const struct verdict *v)
{
    CLEAN_FREE char *text = verdict_text(v);
    return text ? json_loads(text, 0, NULL) : NULL;
}
