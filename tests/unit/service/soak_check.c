#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/log/entry.h"
#include "attest/log/file.h"
#include "attest/token/token.h"
#include "tests/unit/service/soak.h"
#include "vmm/base/json.h"

static void digest(uint8_t out[static 32], struct view data)
{
    SOAK_CHECK(EVP_Digest(data.data, data.len, out, NULL, EVP_sha256(), NULL) == 1, "SHA-256 failed");
}

static const char *member(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    SOAK_CHECK(text, "a result without %s", name);
    return text;
}

static void read_token(struct soak *s, struct view cwt, uint8_t nonce[static 32])
{
    CLEAN_EAR ear = {0};
    struct cofre_err err = {""};
    SOAK_CHECK(cwt_verify(&ear, cwt, &s->keys, &err) == 0, "%s", err.text);
    SOAK_CHECK(ear.nonce.len == 32, "a nonce of %zu bytes", ear.nonce.len);
    memcpy(nonce, ear.nonce.data, 32);
}

void soak_read_result(struct soak *s, struct acknowledged *out, const char *body, const char *outcome)
{
    CLEAN_JSON *result = json_loads(body, 0, NULL);
    CLEAN_BYTES cwt = {0};
    SOAK_CHECK(result, "no JSON: %s", body);
    SOAK_CHECK(!outcome || strcmp(member(result, "outcome"), outcome) == 0, "not \"%s\": %s", outcome, body);
    memset(out, 0, sizeof *out); /* and what is between its members: they are compared whole */
    snprintf(out->id, sizeof out->id, "%s", member(result, "id"));
    SOAK_CHECK(base64_decode(&cwt, EAR_TOKEN_MAX, member(result, "cwt"), NULL) == 0, "%s", body);
    read_token(s, bytes_view(&cwt), out->nonce);
    digest(out->token, bytes_view(&cwt));
    digest(out->body, (struct view){(const uint8_t *)body, strlen(body)});
    out->entry = json_integer_value(json_object_get(result, "log_entry"));
}

void soak_check_results(struct soak *s, size_t from)
{
    struct fixture *f = s->f;
    char path[64];
    for (size_t i = from; i < s->count; i++) {
        struct acknowledged found;
        snprintf(path, sizeof path, "/v1/results/%s", s->told[i].id);
        int status = ask(f, "GET", path, "read", NULL);
        if (status != 200)
            fail_msg("result %s was acknowledged, and is lost: %s", s->told[i].id, f->answer);
        soak_read_result(s, &found, answer_body(f), NULL);
        assert_memory_equal(&found, &s->told[i], sizeof found);
    }
}

static int check_head(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    const struct soak *s = context;
    struct log_head said;
    int rc = log_head_verify(&said, head, &s->keys, err);
    if (rc == 0 && memcmp(&said.state, state, sizeof *state) != 0)
        rc = cofre_fail(err, COFRE_NEGATIVE, "a head of %llu entries is of others",
                        (unsigned long long)state->size);
    return rc;
}

static struct log_file *copy_log(struct soak *s)
{
    const struct log_heads heads = {.context = s, .check = check_head, .check_all = true};
    char line[400], path[128];
    struct log_file *log = NULL;
    struct cofre_err err = {""};
    snprintf(path, sizeof path, "%s/copy.log", s->f->folder);
    snprintf(line, sizeof line, "rm -f '%s'; '%s' log --config '%s' --out '%s'", path, getenv("COFRE_TRUST"),
             s->process.config, path);
    assert_int_equal(system(line), 0);
    if (log_file_open(&log, path, &heads, &err) < 0)
        fail_msg("%s", err.text);
    return log;
}

/* It is a verdict's; of that token, where one is given. */
static bool entry_is_of(struct log_file *log, int64_t number, const uint8_t *token)
{
    CLEAN_BYTES bytes = {0};
    struct log_entry entry;
    struct cofre_err err = {""};
    if (log_file_entry(log, (uint64_t)number, &bytes, &err) < 0 ||
        log_entry_read(&entry, bytes_view(&bytes), &err) < 0)
        fail_msg("entry %lld: %s", (long long)number, err.text);
    return entry.kind == LOG_ENTRY_VERDICT && (!token || memcmp(entry.token.data, token, 32) == 0);
}

/* Every head that a client has ever seen is of this log, and so is every result. */
void soak_check_log(struct soak *s)
{
    CLEAN_LOG_FILE *log = copy_log(s);
    for (size_t i = 0; i < s->heads; i++) {
        const struct log_state *seen = &s->head[i].state;
        struct log_hash root;
        assert_true(seen->size <= log_file_state(log)->size);
        assert_memory_equal(&seen->id, &log_file_state(log)->id, sizeof seen->id);
        assert_int_equal(log_tree_root(log_file_tree(log), seen->size, &root, NULL), 0);
        assert_memory_equal(&root, &seen->root, sizeof root);
    }
    for (size_t i = 0; i < s->count; i++)
        assert_true(entry_is_of(log, s->told[i].entry, s->told[i].token));
}

/* What the database has, acknowledged or not. */
struct rows {
    struct soak *soak;
    struct log_file *log;
    uint8_t (*nonce)[32];
    size_t count, room;
};

static int take_row(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct rows *rows = context;
    uint8_t token[32];
    (void)columns;
    (void)err;
    if (rows->count == rows->room) {
        rows->room = rows->room ? 2 * rows->room : 1024;
        rows->nonce = realloc(rows->nonce, rows->room * sizeof *rows->nonce);
        assert_non_null(rows->nonce);
    }
    read_token(rows->soak, column[0].bytes, rows->nonce[rows->count++]);
    digest(token, column[0].bytes);
    assert_true(entry_is_of(rows->log, column[1].integer, token));
    return 0;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

/* No nonce has two results, no result two entries, no verdict's entry is of no result. */
void soak_check_database(struct soak *s)
{
    CLEAN_LOG_FILE *log = copy_log(s);
    struct rows rows = {.soak = s, .log = log};
    struct cofre_err err = {""};
    size_t verdicts = 0;
    if (db_run(s->f->db, "SELECT cwt, log_index FROM result", NULL, 0, take_row, &rows, &err) < 0)
        fail_msg("%s", err.text);
    qsort(rows.nonce, rows.count, sizeof *rows.nonce, compare);
    for (size_t i = 1; i < rows.count; i++)
        assert_memory_not_equal(rows.nonce[i - 1], rows.nonce[i], 32);
    for (uint64_t i = 0; i < log_file_state(log)->size; i++)
        verdicts += entry_is_of(log, (int64_t)i, NULL);
    assert_int_equal(verdicts, rows.count);
    assert_true(rows.count >= s->count);
    for (size_t i = 0; i < s->count; i++)
        assert_non_null(bsearch(s->told[i].nonce, rows.nonce, rows.count, sizeof *rows.nonce, compare));
    print_message("# %zu results, of which %zu were acknowledged; %zu heads seen of %llu entries\n",
                  rows.count, s->count, s->heads, (unsigned long long)log_file_state(log)->size);
    free(rows.nonce);
}
