/*
 * Appraisals for a second of cofre-trust's time on one processor, beside the loop that only judges the same evidence, in this process and
 * on that processor: by clients that keep their connections, one worker, the results in SQLite. Service and loop take turns.
 * The loop is measured twice where a verifier may remember what it has seen: as the service's workers do, and as `cofre verify`,
 * which sees each thing once.
 * Where a third program is given, a service of somebody else's that judges SNP reports, it takes turns as well.
 *   bench_service COFRE_TRUST [OTHER]
 */
#include <openssl/rand.h>
#include <string.h>

#include "attest/collateral/parcel.h"
#include "attest/store/db.h"
#include "tests/bench/bench.h"
#include "tests/bench/guests.h"
#include "tests/bench/service.h"
#include "vmm/base/file.h"

#define ROUNDS    9
#define CLIENTS   16
#define COUNT     (12 * CLIENTS) /* appraisals of a round */
#define COUNT_ONE 32             /* one after the other: each waits for the disk */

/* What is asked of both, COUNT different ones. */
struct kind {
    const char *of;
    bool tdx, with_certificates, jwt; /* jwt: two tokens are asked for */
    struct evidence evidence[COUNT];
    uint8_t nonce[COUNT][GUEST_NONCE];
    char *request[COUNT];
};

struct bench {
    struct guests guests;
    struct service_files files;
    struct server {
        struct service service;
        struct client client[CLIENTS];
    } ours, other;
    bool beside;             /* the other one is there */
    struct x509_certs chain; /* the chip's, decoded */
    struct x509_crls list;
    struct x509_issued issued;
    struct tdx_signers signers;
    int cpu;
};

static void make_kind(struct bench *b, struct kind *k)
{
    for (size_t i = 0; i < COUNT; i++) {
        BENCH_CHECK(RAND_bytes(k->nonce[i], GUEST_NONCE) == 1);
        if (k->tdx)
            guests_tdx(&b->guests, k->nonce[i], &k->evidence[i]);
        else
            guests_snp(&b->guests, k->nonce[i], k->with_certificates, &k->evidence[i]);
        char *body = guests_body(&k->evidence[i], "nonce", k->nonce[i], k->jwt);
        k->request[i] = service_request("/v1/appraisals", body);
        free(body);
    }
}

static void free_kind(struct kind *k)
{
    for (size_t i = 0; i < COUNT; i++) {
        evidence_free(&k->evidence[i]);
        free(k->request[i]);
    }
}

static void import_chain(struct bench *b)
{
    struct bytes parcel = {0};
    struct parcel_counts counts;
    struct db *db = NULL;
    guests_parcel(&b->guests, &parcel);
    BENCH_CHECK(db_open(&db, b->files.database, NULL) == 0 &&
                parcel_import(&counts, db, bytes_view(&parcel), &b->guests.root, (int64_t)time(NULL), NULL) ==
                    0 &&
                counts.kept == 3);
    db_close(db);
    bytes_free(&parcel);
}

static void decode_chain(struct bench *b)
{
    struct snp_cert_table table;
    BENCH_CHECK(snp_cert_table_parse(&table, bytes_view(&b->guests.certificates), NULL) == 0);
    for (size_t i = 0; i < table.count; i++)
        BENCH_CHECK((table.entry[i].kind == SNP_CERT_CRL
                         ? x509_crls_add(&b->list, table.entry[i].data, NULL)
                         : x509_certs_add(&b->chain, table.entry[i].data, NULL)) == 0);
}

/* The chip's chain, for who keeps it as files. */
static void write_chain(const struct bench *b)
{
    static const char *const names[] = {
        [SNP_CERT_VCEK] = "leaf", [SNP_CERT_ASK] = "ask", [SNP_CERT_ARK] = "ark"};
    struct snp_cert_table table;
    BENCH_CHECK(snp_cert_table_parse(&table, bytes_view(&b->guests.certificates), NULL) == 0);
    for (size_t i = 0; i < table.count; i++) {
        const enum snp_cert_kind kind = table.entry[i].kind;
        char path[64];
        if (kind >= sizeof names / sizeof *names || !names[kind])
            continue;
        (void)snprintf(path, sizeof path, "%s/%s.der", b->files.folder, names[kind]);
        BENCH_CHECK(file_write(path, table.entry[i].data, 0600, NULL) == 0);
    }
}

static void connect_to(struct server *s)
{
    for (size_t i = 0; i < CLIENTS; i++)
        s->client[i] = client_new(s->service.port);
}

static void leave(struct server *s)
{
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(&s->client[i]);
}

static void prepare(struct bench *b, const char *program, const char *other)
{
    b->cpu = last_cpu();
    guests_make(&b->guests);
    decode_chain(b);
    service_files_make(&b->files, NULL, bytes_view(&b->guests.roots), bytes_view(&b->guests.collateral));
    import_chain(b);
    service_start(&b->ours.service, program, &b->files, 1, b->cpu);
    b->beside = other != NULL;
    if (other) {
        write_chain(b);
        service_start_other(&b->other.service, other, &b->files, b->cpu);
    }
    run_beside(b->cpu);
    connect_to(&b->ours);
    if (other)
        connect_to(&b->other);
}

static void finish(struct bench *b)
{
    leave(&b->ours);
    service_stop(&b->ours.service);
    if (b->beside) {
        leave(&b->other);
        service_stop_other(&b->other.service);
    }
    service_files_remove(&b->files);
    x509_certs_free(&b->chain);
    x509_crls_free(&b->list);
    x509_issued_free(&b->issued);
    tdx_signers_free(&b->signers);
    guests_free(&b->guests);
}

/* Seconds of the service's time for one. */
static double by_service(struct server *s, const struct kind *k, size_t clients, size_t count)
{
    const double start = bench_clock(s->service.clock);
    for (size_t i = 0; i < count; i += clients)
        service_ask_all(s->client, clients, &k->request[i], 200);
    return (bench_clock(s->service.clock) - start) / (double)count;
}

static double by_loop(struct bench *b, const struct kind *k, bool remembering)
{
    run_on(b->cpu);
    const double start = bench_clock(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < COUNT; i++) {
        CLEAN_VERDICT verdict = {0};
        const struct appraisal in = {.evidence = &k->evidence[i],
                                     .policy = &b->guests.policy,
                                     .certs = k->tdx || k->with_certificates ? NULL : &b->chain,
                                     .crls = k->tdx ? NULL : &b->list,
                                     .collateral = k->tdx ? &b->guests.decoded : NULL,
                                     .issued = remembering ? &b->issued : NULL,
                                     .signers = remembering ? &b->signers : NULL,
                                     .roots = &b->guests.root,
                                     .nonce = {k->nonce[i], GUEST_NONCE},
                                     .at = (int64_t)time(NULL)};
        BENCH_CHECK(appraise(&verdict, &in, NULL) == 0 && verdict_outcome(&verdict) == CHECK_PASSED);
    }
    const double each = (bench_clock(CLOCK_THREAD_CPUTIME_ID) - start) / COUNT;
    run_beside(b->cpu);
    return each;
}

static void print(const struct kind *k, size_t clients, struct bench_times pair, const char *beside,
                  double aim)
{
    char of[128];
    (void)snprintf(of, sizeof of, "%s, %zu connection%s", k->of, clients, clients == 1 ? "" : "s");
    bench_print((struct bench_figure){.figure = "appraisals by cofre-trust, for a second of one processor",
                                      .of = of,
                                      .unit = "a second",
                                      .value = 1 / pair.measured,
                                      .beside = beside,
                                      .beside_value = 1 / pair.beside,
                                      .aim = aim});
}

/* False where it is so slow that something is wrong. */
static bool measure(struct bench *b, struct kind *k)
{
    struct bench_times met[ROUNDS], anew[ROUNDS], one[ROUNDS], other[ROUNDS];
    const bool beside = b->beside && !k->tdx && !k->with_certificates;
    make_kind(b, k);
    (void)by_service(&b->ours, k, CLIENTS, COUNT); /* it has seen the chip once */
    for (unsigned round = 0; round < ROUNDS; round++) {
        anew[round].beside = by_loop(b, k, false);
        met[round].measured = anew[round].measured = by_service(&b->ours, k, CLIENTS, COUNT);
        met[round].beside = one[round].beside = by_loop(b, k, true);
        one[round].measured = by_service(&b->ours, k, 1, COUNT_ONE);
        other[round].measured = anew[round].measured;
        other[round].beside = beside ? by_service(&b->other, k, CLIENTS, COUNT) : 0;
    }
    const struct bench_times usual = bench_middle(anew, ROUNDS);
    print(k, CLIENTS, bench_middle(met, ROUNDS), "the loop that judges, remembering", 0.7);
    print(k, CLIENTS, usual, "the loop that judges, remembering nothing", 0.7);
    if (beside)
        print(k, CLIENTS, bench_middle(other, ROUNDS), "a service in Go by go-sev-guest", 0);
    print(k, 1, bench_middle(one, ROUNDS), "the loop that judges, remembering", 0);
    free_kind(k);
    return !bench_is_fault(k->of, usual.beside / usual.measured, 0.1);
}

int main(int argc, char **argv)
{
    static struct bench b;
    static struct kind kinds[] = {{.of = "SNP, the chain held"},
                                  {.of = "SNP, the chain in the evidence", .with_certificates = true},
                                  {.of = "TDX, the collateral held", .tdx = true},
                                  {.of = "TDX, the collateral held, CWT and JWT", .tdx = true, .jwt = true}};
    bool good = true;
    BENCH_CHECK(argc == 2 || argc == 3);
    prepare(&b, argv[1], argc > 2 ? argv[2] : NULL);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        good &= measure(&b, &kinds[i]);
    finish(&b);
    return good ? 0 : 1;
}
