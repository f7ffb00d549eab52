#include "tdx/pcs.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/base/timestamp.h"

#define ADVISORIES_MAX        256
#define ADVISORY_MAX          64 /* characters of one */
#define EVALUATION_NUMBER_MAX 0x7fffffffu

static int member(const json_t *object, const char *name, json_t **out, struct cofre_err *err)
{
    *out = json_object_get(object, name);
    return *out ? 0 : cofre_fail(err, COFRE_MALFORMED, "\"%s\" is missing", name);
}

int pcs_hex(const json_t *object, const char *name, void *out, size_t len, struct cofre_err *err)
{
    json_t *value;
    int rc = member(object, name, &value, err);
    if (rc < 0)
        return rc;
    if (!json_is_string(value) || json_string_length(value) != 2 * len ||
        !hex_decode(out, len, json_string_value(value)))
        return cofre_fail(err, COFRE_MALFORMED, "\"%s\" is not %zu bytes in hexadecimal digits", name, len);
    return 0;
}

int pcs_number(const json_t *object, const char *name, uint32_t max, uint32_t *out, struct cofre_err *err)
{
    json_t *value;
    int rc = member(object, name, &value, err);
    if (rc < 0)
        return rc;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
        return cofre_fail(err, COFRE_MALFORMED, "\"%s\" is not a whole number from 0 to %u", name, max);
    *out = (uint32_t)json_integer_value(value);
    return 0;
}

int pcs_time(const json_t *object, const char *name, int64_t *out, struct cofre_err *err)
{
    json_t *value;
    int rc = member(object, name, &value, err);
    if (rc < 0)
        return rc;
    if (!json_is_string(value) || time_parse(out, json_string_value(value), name, NULL) < 0)
        return cofre_fail(err, COFRE_MALFORMED, "\"%s\" is not a time such as 2025-06-20T00:00:00Z", name);
    return 0;
}

int pcs_list(const json_t *object, const char *name, size_t max, bool exact, json_t **out,
             struct cofre_err *err)
{
    int rc = member(object, name, out, err);
    if (rc < 0)
        return rc;
    size_t count = json_array_size(*out);
    if (!json_is_array(*out) || count < (exact ? max : 1) || count > max)
        return cofre_fail(err, COFRE_MALFORMED, "\"%s\" is not a list of %s%zu values (it has %zu)", name,
                          exact ? "exactly " : "1 to ", max, count);
    return 0;
}

static int advisories_of(const json_t *level, const json_t **out, struct cofre_err *err)
{
    json_t *list = json_object_get(level, "advisoryIDs"), *item;
    size_t i;
    if (list && (!json_is_array(list) || json_array_size(list) > ADVISORIES_MAX))
        return cofre_fail(err, COFRE_MALFORMED, "\"advisoryIDs\" is not a list of at most %d",
                          ADVISORIES_MAX);
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item) || json_string_length(item) > ADVISORY_MAX)
            return cofre_fail(err, COFRE_MALFORMED,
                              "\"advisoryIDs\" has a value that is not the name of one");
    }
    *out = list;
    return 0;
}

int pcs_judgement(const json_t *level, int64_t *date, enum tdx_tcb_status *status, const json_t **advisories,
                  struct cofre_err *err)
{
    json_t *value = NULL;
    int rc = pcs_time(level, "tcbDate", date, err);
    if (rc == 0)
        rc = member(level, "tcbStatus", &value, err);
    if (rc < 0)
        return rc;
    if (!json_is_string(value) || !tdx_tcb_status_named(status, json_string_value(value)) ||
        *status == TDX_TCB_TD_RELAUNCH_ADVISED || *status == TDX_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED)
        return cofre_fail(err, COFRE_MALFORMED, "\"tcbStatus\" is none that collateral can have");
    return advisories_of(level, advisories, err);
}

static int greatest_first(const void *a, const void *b)
{
    return ((const struct tdx_isv_level *)b)->isv_svn - ((const struct tdx_isv_level *)a)->isv_svn;
}

static int isv_level(const json_t *item, struct tdx_isv_level *out, struct cofre_err *err)
{
    uint32_t svn = 0;
    json_t *tcb;
    int rc = member(item, "tcb", &tcb, err);
    if (rc == 0)
        rc = pcs_number(tcb, "isvsvn", UINT16_MAX, &svn, err);
    out->isv_svn = (uint16_t)svn;
    if (rc == 0)
        rc = pcs_judgement(item, &out->date, &out->status, &out->advisories, err);
    if (rc < 0)
        return rc;
    return out->status == TDX_TCB_UP_TO_DATE || out->status == TDX_TCB_OUT_OF_DATE ||
                   out->status == TDX_TCB_REVOKED
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "\"tcbStatus\" is none that a module or an enclave has");
}

int pcs_isv_levels(const json_t *object, struct tdx_isv_levels *out, struct cofre_err *err)
{
    json_t *list, *item;
    size_t i;
    int rc = pcs_list(object, "tcbLevels", TDX_TCB_LEVELS_MAX, false, &list, err);
    if (rc < 0)
        return rc;
    out->level = calloc(json_array_size(list), sizeof *out->level);
    if (!out->level)
        return cofre_fail(err, COFRE_FAILED, "no memory for the levels of a TCB");
    json_array_foreach(list, i, item)
    {
        rc = isv_level(item, &out->level[out->count++], err);
        if (rc < 0)
            return cofre_within(err, rc, "tcbLevels[%zu]", i);
    }
    qsort(out->level, out->count, sizeof *out->level, greatest_first);
    for (i = 1; i < out->count; i++)
        if (out->level[i].isv_svn == out->level[i - 1].isv_svn)
            return cofre_fail(err, COFRE_MALFORMED, "\"tcbLevels\" has isvsvn %u twice",
                              out->level[i].isv_svn);
    return 0;
}

int pcs_heading(const json_t *document, const char *id, int version, int64_t *issue_date,
                int64_t *next_update, uint32_t *evaluation_number, struct cofre_err *err)
{
    const json_t *given_id = json_object_get(document, "id"), *given = json_object_get(document, "version");
    if (!json_is_string(given_id) || strcmp(json_string_value(given_id), id) != 0)
        return cofre_fail(err, COFRE_MALFORMED, "\"id\" is not \"%s\"", id);
    if (!json_is_integer(given) || json_integer_value(given) != version)
        return cofre_fail(err, COFRE_MALFORMED, "\"version\" is not %d, the one known here", version);
    int rc = pcs_time(document, "issueDate", issue_date, err);
    if (rc == 0)
        rc = pcs_time(document, "nextUpdate", next_update, err);
    return rc < 0 ? rc
                  : pcs_number(document, "tcbEvaluationDataNumber", EVALUATION_NUMBER_MAX, evaluation_number,
                               err);
}
