/* /v1/log: the log of verdicts. Anybody may see that it only grows; what is in it is for those who may read. */
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/store/db_log.h"
#include "vmm/base/number.h"

#define COSE_TYPE "application/cose"
#define CBOR_TYPE "application/cbor"

static int copy(void *context, struct view bytes, struct cofre_err *err)
{
    return bytes_copy(context, bytes, err);
}

static void answer(struct call *call, int rc, const struct cofre_err *err, const char *type,
                   const struct bytes *body)
{
    if (rc < 0)
        call_fail(call, rc, err);
    else
        request_answer(call->request, 200, type, bytes_view(body));
}

void log_show_head(struct call *call)
{
    CLEAN_BYTES head = {0};
    struct cofre_err err;
    int64_t size;
    int rc = db_log_head(call->db, &size, copy, &head, &err);
    answer(call, rc, &err, COSE_TYPE, &head);
}

static int number_of(const char *text, int64_t *out, struct cofre_err *err)
{
    uint64_t n;
    if (number_parse(&n, text, "number", 0, INT64_MAX, NULL) < 0)
        return cofre_fail(err, COFRE_NEGATIVE, "\"%s\" is no number of an entry", text);
    *out = (int64_t)n;
    return 0;
}

/* Who manages what is not for those who only submit. */
static bool may_see(const struct call *call, struct view bytes)
{
    struct log_entry entry;
    return (call->caller.roles & ~(unsigned)ROLE_SUBMIT) || log_entry_read(&entry, bytes, NULL) < 0 ||
           entry.kind != LOG_ENTRY_CHANGE;
}

void log_show_entry(struct call *call)
{
    CLEAN_BYTES entry = {0};
    struct cofre_err err;
    int64_t number = 0;
    int rc = number_of(call->part[0], &number, &err);
    if (rc == 0)
        rc = db_log_entry(call->db, number, copy, &entry, &err);
    if (rc == 0 && !may_see(call, bytes_view(&entry))) {
        request_problem(call->request, 403, "forbidden", "entry %lld tells of a change, which %s may not see",
                        (long long)number, call->caller.name);
        return;
    }
    answer(call, rc, &err, CBOR_TYPE, &entry);
}

static void answer_proof(struct call *call, enum log_receipt_kind kind)
{
    CLEAN_BYTES receipt = {0};
    struct cofre_err err;
    int64_t number = 0;
    int rc = number_of(call->part[0], &number, &err);
    if (rc == 0)
        rc = db_log_prove(call->db, kind, number, &receipt, &err);
    answer(call, rc, &err, COSE_TYPE, &receipt);
}

void log_prove_entry(struct call *call)
{
    answer_proof(call, LOG_RECEIPT_INCLUSION);
}

void log_prove_growth(struct call *call)
{
    answer_proof(call, LOG_RECEIPT_CONSISTENCY);
}
