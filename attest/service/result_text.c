#include "attest/service/result_text.h"

#include <stdlib.h>
#include <string.h>

#include "attest/json_writer.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

static void put_policy(struct json_writer *w, const struct result *r)
{
    writer_text(w, "policy");
    writer_open_object(w);
    writer_pair(w, "name", r->policy);
    writer_number(w, "version", r->policy_version);
    writer_close_object(w);
}

/* All but the verdict. */
static char *describe(const struct result *r, const char *cwt)
{
    CLEAN_WRITER w = writer_new();
    char made[TIME_TEXT_SIZE];
    if (w.bad)
        return NULL;
    time_format(made, r->made);
    writer_open_object(&w);
    writer_pair(&w, "id", r->id);
    writer_pair(&w, "made", made);
    writer_pair(&w, "outcome", r->outcome);
    writer_pair(&w, "tee", r->tee);
    put_policy(&w, r);
    writer_number(&w, "log_entry", r->log_index);
    writer_pair(&w, "cwt", cwt);
    if (*r->jwt)
        writer_pair(&w, "jwt", r->jwt);
    writer_close_object(&w);
    return writer_take(&w);
}

char *result_text(const struct result *r)
{
    CLEAN_FREE char *cwt = NULL;
    CLEAN_FREE char *most = base64_encode(&cwt, r->cwt, NULL) == 0 ? describe(r, cwt) : NULL;
    const int before_brace = most ? (int)strlen(most) - 1 : 0;
    char *text = NULL;
    return most && asprintf(&text, "%.*s,\"verdict\":%s}", before_brace, most, r->verdict) >= 0 ? text : NULL;
}

json_t *result_json(const struct result *r)
{
    CLEAN_FREE char *text = result_text(r);
    return text ? json_loads(text, 0, NULL) : NULL;
}
