/* The host: what it has, what is left, and figures of cofred's own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/host/decide/parts.h"

static uint64_t bits(const uint64_t *set, size_t words)
{
    uint64_t count = 0;
    for (size_t i = 0; i < words; i++)
        count += (uint64_t)__builtin_popcountll(set[i]);
    return count;
}

static void amount(json_t *out, const char *name, uint64_t total, uint64_t used)
{
    json_object_set_new(out, name,
                        json_pack("{s:I, s:I}", "total", (json_int_t)total, "used", (json_int_t)used));
}

static int take_sums(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    uint64_t *sums = context;
    (void)err;
    for (size_t i = 0; i < columns; i++)
        sums[i] = (uint64_t)c[i].integer;
    return 0;
}

enum { CPUS, MEMORY, RUNNING, DEFINED, SUMS };

static int sum(uint64_t sums[static SUMS], struct db *db, struct cofre_err *err)
{
    int rc = DB_RUN(
        db,
        "SELECT CAST(COALESCE(SUM(CASE WHEN state IN ('stopped', 'failed') THEN 0 ELSE cpus END), 0) AS "
        "BIGINT),"
        " CAST(COALESCE(SUM(CASE WHEN state IN ('stopped', 'failed') THEN 0 ELSE memory END), 0) AS BIGINT),"
        " CAST(COALESCE(SUM(CASE WHEN state IN ('stopped', 'failed') THEN 0 ELSE 1 END), 0) AS BIGINT),"
        " COUNT(*) FROM guest WHERE number > $1",
        take_sums, sums, err, db_integer(0));
    return rc < 0 ? rc : 0;
}

static int told(struct call *call, struct cofre_err *err)
{
    uint64_t sums[SUMS] = {0};
    if (call->hands_rc < 0)
        return cofre_fail(err, (enum cofre_error) - call->hands_rc, "%s", call->hands_err.text);
    struct hands_host *host = &call->decider->host;
    *host = call->hands->host;
    int rc = sum(sums, call->db, err);
    call->answer = json_object();
    if (rc < 0 || !call->answer)
        return rc < 0 ? rc : cofre_fail(err, COFRE_FAILED, "no memory for an answer");
    amount(call->answer, "cpus", bits(host->cpus, HANDS_CPUS_MAX / 64), sums[CPUS]);
    amount(call->answer, "memory", host->memory, sums[MEMORY]);
    amount(call->answer, "huge_pages_2m", host->huge_2m, host->huge_2m - host->huge_2m_free);
    amount(call->answer, "huge_pages_1g", host->huge_1g, host->huge_1g - host->huge_1g_free);
    amount(call->answer, "guests", host->guests_max, sums[RUNNING]);
    for (uint32_t i = 0; i < host->miscs; i++)
        if (strcmp(host->misc[i].name, "sev_es") == 0 || strcmp(host->misc[i].name, "tdx") == 0)
            amount(call->answer, *host->misc[i].name == 's' ? "snp_guests" : "tdx_guests",
                   host->misc[i].capacity, host->misc[i].used);
    return 0;
}

static void look(struct call *call)
{
    call_hands(call, HANDS_HOST, 0, NULL, told);
}

int work_host_show(struct call *call, struct cofre_err *err)
{
    (void)err;
    call->begun = call->hold = true;
    call->then = look;
    return 0;
}

/* Where a TPM is asked. */
static size_t put_clock(char *text, size_t size, const struct clock_figures *f)
{
    return f ? (size_t)snprintf(
                   text, size,
                   "# HELP cofred_log_tpm_vouches_for Entries of the log that a TPM vouches for.\n"
                   "# TYPE cofred_log_tpm_vouches_for gauge\ncofred_log_tpm_vouches_for %" PRIu64 "\n"
                   "# HELP cofred_log_tpm_fails Whether it failed when it was asked last.\n"
                   "# TYPE cofred_log_tpm_fails gauge\ncofred_log_tpm_fails %d\n"
                   "# HELP cofred_log_tpm_failures_total How often it failed.\n"
                   "# TYPE cofred_log_tpm_failures_total counter\ncofred_log_tpm_failures_total %" PRIu64
                   "\n",
                   f->size, f->fails, f->failures)
             : 0;
}

/* Samples of one metric are beside each other: its name, labels, value. */
static size_t put_metrics(char *text, size_t size, const struct decider *d, const uint64_t sums[static SUMS])
{
    const struct {
        const char *name, *labels, *type, *help;
        uint64_t value;
    } rows[] = {
        {"cofred_guests", "{state=\"defined\"}", "gauge", "Guests that are defined, and those that run.",
         sums[DEFINED]},
        {"cofred_guests", "{state=\"running\"}", NULL, NULL, sums[RUNNING]},
        {"cofred_guest_memory_bytes", "", "gauge", "Memory of guests that run.", sums[MEMORY]},
        {"cofred_guest_cpus", "", "gauge", "Virtual processors of guests that run.", sums[CPUS]},
        {"cofred_connections", "", "gauge", "Connections that are open.", callers_count(d->callers)},
        {"cofred_answers_total", "{status=\"2xx\"}", "counter",
         "Answers, by the first digit of their status.", d->answered[2]},
        {"cofred_answers_total", "{status=\"4xx\"}", NULL, NULL, d->answered[4]},
        {"cofred_answers_total", "{status=\"5xx\"}", NULL, NULL, d->answered[5]},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].help)
            used += (size_t)snprintf(text + used, size - used, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name,
                                     rows[i].help, rows[i].name, rows[i].type);
        used += (size_t)snprintf(text + used, size - used, "%s%s %" PRIu64 "\n", rows[i].name, rows[i].labels,
                                 rows[i].value);
    }
    return used;
}

static void print(struct call *call)
{
    char text[2048];
    uint64_t sums[SUMS] = {0};
    struct decider *d = call->decider;
    (void)sum(sums, d->db, NULL);
    size_t len = put_metrics(text, sizeof text, d, sums);
    len += put_clock(text + len, sizeof text - len, clock_figures(d->clock));
    if (call->caller) {
        caller_begin(call->caller, call->request.id, 200, call->request.operation->type);
        caller_chunk(call->caller, call->request.id, (struct view){(const uint8_t *)text, len});
        caller_end(call->caller, call->request.id);
    }
    call_free(call);
}

int work_host_metrics(struct call *call, struct cofre_err *err)
{
    (void)err;
    call->hold = true;
    call->then = print;
    return 0;
}

/* Statistics */

static int counted(struct call *call, struct cofre_err *err)
{
    if (call->hands_rc < 0)
        return cofre_fail(err, (enum cofre_error) - call->hands_rc, "%s", call->hands_err.text);
    const struct hands_statistics *s = &call->hands->statistics;
    call->answer = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "cpu_microseconds", (json_int_t)s->cpu_us,
        "throttled_microseconds", (json_int_t)s->throttled_us, "memory", (json_int_t)s->memory, "memory_peak",
        (json_int_t)s->memory_peak, "processes", (json_int_t)s->processes, "read_bytes",
        (json_int_t)s->read_bytes, "write_bytes", (json_int_t)s->write_bytes, "read_operations",
        (json_int_t)s->read_operations, "write_operations", (json_int_t)s->write_operations, "network_in",
        (json_int_t)s->network_in, "network_out", (json_int_t)s->network_out);
    return call->answer ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}

static void count(struct call *call)
{
    call_hands(call, HANDS_STATISTICS, call->guest.run, NULL, counted);
}

int work_guest_statistics(struct call *call, struct cofre_err *err)
{
    if (!call->guest.run)
        return cofre_fail(err, COFRE_USAGE, "guest %s was never started", call->guest.name);
    call->begun = call->hold = true;
    call->then = count;
    return 0;
}
