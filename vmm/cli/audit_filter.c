/* cofre audit: which entries are asked for. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"
#include "vmm/cli/audit.h"

#define DIGESTS_SIZE_MAX (1u << 20)
#define EVIDENCE_MAX     (16u << 20)
#define DAY              86400

static int read_times(struct audit_filter *out, const struct audit_call *call, struct cofre_err *err)
{
    const char *on = call->option[AUDIT_ON], *since = call->option[AUDIT_SINCE],
               *until = call->option[AUDIT_UNTIL];
    int rc = 0;
    out->until = INT64_MAX;
    if (on && (since || until))
        return cofre_fail(err, COFRE_USAGE, "either --on, or --since and --until");
    if (on) {
        char text[64];
        (void)snprintf(text, sizeof text, "%.32sT00:00:00Z", on);
        rc = time_parse(&out->since, text, "--on", err);
        out->until = out->since + DAY - 1;
    }
    if (since)
        rc = time_parse(&out->since, since, "--since", err);
    if (rc == 0 && until)
        rc = time_parse(&out->until, until, "--until", err);
    return rc;
}

static int read_numbers(struct audit_filter *out, const struct audit_call *call, uint64_t size,
                        struct cofre_err *err)
{
    const char *first = call->option[AUDIT_FIRST], *last = call->option[AUDIT_LAST];
    out->last = size - 1;
    int rc = first ? number_parse(&out->first, first, "--first", 0, size - 1, err) : 0;
    return rc == 0 && last ? number_parse(&out->last, last, "--last", out->first, size - 1, err) : rc;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* "HEX NAME", or nothing, or a remark. */
static int read_line(struct audit_filter *out, char *line, unsigned number, struct cofre_err *err)
{
    while (is_space(*line))
        line++;
    if (*line == 0 || *line == '#')
        return 0;
    char *name = line + strcspn(line, " \t\r");
    if (*name)
        *name++ = 0;
    while (is_space(*name))
        name++;
    struct audit_digest *digest = &out->digest[out->digests];
    if (out->digests == AUDIT_DIGESTS_MAX)
        return cofre_fail(err, COFRE_USAGE, "--digests has more than %d of them", AUDIT_DIGESTS_MAX);
    if (!hex_decode(digest->sha256, sizeof digest->sha256, line))
        return cofre_fail(err, COFRE_USAGE, "--digests: line %u does not begin with %d hexadecimal digits",
                          number, 2 * LOG_HASH_SIZE);
    log_entry_text(digest->name, sizeof digest->name, name);
    out->digests++;
    return 0;
}

static int read_digests(struct audit_filter *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, DIGESTS_SIZE_MAX, err);
    CLEAN_FREE char *text = rc == 0 ? strndup((const char *)file.data, file.len) : NULL;
    out->digest = calloc(AUDIT_DIGESTS_MAX, sizeof *out->digest);
    if (rc == 0 && (!text || !out->digest))
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    unsigned number = 1;
    for (char *line = text; rc == 0 && line; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        rc = read_line(out, line, number, err);
        line = end ? end + 1 : NULL;
    }
    return rc;
}

static int read_evidence(struct audit_filter *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, EVIDENCE_MAX, err);
    if (rc == 0 && EVP_Digest(file.data, file.len, out->evidence, NULL, EVP_sha256(), NULL) != 1)
        rc = cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    return rc;
}

int audit_filter_read(struct audit_filter *out, const struct audit_call *call, uint64_t size,
                      struct cofre_err *err)
{
    const char *measurement = call->option[AUDIT_MEASUREMENT];
    *out = (struct audit_filter){.call = call};
    int rc = read_times(out, call, err);
    if (rc == 0)
        rc = read_numbers(out, call, size, err);
    if (rc == 0 && measurement) {
        out->measurement.len = LOG_MEASUREMENT_SIZE;
        if (!hex_decode(out->measurement.data, LOG_MEASUREMENT_SIZE, measurement))
            rc = cofre_fail(err, COFRE_USAGE, "--measurement has %d hexadecimal digits", 2 * LOG_MEASUREMENT_SIZE);
    }
    if (rc == 0 && call->option[AUDIT_DIGESTS])
        rc = read_digests(out, call->option[AUDIT_DIGESTS], err);
    if (rc == 0 && call->option[AUDIT_EVIDENCE])
        rc = read_evidence(out, call->option[AUDIT_EVIDENCE], err);
    return rc;
}

void audit_filter_free(struct audit_filter *filter)
{
    free(filter->digest);
}

/* Asking */

static bool same_or_unknown(const struct log_measurement *a, const struct log_measurement *b)
{
    return !a->len || !b->len || memcmp(a, b, sizeof *a) == 0;
}

bool audit_differs(const struct log_entry *e)
{
    const struct log_registers *p = &e->predicted_registers, *r = &e->reported_registers;
    return !same_or_unknown(&e->predicted, &e->reported) || !same_or_unknown(&e->expected, &e->reported) ||
           !same_or_unknown(&e->expected, &e->predicted) || (p->len && r->len && memcmp(p, r, sizeof *p) != 0);
}

const struct audit_digest *audit_filter_listed(const struct audit_filter *f, const struct log_entry *e,
                                               const char **what)
{
    const struct {
        const char *name;
        const struct log_digest *digest;
    } inputs[] = {{"kernel", &e->kernel},
                  {"initrd", &e->initrd},
                  {"command line", &e->cmdline},
                  {"firmware", &e->firmware},
                  {"ID block", &e->id_block}};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        for (size_t k = 0; k < f->digests && inputs[i].digest->len; k++)
            if (memcmp(inputs[i].digest->data, f->digest[k].sha256, LOG_HASH_SIZE) == 0) {
                *what = inputs[i].name;
                return &f->digest[k];
            }
    return NULL;
}

static bool is(const char *wanted, const char *text)
{
    return !wanted || strcmp(wanted, text) == 0;
}

static bool is_guest(const char *wanted, const struct log_entry *e)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRId64, e->guest);
    return !wanted || (e->kind == LOG_ENTRY_LAUNCH && (is(wanted, e->object_name) || is(wanted, number)));
}

static bool is_launch_wanted(const struct audit_filter *f, const struct log_entry *e)
{
    const char *const *o = f->call->option;
    const char *what;
    const bool launch = e->kind == LOG_ENTRY_LAUNCH;
    if (f->measurement.len && (!launch || memcmp(&f->measurement, &e->reported, sizeof f->measurement) != 0))
        return false;
    if (o[AUDIT_DIGESTS] && (!launch || !audit_filter_listed(f, e, &what)))
        return false;
    if (o[AUDIT_EVIDENCE] && (!launch || e->launch_evidence.len != LOG_HASH_SIZE ||
                              memcmp(e->launch_evidence.data, f->evidence, LOG_HASH_SIZE) != 0))
        return false;
    return !f->call->differing || (launch && audit_differs(e));
}

bool audit_filter_takes(const struct audit_filter *f, const struct log_entry *e)
{
    const char *const *o = f->call->option;
    return e->time >= f->since && e->time <= f->until && is(o[AUDIT_TENANT], e->tenant) &&
           is_guest(o[AUDIT_GUEST], e) && (is(o[AUDIT_WHO], e->subject) || is(o[AUDIT_WHO], e->actor)) &&
           is(o[AUDIT_OPERATION], e->operation) && is(o[AUDIT_OBJECT], e->object_name) &&
           is_launch_wanted(f, e);
}
