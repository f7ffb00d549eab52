/* --tpm-keys: what a TPM vouches for of a log, which its keeper's key alone could have been made to sign again. */
#include <inttypes.h>

#include "vmm/cli/log.h"

int log_read_tpm_keys(struct cose_keys *out, const char *path, struct cofre_err *err)
{
    int rc = log_read_keys(out, path, err);
    if (rc == 0)
        rc = log_clock_keys(out, err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

int log_clock_one(struct log_clock_course *course, uint64_t number, const struct log_entry *entry,
                  const struct log_hash *id, const struct cose_keys *keys, struct cofre_err *err)
{
    struct log_clock clock;
    int rc = log_clock_verify(&clock, entry, id, keys, err);
    if (rc == 0)
        rc = log_clock_follow(course, number, entry, &clock, err);
    return rc < 0 ? cofre_within(err, rc, "entry %" PRIu64 ", a TPM's word", number) : 0;
}

static void put_number(json_t *result, const char *name, uint64_t number)
{
    json_object_set_new(result, name, json_integer((json_int_t)number));
}

void log_put_clock(json_t *result, const struct log_clock_course *c)
{
    if (!c->entries)
        return;
    put_number(result, "tpm_vouches_for", c->size);
    put_number(result, "tpm_words", c->entries);
    put_number(result, "tpm_milliseconds", c->clock.milliseconds);
    put_number(result, "tpm_resets_seen", c->resets);
    put_number(result, "tpm_restarts_seen", c->restarts);
    put_number(result, "tpm_clock_set_back", c->set_back);
    put_number(result, "tpm_clock_differs", c->differences);
    if (!c->differences)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < c->differences && i < LOG_CLOCK_DIFFERENCES; i++)
        json_array_append_new(list, json_sprintf("up to entry %" PRIu64 ": %" PRId64
                                                 " seconds by the host, %" PRId64 " by the TPM",
                                                 c->difference[i].number, c->difference[i].host,
                                                 c->difference[i].tpm));
    json_object_set_new(result, "tpm_differences", list);
}

/* 1: it is not there any more, or somebody else's bytes. */
static int read_entry(struct log_entry *out, struct log_file *f, uint64_t number, struct cofre_err *err)
{
    CLEAN_BYTES bytes = {0};
    int rc = log_file_entry(f, number, &bytes, err);
    if (rc == -COFRE_NEGATIVE || (rc == 0 && log_entry_read(out, bytes_view(&bytes), NULL) < 0))
        return 1;
    return rc;
}

/* The TPM was told of a head that this log had. */
static int check_root(struct log_file *f, uint64_t number, const struct log_entry *e, struct cofre_err *err)
{
    struct log_hash root;
    if (e->size == 0 || (uint64_t)e->size > number)
        return 0; /* log_clock_follow says so */
    int rc = log_tree_root(log_file_tree(f), (uint64_t)e->size, &root, err);
    if (rc == 0 && !log_hash_equal(&root, &e->root))
        rc = cofre_fail(err, COFRE_NEGATIVE,
                        "entry %" PRIu64 ", a TPM's word: its first %" PRId64
                        " entries were others when the TPM was told of them: they were written anew since",
                        number, e->size);
    return rc;
}

static int follow_all(struct log_clock_course *course, struct log_file *f, const struct log_hash *id,
                      const struct cose_keys *keys, struct cofre_err *err)
{
    int rc = 0;
    for (uint64_t n = 0; rc >= 0 && n < log_file_state(f)->size; n++) {
        struct log_entry e;
        rc = read_entry(&e, f, n, err);
        if (rc != 0 || e.kind != LOG_ENTRY_CLOCK)
            continue;
        rc = check_root(f, n, &e, err);
        if (rc == 0)
            rc = log_clock_one(course, n, &e, id, keys, err);
    }
    return rc < 0 ? rc : 0;
}

/* Of the first entry behind what was vouched for that is not a TPM's word itself; -1: there is none. */
static int time_behind(int64_t *out, struct log_file *f, uint64_t size, struct cofre_err *err)
{
    int rc = 0;
    *out = -1;
    for (uint64_t n = size; rc >= 0 && *out < 0 && n < log_file_state(f)->size; n++) {
        struct log_entry e;
        rc = read_entry(&e, f, n, err);
        if (rc == 0 && e.kind != LOG_ENTRY_CLOCK)
            *out = e.time;
    }
    return rc < 0 ? rc : 0;
}

int log_check_clock(const struct log_call *call, const struct log_head *head, struct log_file *f,
                    json_t *result, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {0};
    struct log_clock_course course = {0};
    const char *path = call->option[LOG_OPT_TPM_KEYS];
    int64_t since = -1;
    if (!path)
        return 0;
    int rc = log_read_tpm_keys(&keys, path, err);
    if (rc == 0)
        rc = follow_all(&course, f, &head->state.id, &keys, err);
    if (rc == 0)
        rc = time_behind(&since, f, course.size, err);
    if (rc < 0)
        return rc;
    log_put_clock(result, &course);
    return log_clock_end(&course, since, head->time, err);
}
