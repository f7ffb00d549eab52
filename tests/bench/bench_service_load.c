/*
 * cofre-trust under what a relying party's day brings. Each is a benchmark of its own:
 *   bench_service_load COFRE_TRUST latency      how long an appraisal takes at half of what the service can do
 *                                  idle         memory with 10,000 connections that have asked once, and are kept
 *                                  results      an appraisal's cost with 10^6 results stored ($COFRE_BENCH_RESULTS), beside none
 *                                  instances    one instance, and two, on one PostgreSQL; exits with 77 where there is none
 * Evidence is a TD's, whose judging costs least: what the service itself costs shows most.
 */
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/guests.h"
#include "tests/bench/row.h"
#include "tests/bench/service.h"
#include "tests/unit/store/database.h"

#define CLIENTS  16
#define REQUESTS (8 * CLIENTS)
#define ROUNDS   7

static const char *program;

struct load {
    struct guests guests;
    char *request[REQUESTS];
};

static void make_load(struct load *l)
{
    guests_make(&l->guests);
    for (size_t i = 0; i < REQUESTS; i++) {
        uint8_t nonce[GUEST_NONCE];
        struct evidence evidence;
        BENCH_CHECK(RAND_bytes(nonce, sizeof nonce) == 1);
        guests_tdx(&l->guests, nonce, &evidence);
        char *body = guests_body(&evidence, "nonce", nonce, false);
        l->request[i] = service_request("/v1/appraisals", body);
        free(body);
        evidence_free(&evidence);
    }
}

static void free_load(struct load *l)
{
    for (size_t i = 0; i < REQUESTS; i++)
        free(l->request[i]);
    guests_free(&l->guests);
}

static void make_files(struct service_files *f, const struct load *l, const char *database)
{
    service_files_make(f, database, bytes_view(&l->guests.roots), bytes_view(&l->guests.collateral));
}

static void ask_all(const struct load *l, struct client *client)
{
    for (size_t i = 0; i < REQUESTS; i += CLIENTS)
        service_ask_all(client, CLIENTS, &l->request[i], 200);
}

static void connect_all(struct client *client, size_t count, const struct service *s)
{
    for (size_t i = 0; i < count; i++)
        client[i] = client_new(s->port);
}

static void close_all(struct client *client)
{
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(&client[i]);
}

static double less(double a, double b)
{
    return a < b ? a : b;
}

/* ---- latency ---- */

#define ARRIVALS 2000

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Who waits for an answer since when; 0: nobody. */
struct waiting {
    struct client client[CLIENTS];
    double since[CLIENTS];
    double *took;
    size_t answered;
};

static void take_answers(struct waiting *w, double until)
{
    static char answer[1 << 18];
    struct pollfd of[CLIENTS];
    const double left = until - bench_clock(CLOCK_MONOTONIC);
    for (size_t i = 0; i < CLIENTS; i++)
        of[i] = (struct pollfd){.fd = w->since[i] > 0 ? w->client[i].fd : -1, .events = POLLIN};
    const struct timespec wait = {.tv_nsec = left > 0 ? (long)(1e9 * less(left, 0.5)) : 0};
    BENCH_CHECK(ppoll(of, CLIENTS, &wait, NULL) >= 0 || errno == EINTR);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (!(of[i].revents & POLLIN))
            continue;
        BENCH_CHECK(client_answer(&w->client[i], answer, sizeof answer) == 200);
        w->took[w->answered++] = bench_clock(CLOCK_MONOTONIC) - w->since[i];
        w->since[i] = 0;
    }
}

static struct client *idle_client(struct waiting *w, double due)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (w->since[i] == 0) {
            w->since[i] = due;
            return &w->client[i];
        }
    return NULL;
}

/* Requests come at even intervals, whether those before were answered or not: one that finds no connection free has waited since it
 * was due. */
static void arrive(struct waiting *w, const struct load *l, double interval)
{
    const double start = bench_clock(CLOCK_MONOTONIC);
    for (size_t i = 0; i < ARRIVALS; i++) {
        const double due = start + (double)i * interval;
        struct client *c = NULL;
        while (bench_clock(CLOCK_MONOTONIC) < due)
            take_answers(w, due);
        while (!(c = idle_client(w, due)))
            take_answers(w, due + 1);
        BENCH_CHECK(client_send(c, l->request[i % REQUESTS]));
    }
    while (w->answered < ARRIVALS)
        take_answers(w, bench_clock(CLOCK_MONOTONIC) + 1);
    qsort(w->took, ARRIVALS, sizeof *w->took, by_size);
}

static int latency(struct load *l)
{
    static double took[ARRIVALS];
    struct waiting w = {.took = took};
    struct service_files files;
    struct service service;
    double fastest = 1e9;
    make_files(&files, l, NULL);
    service_start(&service, program, &files, 1, last_cpu());
    run_beside(last_cpu());
    connect_all(w.client, CLIENTS, &service);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const double start = bench_clock(CLOCK_MONOTONIC);
        ask_all(l, w.client);
        fastest = less(fastest, (bench_clock(CLOCK_MONOTONIC) - start) / REQUESTS);
    }
    arrive(&w, l, 2 * fastest);
    bench_row_print(
        &(struct bench_row){.figure = "an appraisal at half of what cofre-trust can do, TDX: 99th percentile",
                            .of = "cofre-trust",
                            .unit = "ms",
                            .value = 1e3 * took[ARRIVALS * 99 / 100],
                            .beside = "the median",
                            .beside_value = 1e3 * took[ARRIVALS / 2]});
    close_all(w.client);
    service_stop(&service);
    service_files_remove(&files);
    return 0;
}

/* ---- idle connections ---- */

#define IDLE 10000

static void raise_limit(void)
{
    struct rlimit limit;
    BENCH_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur < IDLE + 100)
        limit.rlim_cur = IDLE + 100;
    if (limit.rlim_max < limit.rlim_cur)
        limit.rlim_max = limit.rlim_cur;
    BENCH_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Clients that share what they need not have each. */
static struct client lean_client(SSL_CTX *tls, uint16_t port)
{
    struct client c = client_connect(port);
    c.ssl = SSL_new(tls);
    BENCH_CHECK(c.ssl && SSL_set_fd(c.ssl, c.fd) && SSL_connect(c.ssl) == 1);
    return c;
}

static int idle(struct load *l)
{
    static struct client client[IDLE];
    char answer[4096];
    struct service_files files;
    struct service service;
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    raise_limit();
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    make_files(&files, l, NULL);
    service_start(&service, program, &files, 1, -1);
    client[0] = lean_client(tls, service.port);
    BENCH_CHECK(client_ask(&client[0], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer) ==
                200);
    const double before = service_resident_mib(&service);
    for (size_t i = 1; i < IDLE; i++) {
        client[i] = lean_client(tls, service.port);
        BENCH_CHECK(
            client_ask(&client[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer) == 200);
    }
    const double after = service_resident_mib(&service);
    BENCH_CHECK(client_ask(&client[0], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer) ==
                200);
    bench_row_print(&(struct bench_row){.figure = "memory of cofre-trust with 10,000 idle connections",
                                        .of = "cofre-trust",
                                        .unit = "MiB",
                                        .value = after,
                                        .beside = "with one",
                                        .beside_value = before});
    bench_row_print(&(struct bench_row){.figure = "memory of cofre-trust with 10,000 idle connections",
                                        .of = "each of them",
                                        .unit = "KiB",
                                        .value = 1024 * (after - before) / (IDLE - 1)});
    for (size_t i = 0; i < IDLE; i++) {
        SSL_free(client[i].ssl);
        close(client[i].fd);
    }
    SSL_CTX_free(tls);
    service_stop(&service);
    service_files_remove(&files);
    return 0;
}

/* ---- many results ---- */

/* As many results, their entries in the log and its tree's hashes, heads over each tenth of them. Texts are shorter than a verdict's
 * 8 KB, which lie in pages that nobody looks at again. The hashes are of nothing: what is read of them is how they are found. */
static void fill(const char *path, long results)
{
    static const char sql[] =
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN;"
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %1$ld - 1)"
        " INSERT INTO result SELECT lower(hex(randomblob(16))), randomblob(32), 1700000000 + i / 10, 'tdx', "
        "'pass', 'bench', 1,"
        " randomblob(32), 'bench', hex(randomblob(200)), randomblob(200), hex(randomblob(100)), i FROM n;"
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %1$ld - 1)"
        " INSERT INTO log_entry SELECT i, randomblob(150) FROM n;"
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2 * %1$ld - 1)"
        " INSERT INTO log_hash SELECT i, randomblob(32) FROM n;"
        "WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 10 FROM n WHERE i < %1$ld)"
        " INSERT INTO log_head SELECT i, randomblob(250) FROM n;"
        "UPDATE log_state SET size = %1$ld; COMMIT; ANALYZE; PRAGMA journal_mode = WAL";
    char *text = NULL, *why = NULL;
    sqlite3 *db = NULL;
    BENCH_CHECK(asprintf(&text, sql, results) > 0 && sqlite3_open(path, &db) == SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    sqlite3_close(db);
    free(text);
}

/* The hashes behind the last entry's are the service's to write. */
static void drop_hashes_behind(const char *path, long results)
{
    char line[96];
    sqlite3 *db = NULL;
    (void)snprintf(line, sizeof line, "DELETE FROM log_hash WHERE position >= %ld",
                   2 * results - __builtin_popcountl((unsigned long)results));
    BENCH_CHECK(sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_exec(db, line, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

static double cost(const struct load *l, const struct service *s, struct client *client)
{
    const double start = bench_clock(s->clock);
    ask_all(l, client);
    return (bench_clock(s->clock) - start) / REQUESTS;
}

static int results(struct load *l)
{
    struct service_files files[2];
    struct service service[2];
    struct client client[2][CLIENTS];
    double best[2] = {1e9, 1e9};
    const char *given = getenv("COFRE_BENCH_RESULTS");
    const long count = given ? atol(given) : 1000000;
    char of[64];
    for (int i = 0; i < 2; i++)
        make_files(&files[i], l, NULL);
    BENCH_CHECK(count > 0);
    fill(files[0].database, count);
    drop_hashes_behind(files[0].database, count);
    for (int i = 0; i < 2; i++) {
        service_start(&service[i], program, &files[i], 1, last_cpu());
        connect_all(client[i], CLIENTS, &service[i]);
    }
    run_beside(last_cpu());
    for (unsigned round = 0; round < 3 * ROUNDS; round++)
        for (int i = 0; i < 2; i++)
            best[i] = less(best[i], cost(l, &service[i], client[i]));
    (void)snprintf(of, sizeof of, "with %ld results stored", count);
    bench_row_print(&(struct bench_row){.figure = "processor time of an appraisal by cofre-trust, TDX",
                                        .of = of,
                                        .unit = "ms",
                                        .value = 1e3 * best[0],
                                        .beside = "with none",
                                        .beside_value = 1e3 * best[1],
                                        .aim_of = "ratio",
                                        .aim_kind = "at_most",
                                        .aim = 1.1});
    for (int i = 0; i < 2; i++) {
        close_all(client[i]);
        service_stop(&service[i]);
        service_files_remove(&files[i]);
    }
    return best[0] > 3 * best[1];
}

/* ---- one instance and two ---- */

static double elapsed(const struct load *l, struct client *client)
{
    const double start = bench_clock(CLOCK_MONOTONIC);
    ask_all(l, client);
    return (bench_clock(CLOCK_MONOTONIC) - start) / REQUESTS;
}

static int instances(struct load *l)
{
    struct service_files files;
    struct service service[2];
    struct client of_one[CLIENTS], of_two[CLIENTS];
    double one = 1e9, two = 1e9;
    struct database postgres;
    if (!database_start(&postgres, "postgres")) {
        database_remove(&postgres);
        return 77;
    }
    make_files(&files, l, postgres.name);
    for (int i = 0; i < 2; i++)
        service_start(&service[i], program, &files, 2, -1);
    connect_all(of_one, CLIENTS, &service[0]);
    for (size_t i = 0; i < CLIENTS; i++)
        connect_all(&of_two[i], 1, &service[i % 2]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        one = less(one, elapsed(l, of_one));
        two = less(two, elapsed(l, of_two));
    }
    bench_row_print(&(struct bench_row){.figure = "appraisals on one PostgreSQL, TDX",
                                        .of = "two instances",
                                        .unit = "a second",
                                        .value = 1 / two,
                                        .beside = "one",
                                        .beside_value = 1 / one});
    close_all(of_one);
    close_all(of_two);
    for (int i = 0; i < 2; i++)
        service_stop(&service[i]);
    service_files_remove(&files);
    database_remove(&postgres);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct load *l);
    } loads[] = {{"latency", latency}, {"idle", idle}, {"results", results}, {"instances", instances}};
    static struct load l;
    int rc = -1;
    BENCH_CHECK(argc == 3);
    program = argv[1];
    make_load(&l);
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
        if (strcmp(argv[2], loads[i].name) == 0)
            rc = loads[i].run(&l);
    BENCH_CHECK(rc >= 0);
    free_load(&l);
    return rc;
}
