/* cofre audit --server: a copy that grows with what a cofred shows, and a cofred that shows something else than it signed; and a witness
 * who asks a cofred, and keeps a head alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "attest/log/entry.h"
#include "attest/log/file.h"
#include "tests/unit/cli/fake_host.h"
#include "tests/unit/cli/run.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/number.h"

#define ENTRIES 5
#define KEPT    3 /* of these a head was signed as well */

static EVP_PKEY *key, *another_key;

/* A log as its keeper has it, and another one that begins with the same entries. */
struct kept {
    char *entry[ENTRIES], *head[ENTRIES + 1]; /* base64; heads by size */
    char leaf[ENTRIES][2 * LOG_HASH_SIZE + 1];
    char *growth[ENTRIES]; /* from that size to all of it, as cofred answers */
} honest, fork_of_it;

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

static int sign(void *context, const struct log_state *state, struct bytes *out, struct cofre_err *err)
{
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    struct log_head head = {.state = *state, .time = 1800000000, .name = "a host"};
    assert_int_equal(cose_key_thumbprint(kid, context, NULL), 0);
    return log_head_sign(out, &head, context, (struct view){kid, sizeof kid}, err);
}

static int check(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    (void)context, (void)head, (void)state, (void)err;
    return 0; /* the program under test does that */
}

static void keep(struct kept *k, struct log_file *log, uint64_t number)
{
    CLEAN_BYTES bytes = {0};
    CLEAN_HASHER hasher = {0};
    struct log_hash leaf;
    struct cofre_err err;
    must(log_file_entry(log, number, &bytes, &err), &err);
    must(base64_encode(&k->entry[number], bytes_view(&bytes), &err), &err);
    must(base64_encode(&k->head[number + 1], log_file_head(log), &err), &err);
    must(log_hasher_init(&hasher, &err), &err);
    must(log_hash_leaf(&hasher, &leaf, bytes_view(&bytes), &err), &err);
    hex_encode(k->leaf[number], leaf.data, sizeof leaf.data);
}

static void keep_growth(struct kept *k, struct log_file *log)
{
    for (uint64_t size = 1; size < ENTRIES; size++) {
        struct log_consistency proof = {.size1 = size, .size2 = ENTRIES};
        struct cofre_err err;
        CLEAN_JSON *path = json_array();
        must(log_tree_prove_consistency(log_file_tree(log), &proof, &err), &err);
        for (size_t i = 0; i < proof.path.count; i++) {
            char hex[2 * LOG_HASH_SIZE + 1];
            hex_encode(hex, proof.path.hash[i].data, LOG_HASH_SIZE);
            (void)json_array_append_new(path, json_string(hex));
        }
        CLEAN_JSON *shown = json_pack("{s:O}", "path", path);
        k->growth[size] = json_dumps(shown, JSON_COMPACT);
    }
}

static void make_entry(struct bytes *out, uint64_t number, const char *who)
{
    struct log_entry e = {.kind = number ? LOG_ENTRY_OPERATION : LOG_ENTRY_GENESIS, .time = 1800000000};
    struct cofre_err err;
    if (number) {
        e.count = 1;
        strcpy(e.operation, "guest.start");
        strcpy(e.identity, "socket");
        strcpy(e.subject, who);
    } else {
        strcpy(e.name, "a host");
    }
    must(log_entry_write(out, &e, &err), &err);
}

static void make_log(struct kept *k, const char *name, const char *who_later)
{
    const struct log_heads heads = {.context = key, .sign = sign, .check = check};
    char path[CLI_PATH_SIZE];
    struct cofre_err err;
    CLEAN_LOG_FILE *log = NULL;
    cli_path(path, name);
    for (uint64_t n = 0; n < ENTRIES; n++) {
        CLEAN_BYTES bytes = {0};
        make_entry(&bytes, n, n < KEPT ? "uid:1" : who_later);
        if (n == 0)
            must(log_file_create(path, bytes_view(&bytes), &heads, &err), &err);
        if (n == 0)
            must(log_file_open(&log, path, &heads, &err), &err);
        else
            must(log_file_append(log, bytes_view(&bytes), NULL, &err), &err);
        if (n)
            must(log_file_commit(log, &err), &err);
        keep(k, log, n);
    }
    keep_growth(k, log);
}

static int set_up(void **state)
{
    char path[CLI_PATH_SIZE];
    if (cli_setup(state) != 0)
        return -1;
    key = EVP_EC_gen("P-256");
    another_key = EVP_EC_gen("P-256");
    cli_path(path, "log.pub");
    CLEAN_FILE *to = fopen(path, "we");
    assert_true(to && PEM_write_PUBKEY(to, key) == 1);
    cli_path(path, "w.pem");
    CLEAN_FILE *witness = fopen(path, "we");
    assert_true(witness && PEM_write_PrivateKey(witness, another_key, NULL, NULL, 0, NULL, NULL) == 1);
    cli_path(path, "w.pub");
    CLEAN_FILE *public = fopen(path, "we");
    assert_true(public && PEM_write_PUBKEY(public, another_key) == 1);
    make_log(&honest, "honest", "uid:2");
    make_log(&fork_of_it, "fork", "uid:3");
    return 0;
}

static int tear_down(void **state)
{
    for (size_t i = 0; i <= ENTRIES; i++) {
        free(honest.head[i]);
        free(fork_of_it.head[i]);
        if (i < ENTRIES) {
            free(honest.entry[i]);
            free(fork_of_it.entry[i]);
            free(honest.growth[i]);
            free(fork_of_it.growth[i]);
        }
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(another_key);
    return cli_teardown(state);
}

/* What a cofred shows, and how it lies. */
struct shown {
    const struct kept *log;
    size_t from, size;                         /* entries that are asked for; of its head */
    const char *head;                          /* NULL: the log's */
    int without, removed, changed, renumbered; /* an entry's number; 0: none of them */
    const char *leaf;                          /* of the one that was removed; NULL: its own */
};

static char *rows_of(const struct shown *s)
{
    CLEAN_JSON *rows = json_array();
    for (size_t i = s->from; i < s->size; i++) {
        const int n = (int)i;
        if (n && n == s->without)
            break;
        const char *bytes = n && n == s->changed ? fork_of_it.entry[n] : s->log->entry[n];
        const json_int_t number = n && n == s->renumbered ? n + 1 : n;
        json_t *row =
            n && n == s->removed
                ? json_pack("{s:I, s:s}", "index", number, "leaf", s->leaf ? s->leaf : s->log->leaf[n])
                : json_pack("{s:I, s:{s:s}}", "index", number, "entry", "bytes", bytes);
        (void)json_array_append_new(rows, row);
    }
    CLEAN_JSON *page = json_pack("{s:O}", "entries", rows);
    return json_dumps(page, JSON_COMPACT);
}

static int ask(const char *arguments, const struct shown *s)
{
    char socket[CLI_PATH_SIZE], path[64], head[2048], line[512];
    CLEAN_FREE char *rows = rows_of(s);
    cli_path(socket, "s");
    (void)snprintf(head, sizeof head, "{\"head\": \"%s\"}", s->head ? s->head : s->log->head[s->size]);
    (void)snprintf(path, sizeof path,
                   s->from ? "GET /v1/audit/entries?limit=1000&after=%zu"
                           : "GET /v1/audit/entries?limit=1000",
                   s->from - 1);
    const struct fake_answer answers[] = {
        {"GET /v1/audit/head", 200, NULL, head},
        {path, 200, NULL, rows},
        {s->without ? "GET /v1/audit/entries?limit=1000&after=3" : "none", 200, NULL, "{\"entries\":[]}"},
        {0}};
    struct fake_host *host = fake_host_start(socket, answers);
    (void)snprintf(line, sizeof line, "audit %s --keys log.pub --json --server unix:%s", arguments, socket);
    const int code = cli_run(line);
    (void)fake_host_stop(host);
    return code;
}

static void expect(const char *copy, const struct shown *s, int code, const char *sentence)
{
    char arguments[64];
    (void)snprintf(arguments, sizeof arguments, "complete --log %s", copy);
    const int is = ask(arguments, s);
    if (is != code || !strstr(cli_output, sentence))
        fail_msg("exit code %d, %s", is, cli_output);
}

/* A copy is there with KEPT entries, as it was kept. */
static void copy_kept(const char *copy)
{
    const struct shown first = {.log = &honest, .size = KEPT};
    expect(copy, &first, 0, "\"size\": 3");
}

static void a_copy_is_made_and_grows(void **state)
{
    const struct shown more = {.log = &honest, .from = KEPT, .size = ENTRIES};
    (void)state;
    copy_kept("copy");
    expect("copy", &more, 0, "\"size\": 5");
    expect("copy", &more, 0, "\"entries\": 5"); /* nothing new: only the head is asked for */
}

static void a_removed_entry_is_its_hash(void **state)
{
    const struct shown true_hash = {.log = &honest, .size = ENTRIES, .removed = 2},
                       false_hash = {.log = &honest, .size = ENTRIES, .removed = 2, .leaf = honest.leaf[3]},
                       no_hash = {.log = &honest, .size = ENTRIES, .removed = 2, .leaf = "00"};
    (void)state;
    expect("removed-1", &true_hash, COFRE_NEGATIVE, "no entry says so");
    expect("removed-2", &false_hash, COFRE_NEGATIVE, "not over these entries");
    expect("removed-3", &no_hash, COFRE_MALFORMED, "hexadecimal");
}

static void whatever_was_not_signed_so_is_refused_and_the_copy_stays(void **state)
{
    CLEAN_BYTES forged = {0}, before = {0};
    CLEAN_FREE char *forged_text = NULL;
    struct log_state made_up = {.size = ENTRIES};
    struct cofre_err err;
    (void)state;
    must(sign(another_key, &made_up, &forged, &err), &err);
    must(base64_encode(&forged_text, bytes_view(&forged), &err), &err);
    const struct {
        struct shown shown;
        int code;
        const char *sentence;
    } lies[] = {
        {{.log = &honest, .from = KEPT, .size = ENTRIES, .changed = 4},
         COFRE_NEGATIVE,
         "not over these entries"},
        {{.log = &fork_of_it, .from = KEPT, .size = ENTRIES, .head = honest.head[ENTRIES]},
         COFRE_NEGATIVE,
         "not over these entries"},
        {{.log = &honest, .from = KEPT, .size = ENTRIES, .head = forged_text}, COFRE_NEGATIVE, "head"},
        {{.log = &honest, .from = KEPT, .size = ENTRIES, .head = "AAAA"}, COFRE_MALFORMED, "head"},
        {{.log = &honest, .from = KEPT, .size = ENTRIES, .renumbered = 3},
         COFRE_MALFORMED,
         "not what was asked for"},
        {{.log = &honest, .from = KEPT, .size = ENTRIES, .without = 4},
         COFRE_NEGATIVE,
         "has none from number 4"},
    };
    copy_kept("kept");
    cli_read(&before, "kept");
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        expect("kept", &lies[i].shown, lies[i].code, lies[i].sentence);
        assert_int_equal(cli_run("audit operations --log kept --keys log.pub"), 0);
    }
    const struct shown truth = {.log = &honest, .from = KEPT, .size = ENTRIES};
    expect("kept", &truth, 0, "\"size\": 5");
    const struct shown cut = {.log = &honest, .size = KEPT},
                       other = {.log = &fork_of_it, .from = ENTRIES, .size = ENTRIES};
    expect("kept", &cut, COFRE_NEGATIVE, "it was cut");
    expect("kept", &other, COFRE_NEGATIVE, "not over these entries");
}

/* Witnesses: what cofred shows to one that keeps its head in a file of that name. */
static void witness(const char *state, const char *head, const char *growth, int code, const char *sentence)
{
    char socket[CLI_PATH_SIZE], line[512];
    cli_path(socket, "s");
    const struct fake_answer answers[] = {{"GET /v1/audit/head", 200, NULL, head},
                                          {"GET /v1/audit/consistency?first=4&second=5", 200, NULL, growth},
                                          {0}};
    struct fake_host *host = fake_host_start(socket, answers);
    (void)snprintf(
        line, sizeof line,
        "log witness --state %s --key w.pem --name w --keys log.pub --id %s --server unix:%s --out "
        "w.sig --json",
        state, honest.leaf[0], socket);
    const int is = cli_run(line);
    (void)fake_host_stop(host);
    if (is != code || !strstr(cli_output, sentence))
        fail_msg("exit code %d, %s", is, cli_output);
}

static const char *head_of(char text[static 2048], const struct kept *k, size_t size)
{
    (void)snprintf(text, 2048, "{\"head\": \"%s\"}", k->head[size]);
    return text;
}

static void a_witness_signs_what_grew_on_a_running_host(void **state)
{
    char text[2048];
    const struct shown all = {.log = &honest, .size = ENTRIES};
    (void)state;
    witness("seen", head_of(text, &honest, 4), "none", 0, "\"size\": 4");
    witness("seen", head_of(text, &honest, ENTRIES), honest.growth[4], 0, "\"from\": 4");
    expect("of-witness", &all, 0, "\"size\": 5");
    assert_int_equal(
        cli_run("log verify --log of-witness --keys log.pub --witnesses w.sig --witness-keys w.pub"), 0);
}

static void a_witness_names_a_fork_a_cut_and_what_proves_nothing(void **state)
{
    char text[2048], short_path[] = "{\"path\":[]}", no_path[] = "{\"path\":[\"00\"]}";
    CLEAN_BYTES before = {0}, after = {0};
    (void)state;
    witness("other", head_of(text, &honest, 4), "none", 0, "\"size\": 4");
    cli_read(&before, "other");
    witness("other", head_of(text, &fork_of_it, ENTRIES), fork_of_it.growth[4], COFRE_NEGATIVE,
            "the log is forked");
    witness("other", head_of(text, &fork_of_it, ENTRIES), honest.growth[4], COFRE_NEGATIVE,
            "the log is forked");
    witness("other", head_of(text, &fork_of_it, 4), "none", COFRE_NEGATIVE, "the log is forked");
    witness("other", head_of(text, &honest, 3), "none", COFRE_NEGATIVE, "the log has become shorter");
    witness("other", head_of(text, &honest, ENTRIES), short_path, COFRE_NEGATIVE, "the log is forked");
    witness("other", head_of(text, &honest, ENTRIES), no_path, COFRE_MALFORMED, "no list of hashes");
    witness("other", "{\"head\": \"AAAA\"}", "none", COFRE_MALFORMED, "the head that");
    cli_read(&after, "other");
    assert_true(view_equal(bytes_view(&before), bytes_view(&after))); /* nothing of it was taken as seen */
    witness("other", head_of(text, &honest, ENTRIES), honest.growth[4], 0, "\"from\": 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_made_and_grows),
        cmocka_unit_test(a_removed_entry_is_its_hash),
        cmocka_unit_test(whatever_was_not_signed_so_is_refused_and_the_copy_stays),
        cmocka_unit_test(a_witness_signs_what_grew_on_a_running_host),
        cmocka_unit_test(a_witness_names_a_fork_a_cut_and_what_proves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
