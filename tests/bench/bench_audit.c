/*
 * The record of the host manager: entries a second where 64 wait at a time, beside as many bytes appended to a file and brought to the
 * same disk by fdatasync; and a proof of inclusion. COFRE_AUDIT_ENTRIES: in so many entries (10^6), which
 * are made by the record's own append, 50,000 to a transaction. In the current directory,
 * which says whose disk it is.
 */
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/row.h"
#include "vmm/host/audit/about.h"
#include "vmm/host/audit/audit.h"

#define WRITERS 64
#define ROUNDS  31
#define TURNS   8 /* of one round */
#define BOUND   0.05
#define PROOFS  2000

struct bench_audit {
    struct db *db;
    struct audit *audit;
    int fd;
    uint8_t block[WRITERS * 256];
    int64_t time;
};

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static int turn(struct db *db, void *context, struct cofre_err *err)
{
    struct bench_audit *b = context;
    CLEAN_AUDIT_TURN t = {0};
    static const struct audit_operation operation = {.outcome = LOG_OPERATION_DONE,
                                                     .operation = "guest.start",
                                                     .request = "01937282-b5a2-7cc1-a61b-0c1d2e3f4a5b",
                                                     .subject = "oidc:example:ann",
                                                     .identity = "token",
                                                     .from = "192.0.2.7:40312",
                                                     .tenant = "acme",
                                                     .object = "guest/web-17"};
    int rc = audit_begin(&t, b->audit, db, ++b->time, err);
    for (int i = 0; i < WRITERS && rc == 0; i++)
        rc = audit_operation(&t, &operation, NULL, err);
    return rc < 0 ? rc : audit_sign(&t, err);
}

static void append(void *context)
{
    struct bench_audit *b = context;
    struct cofre_err err;
    must(db_atomically(b->db, turn, b, &err), &err);
    audit_kept(b->audit);
}

static void commit_raw(void *context)
{
    struct bench_audit *b = context;
    BENCH_CHECK(write(b->fd, b->block, sizeof b->block) == sizeof b->block && fdatasync(b->fd) == 0);
}

static void make_key(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(path, "we");
    BENCH_CHECK(key && f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    EVP_PKEY_free(key);
}

static void measure_appends(struct bench_audit *b)
{
    struct bench_times round[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        const double start = bench_clock(CLOCK_MONOTONIC);
        for (int n = 0; n < TURNS; n++)
            append(b);
        const double middle = bench_clock(CLOCK_MONOTONIC);
        for (int n = 0; n < TURNS; n++)
            commit_raw(b);
        round[i] =
            (struct bench_times){(middle - start) / TURNS, (bench_clock(CLOCK_MONOTONIC) - middle) / TURNS};
    }
    const struct bench_times t = bench_middle(round, ROUNDS);
    const double ratio = bench_print((struct bench_figure){
        "entries of operations, 64 at a time", "cofred's record", "the same bytes and fdatasync", "entries/s",
        WRITERS / t.measured, WRITERS / t.beside, 0.5});
    if (bench_is_fault("appends", ratio, BOUND))
        exit(1);
}

/* Entries of little, many to a transaction, until there are so many. */
static int64_t wanted;
static int fill(struct db *db, void *context, struct cofre_err *err)
{
    struct bench_audit *b = context;
    CLEAN_AUDIT_TURN t = {0};
    int64_t number;
    int rc = audit_begin(&t, b->audit, db, ++b->time, err);
    for (int i = 0; i < 50000 && rc == 0 && (int64_t)t.log.tree.size < wanted; i++)
        rc = db_log_append(&t.log, (struct view){(const uint8_t *)&t.log.tree.size, 8}, &number, err);
    return rc < 0 ? rc : audit_sign(&t, err);
}

static int take_size(void *context, struct view bytes, struct cofre_err *err)
{
    (void)context, (void)bytes, (void)err;
    return 0;
}

static void measure_proofs(struct bench_audit *b)
{
    const char *entries = getenv("COFRE_AUDIT_ENTRIES");
    struct cofre_err err;
    int64_t size = 0;
    wanted = entries ? atoll(entries) : 1000000;
    for (;;) {
        must(db_log_head(b->db, &size, take_size, NULL, &err), &err);
        if (size >= wanted)
            break;
        must(db_atomically(b->db, fill, b, &err), &err);
    }
    double own = 0, passed = 0;
    for (int i = 0; i < PROOFS; i++) {
        struct bytes receipt = {0};
        const double start = bench_clock(CLOCK_THREAD_CPUTIME_ID), began = bench_clock(CLOCK_MONOTONIC);
        must(db_log_prove(b->db, LOG_RECEIPT_INCLUSION, ((int64_t)i * 7919 * 31337) % size, &receipt, &err),
             &err);
        own += bench_clock(CLOCK_THREAD_CPUTIME_ID) - start;
        passed += bench_clock(CLOCK_MONOTONIC) - began;
        bytes_free(&receipt);
    }
    char figure[64];
    (void)snprintf(figure, sizeof figure, "a proof of inclusion in %lld entries", (long long)size);
    bench_row_print(&(struct bench_row){.figure = figure,
                                        .of = "cofred's record, mean of 2,000: processor time",
                                        .unit = "ms",
                                        .value = 1e3 * own / PROOFS,
                                        .beside = "the same, by the clock",
                                        .beside_value = 1e3 * passed / PROOFS,
                                        .aim_of = "value",
                                        .aim_kind = "at_most",
                                        .aim = 1});
}

int main(void)
{
    struct bench_audit b = {.fd = -1, .time = 1700000000};
    struct cofre_err err;
    char folder[] = "bench-audit-XXXXXX";
    BENCH_CHECK(mkdtemp(folder) && chdir(folder) == 0);
    make_key("log.pem");
    b.fd = open("raw", O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
    BENCH_CHECK(b.fd >= 0);
    must(audit_new(&b.audit, &(struct audit_config){"log.pem", "a benchmark"}, &err), &err);
    must(db_open(&b.db, "host.db", &err), &err);
    must(db_script(b.db, audit_schema, &err), &err);
    must(db_script(b.db, about_schema, &err), &err);
    measure_appends(&b);
    measure_proofs(&b);
    db_close(b.db);
    audit_free(b.audit);
    close(b.fd);
    BENCH_CHECK(system("rm -f log.pem raw host.db host.db-wal host.db-shm") == 0 && chdir("..") == 0 &&
                rmdir(folder) == 0);
    return 0;
}
