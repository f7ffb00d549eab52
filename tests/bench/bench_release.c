/*
 * Releases of a key for a second of cofre-trust's time on one processor, beside the loop that judges the same evidence and seals one
 * key, in this process and on that processor: by guests that keep their connections, one worker, all collateral held, in SQLite.
 * Service and loop take turns. A release's challenge is asked for beforehand, and is the second figure's.
 *   bench_release COFRE_TRUST
 */
#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>

#include "attest/channel/binding.h"
#include "attest/collateral/parcel.h"
#include "attest/store/db.h"
#include "keys/message.h"
#include "keys/wrap.h"
#include "tests/bench/bench.h"
#include "tests/bench/guests.h"
#include "tests/bench/service.h"
#include "vmm/base/json.h"

#define ROUNDS  7
#define CLIENTS 16
#define COUNT   (8 * CLIENTS) /* releases of a round */
#define NAME    "disk"

struct bench {
    struct guests guests;
    struct service_files files;
    struct service service;
    struct identity identity;
    struct client client[CLIENTS];
    struct bytes spki; /* the guests' own */
    EVP_PKEY *recipient;
    struct hpke_public to;
    struct x509_certs chain;
    struct x509_crls list;
    struct x509_issued issued;
    struct tdx_signers signers;
    char *challenge;
    int cpu;
};

/* What is asked of both in a round. */
struct kind {
    const char *of;
    bool tdx;
    struct evidence evidence[COUNT];
    uint8_t report_data[COUNT][CHANNEL_REPORT_DATA];
    char *request[COUNT];
};

static void import_chain(struct bench *b)
{
    struct bytes parcel = {0};
    struct parcel_counts counts;
    struct snp_cert_table table;
    struct db *db = NULL;
    guests_parcel(&b->guests, &parcel);
    BENCH_CHECK(db_open(&db, b->files.database, NULL) == 0 &&
                parcel_import(&counts, db, bytes_view(&parcel), &b->guests.root, (int64_t)time(NULL), NULL) ==
                    0);
    db_close(db);
    bytes_free(&parcel);
    BENCH_CHECK(snp_cert_table_parse(&table, bytes_view(&b->guests.certificates), NULL) == 0);
    for (size_t i = 0; i < table.count; i++)
        BENCH_CHECK((table.entry[i].kind == SNP_CERT_CRL
                         ? x509_crls_add(&b->list, table.entry[i].data, NULL)
                         : x509_certs_add(&b->chain, table.entry[i].data, NULL)) == 0);
}

static void owner(struct bench *b, const char *method, const char *path, int status)
{
    static char text[512], answer[1 << 16];
    (void)snprintf(
        text, sizeof text,
        "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bench\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\n\r\n{}",
        method, path);
    BENCH_CHECK(client_ask(&b->client[0], text, answer, sizeof answer) == status);
}

static void prepare(struct bench *b, const char *program)
{
    b->cpu = last_cpu();
    guests_make(&b->guests);
    service_files_make(&b->files, NULL, bytes_view(&b->guests.roots), bytes_view(&b->guests.collateral));
    import_chain(b);
    service_start(&b->service, program, &b->files, 1, b->cpu);
    run_beside(b->cpu);
    b->identity = identity_new("guest");
    BENCH_CHECK(channel_key_of(&b->spki, b->identity.cert, NULL) == 0 &&
                hpke_key_new(&b->recipient, HPKE_X25519, NULL) == 0 &&
                hpke_public_of(&b->to, HPKE_X25519, b->recipient, NULL) == 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        b->client[i] = client_connect(b->service.port);
        BENCH_CHECK(client_handshake(&b->client[i], &b->identity, 0x0304));
    }
    owner(b, "POST", "/v1/keys/" NAME, 201);
    owner(b, "PUT", "/v1/keys/" NAME "/grants/bench", 200);
    b->challenge = service_request("/v1/challenges", "{}");
}

static void finish(struct bench *b)
{
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(&b->client[i]);
    service_stop(&b->service);
    service_files_remove(&b->files);
    identity_free(&b->identity);
    EVP_PKEY_free(b->recipient);
    bytes_free(&b->spki);
    free(b->challenge);
    x509_certs_free(&b->chain);
    x509_crls_free(&b->list);
    x509_issued_free(&b->issued);
    tdx_signers_free(&b->signers);
    guests_free(&b->guests);
}

/* One guest's request by a nonce of the service's, on the connection on which it will be asked. */
static void write_release(struct bench *b, struct kind *k, size_t i, const char *hex)
{
    uint8_t nonce[32];
    char to[2 * HPKE_PUBLIC_MAX + 1];
    struct bytes file = {0};
    BENCH_CHECK(hex_decode(nonce, sizeof nonce, hex));
    struct channel_binding bound = {
        .end = CHANNEL_CLIENT, .nonce = {nonce, sizeof nonce}, .key = bytes_view(&b->spki)};
    BENCH_CHECK(channel_exporter(bound.exporter, b->client[i % CLIENTS].ssl, NULL) == 0 &&
                channel_release_report_data(k->report_data[i], &bound, (struct view){b->to.data, b->to.len},
                                            key_message_text(NAME), NULL) == 0);
    const struct view data = {k->report_data[i], CHANNEL_REPORT_DATA};
    k->tdx ? guests_tdx_on(&b->guests, data, &k->evidence[i])
           : guests_snp_on(&b->guests, data, &k->evidence[i]);
    hex_encode(to, b->to.data, b->to.len);
    BENCH_CHECK(evidence_write(&file, &k->evidence[i], NULL) == 0);
    json_t *body = json_pack("{s:o, s:s, s:s, s:s, s:s}", "evidence",
                             json_loadb((const char *)file.data, file.len, 0, NULL), "policy", "bench",
                             "challenge", hex, "recipient", to, "kem", "X25519");
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    BENCH_CHECK(text);
    k->request[i] = service_request("/v1/keys/" NAME "/release", text);
    free(text);
    json_decref(body);
    bytes_free(&file);
}

/* Challenges, whose time of the service's is the result, and what guests make of them. */
static double make_round(struct bench *b, struct kind *k)
{
    static char answer[4096], hex[COUNT][65];
    const double start = bench_clock(b->service.clock);
    for (size_t i = 0; i < COUNT; i += CLIENTS) {
        for (size_t c = 0; c < CLIENTS; c++)
            BENCH_CHECK(client_send(&b->client[c], b->challenge));
        for (size_t c = 0; c < CLIENTS; c++) {
            BENCH_CHECK(client_answer(&b->client[c], answer, sizeof answer) == 201);
            const char *nonce = strstr(answer, "\"nonce\":\"");
            BENCH_CHECK(nonce);
            (void)snprintf(hex[i + c], sizeof hex[i + c], "%s", nonce + strlen("\"nonce\":\""));
        }
    }
    const double each = (bench_clock(b->service.clock) - start) / COUNT;
    for (size_t i = 0; i < COUNT; i++)
        write_release(b, k, i, hex[i]);
    return each;
}

static void free_round(struct kind *k)
{
    for (size_t i = 0; i < COUNT; i++) {
        evidence_free(&k->evidence[i]);
        free(k->request[i]);
    }
}

static double by_service(struct bench *b, const struct kind *k)
{
    const double start = bench_clock(b->service.clock);
    for (size_t i = 0; i < COUNT; i += CLIENTS)
        service_ask_all(b->client, CLIENTS, &k->request[i], 200);
    return (bench_clock(b->service.clock) - start) / COUNT;
}

static double by_loop(struct bench *b, const struct kind *k, bool remembering)
{
    static const uint8_t value[32] = {1};
    const struct hpke_about about = key_message_named(HPKE_X25519, KEY_RELEASE_INFO, NAME);
    run_on(b->cpu);
    const double start = bench_clock(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < COUNT; i++) {
        CLEAN_VERDICT verdict = {0};
        struct hpke_public enc;
        uint8_t sealed[sizeof value + HPKE_OVERHEAD];
        const struct appraisal in = {.evidence = &k->evidence[i],
                                     .policy = &b->guests.policy,
                                     .certs = k->tdx ? NULL : &b->chain,
                                     .crls = k->tdx ? NULL : &b->list,
                                     .collateral = k->tdx ? &b->guests.decoded : NULL,
                                     .issued = remembering ? &b->issued : NULL,
                                     .signers = remembering ? &b->signers : NULL,
                                     .roots = &b->guests.root,
                                     .report_data = {k->report_data[i], CHANNEL_REPORT_DATA},
                                     .at = (int64_t)time(NULL)};
        BENCH_CHECK(appraise(&verdict, &in, NULL) == 0 && verdict_outcome(&verdict) == CHECK_PASSED &&
                    hpke_seal(&enc, sealed, &about, (struct view){b->to.data, b->to.len},
                              (struct view){value, sizeof value}, NULL) == 0);
    }
    const double each = (bench_clock(CLOCK_THREAD_CPUTIME_ID) - start) / COUNT;
    run_beside(b->cpu);
    return each;
}

static void print(const struct kind *k, const char *figure, const char *beside, struct bench_times times,
                  double aim)
{
    bench_print((struct bench_figure){.figure = figure,
                                      .of = k->of,
                                      .unit = "a second",
                                      .value = 1 / times.measured,
                                      .beside = beside,
                                      .beside_value = 1 / times.beside,
                                      .aim = aim});
}

static bool measure(struct bench *b, struct kind *k)
{
    static const char figure[] = "releases of a key by cofre-trust, for a second of one processor";
    struct bench_times met[ROUNDS], anew[ROUNDS], asked[ROUNDS];
    for (int round = -1; round < ROUNDS; round++) { /* before the first both have seen the chip */
        const unsigned i = round < 0 ? 0 : (unsigned)round;
        const double challenge = make_round(b, k), first = by_loop(b, k, false), service = by_service(b, k),
                     second = by_loop(b, k, true);
        anew[i] = (struct bench_times){service, first};
        met[i] = (struct bench_times){service, second};
        asked[i] = (struct bench_times){service + challenge, first};
        free_round(k);
    }
    const struct bench_times usual = bench_middle(anew, ROUNDS);
    print(k, figure, "the loop that judges, remembering, and seals", bench_middle(met, ROUNDS), 0.6);
    print(k, figure, "the loop that judges, remembering nothing, and seals", usual, 0.6);
    print(k, "the same, each with its challenge", "the loop that judges, remembering nothing, and seals",
          bench_middle(asked, ROUNDS), 0);
    return !bench_is_fault(k->of, usual.beside / usual.measured, 0.1);
}

int main(int argc, char **argv)
{
    static struct bench b;
    static struct kind kinds[] = {{.of = "SNP, the chain held, 16 connections"},
                                  {.of = "TDX, the collateral held, 16 connections", .tdx = true}};
    bool good = true;
    BENCH_CHECK(argc == 2);
    prepare(&b, argv[1]);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        good &= measure(&b, &kinds[i]);
    finish(&b);
    return good ? 0 : 1;
}
