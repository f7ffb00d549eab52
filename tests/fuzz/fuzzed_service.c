#include "tests/fuzz/fuzzed_service.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/evidence.h"
#include "attest/service/access.h"
#include "attest/service/endorsements.h"
#include "attest/service/ledger.h"
#include "attest/service/route.h"
#include "attest/service/server_parts.h"
#include "attest/service/signer.h"
#include "attest/service/tls.h"
#include "attest/store/challenge.h"
#include "attest/store/credential.h"
#include "attest/store/policy.h"
#include "attest/store/schema.h"
#include "tdx/model/platform.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/service/client.h"
#include "vmm/base/file.h"

const char *const fuzzed_tokens[FUZZED_TOKENS] = {
    [SUBMIT] = "5e1d7c07b1a64f0d",   [READ] = "a91b24e7738c6d15",  [VALUES] = "37c9f0ab4d5e6182",
    [POLICIES] = "c48e2f6a90d1b357", [AUDIT] = "f06d83b95a2c714e", [ADMINISTER] = "8b3a95d2e7f40c61"};
static const char *const roles[FUZZED_TOKENS] = {
    [SUBMIT] = "submit",     [READ] = "read",   [VALUES] = "values",
    [POLICIES] = "policies", [AUDIT] = "audit", [ADMINISTER] = "administer"};

static char folder[64];
static struct fuzzed_evidence evidence;
static struct bytes collateral, root;
static struct trust trust;
static struct trust_config config;
static struct loop *loop;
static struct db *db;
static struct memory memory;
static uint16_t port;
static SSL_CTX *client_tls;
static char *set_back; /* a script */
static int64_t changes, version;

/* Where a synchronised write costs nothing. */
static void make_folder(void)
{
    (void)snprintf(folder, sizeof folder, "%s/cofre-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[96];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    FUZZ_CHECK(system(command) == 0);
}

static char *put_file(const char *name, struct view data)
{
    char *path;
    FUZZ_CHECK(asprintf(&path, "%s/%s", folder, name) > 0 && file_write(path, data, 0600, NULL) == 0);
    return path;
}

static void make_evidence(void)
{
    struct tdx_platform *platform = NULL;
    struct tdx_report report = {0};
    CLEAN_EVIDENCE e = {.tee = "tdx"};
    make_folder();
    FUZZ_CHECK(tdx_platform_open(&platform, folder, NULL, NULL) == 0);
    put_le64(report.td.attributes, TDX_ATTR_SEPT_VE_DISABLE);
    put_le64(report.td.xfam, 0xe7);
    FUZZ_CHECK(hex_decode(report.mac.report_data, 32, FUZZED_NONCE));
    tdx_platform_seal_report(platform, &report);
    FUZZ_CHECK(tdx_platform_quote(platform, &report, &e.report, NULL) == 0);
    FUZZ_CHECK(evidence_write(&evidence.text, &e, NULL) == 0);
    FUZZ_CHECK(EVP_Digest(e.report.data, e.report.len, evidence.digest, NULL, EVP_sha256(), NULL) == 1);
    FUZZ_CHECK(tdx_platform_collateral(platform, FUZZ_NOW, &collateral, NULL) == 0);
    FUZZ_CHECK(tdx_platform_root(platform, &root, NULL) == 0);
    tdx_platform_close(platform);
    remove_folder();
}

const struct fuzzed_evidence *fuzzed_evidence(void)
{
    if (!evidence.text.len)
        make_evidence();
    return &evidence;
}

static int64_t clock_of_service(void)
{
    return FUZZ_NOW;
}

static char *put_pem(const char *name, const struct identity *id, bool key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    FUZZ_CHECK(key ? PEM_write_bio_PrivateKey(bio, id->key, NULL, NULL, 0, NULL, NULL)
                   : PEM_write_bio_X509(bio, id->cert));
    const long len = BIO_get_mem_data(bio, &text);
    char *path = put_file(name, (struct view){(const uint8_t *)text, (size_t)len});
    BIO_free(bio);
    return path;
}

static void make_config(void)
{
    static char name[] = "https://trust.example";
    struct identity id = identity_new("trust");
    config = (struct trust_config){.certificate = put_pem("cert.pem", &id, false),
                                   .key = put_pem("key.pem", &id, true),
                                   .client_ca = put_pem("ca.pem", &id, false),
                                   .database = put_file("db", (struct view){NULL, 0}),
                                   .name = name,
                                   .token_seconds = 3600,
                                   .challenge_seconds = 300,
                                   .workers = 2,
                                   .limits = {64, 16, 16384, 1 << 18, 10, 32 << 20}};
    config.signing_key = config.key;
    identity_free(&id);
    config.trust_roots.path[0] = put_file("root", bytes_view(&root));
    config.collateral.path[0] = put_file("collateral", bytes_view(&collateral));
}

static void populate(void)
{
    uint8_t nonce[32], digest[32];
    FUZZ_CHECK(hex_decode(nonce, sizeof nonce, FUZZED_NONCE));
    FUZZ_CHECK(challenge_keep(db, (struct view){nonce, sizeof nonce}, FUZZ_NOW + 300, NULL) == 0);
    for (int i = 0; i < FUZZED_TOKENS; i++) {
        access_token_digest(digest, fuzzed_tokens[i]);
        const struct credential c = {.digest = {digest, sizeof digest},
                                     .name = roles[i],
                                     .roles = roles[i],
                                     .scope = "",
                                     .made = 1,
                                     .made_by = "test",
                                     .expires = FUZZ_NOW + 3600};
        FUZZ_CHECK(credential_add(db, &c, NULL) == 0);
    }
    FUZZ_CHECK(stored_policy_add(db, "web", "{\"tdx\": {}, \"snp\": {}}", 1, "test", NULL) == 1);
    FUZZ_CHECK(stored_policy_activate(db, "web", 1, 1, "test", NULL) == 0);
}

static int take_integer(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns, (void)err;
    *(int64_t *)context = column[0].integer;
    return 0;
}

static int64_t ask_number(const char *sql)
{
    int64_t n = 0;
    FUZZ_CHECK(db_run(db, sql, NULL, 0, take_integer, &n, NULL) >= 0);
    return n;
}

/* By this connection, and by others. */
static bool is_changed(void)
{
    return ask_number("SELECT total_changes()") != changes || ask_number("PRAGMA data_version") != version;
}

static void note_state(void)
{
    changes = ask_number("SELECT total_changes()");
    version = ask_number("PRAGMA data_version");
}

struct scripts {
    FILE *set_back, *differs; /* a script that brings the tables back; a view of which have other rows */
};

static int write_table(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    const struct scripts *to = context;
    const char *name = db_string(&column[0]);
    (void)columns, (void)err;
    fprintf(to->set_back, "DELETE FROM main.%s; INSERT INTO main.%s SELECT * FROM was.%s;", name, name, name);
    fprintf(to->differs,
            "%s SELECT '%s' AS name WHERE EXISTS (SELECT * FROM main.%s EXCEPT SELECT * FROM was.%s)"
            " OR EXISTS (SELECT * FROM was.%s EXCEPT SELECT * FROM main.%s)",
            ftell(to->differs) ? " UNION ALL" : "CREATE TEMP VIEW differs AS", name, name, name, name, name);
    return 0;
}

/* A copy of all tables, beside them. */
static void remember_database(void)
{
    char line[160], *differs = NULL;
    size_t len[2];
    struct scripts to = {open_memstream(&set_back, &len[0]), open_memstream(&differs, &len[1])};
    FUZZ_CHECK(to.set_back && to.differs);
    (void)snprintf(line, sizeof line, "VACUUM INTO '%s/was'; ATTACH '%s/was' AS was", folder, folder);
    FUZZ_CHECK(db_script(db, line, NULL) == 0);
    fprintf(to.set_back, "PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE;");
    FUZZ_CHECK(db_run(db, "SELECT name FROM main.sqlite_schema WHERE type = 'table'", NULL, 0, write_table,
                      &to, NULL) > 5);
    fprintf(to.set_back, "COMMIT; PRAGMA foreign_keys = ON");
    fclose(to.set_back);
    fclose(to.differs);
    FUZZ_CHECK(db_script(db, differs, NULL) == 0);
    free(differs);
    note_state();
}

void fuzzed_service_set_back(void)
{
    if (!is_changed())
        return;
    FUZZ_CHECK(db_script(db, set_back, NULL) == 0);
    note_state();
}

static int take_name(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct fuzzed_changes *changed = context;
    (void)columns, (void)err;
    FUZZ_CHECK(changed->count < FUZZED_TABLES);
    (void)snprintf(changed->table[changed->count++], sizeof changed->table[0], "%s", db_string(&column[0]));
    return 0;
}

struct fuzzed_changes fuzzed_service_changes(void)
{
    struct fuzzed_changes changed = {.count = 0};
    if (is_changed())
        FUZZ_CHECK(db_run(db, "SELECT name FROM differs", NULL, 0, take_name, &changed, NULL) >= 0);
    return changed;
}

bool fuzzed_service_passed_others(void)
{
    int64_t n = 0;
    const struct view digest = {evidence.digest, sizeof evidence.digest};
    FUZZ_CHECK(DB_RUN(db, "SELECT count(*) FROM result WHERE outcome = 'pass' AND evidence <> $1",
                      take_integer, &n, NULL, db_bytes(digest)) == 1);
    return n > 0;
}

static void handle(void *context, struct request *request)
{
    (void)context;
    route_request(&trust, db, &memory, request);
}

/* Its thread ends at once: this one does what is due, and knows when nothing is. */
static void start_server(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL_CTX *tls;
    FUZZ_CHECK(bind(fd, (const struct sockaddr *)&at, len) == 0 && listen(fd, 16) == 0 &&
               getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    port = ntohs(at.sin_port);
    FUZZ_CHECK(trust_tls_new(&tls, &config, NULL) == 0);
    const struct server_config server = {
        .listening = &fd, .listeners = 1, .tls = tls, .loops = 1, .limits = config.limits, .handle = handle};
    FUZZ_CHECK(server_start(&trust.server, &server, NULL) == 0);
    SSL_CTX_free(tls);
    close(fd);
    loop = &trust.server->loop[0];
    FUZZ_CHECK(event_base_loopexit(loop->base, NULL) == 0 && pthread_join(loop->thread, NULL) == 0);
    loop->self = pthread_self();
}

/* With a certificate that nobody vouches for, so that evidence may be bound to the connection. */
static void make_client(void)
{
    struct identity id = identity_new("a guest");
    client_tls = SSL_CTX_new(TLS_client_method());
    FUZZ_CHECK(SSL_CTX_use_certificate(client_tls, id.cert) == 1 &&
               SSL_CTX_use_PrivateKey(client_tls, id.key) == 1);
    identity_free(&id);
}

static void start(void)
{
    (void)fuzzed_evidence();
    signal(SIGPIPE, SIG_IGN);
    make_folder();
    make_config();
    trust = (struct trust){.config = &config, .clock = clock_of_service};
    FUZZ_CHECK(db_open(&db, config.database, NULL) == 0 && schema_bring(db, NULL) == 0);
    populate();
    FUZZ_CHECK(signer_new(&trust.signer, &config, NULL) == 0);
    FUZZ_CHECK(endorsements_new(&trust.endorsements, &config, clock_of_service, NULL) == 0);
    FUZZ_CHECK(ledger_start(&trust.ledger, &trust, NULL) == 0);
    start_server();
    make_client();
    remember_database();
    remove_folder(); /* every file that is needed is open */
}

static void pass(void)
{
    (void)event_base_loop(loop->base, EVLOOP_NONBLOCK);
}

static SSL *reach(int *fd)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *ssl = SSL_new(client_tls);
    int n;
    FUZZ_CHECK(*fd >= 0 && connect(*fd, (const struct sockaddr *)&to, sizeof to) == 0);
    FUZZ_CHECK(evutil_make_socket_nonblocking(*fd) == 0 &&
               setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0);
    FUZZ_CHECK(ssl && SSL_set_fd(ssl, *fd));
    while ((n = SSL_connect(ssl)) != 1) {
        FUZZ_CHECK(SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ);
        pass();
    }
    return ssl;
}

/* How far things are. */
struct progress {
    size_t answered, unread;
    unsigned long long requests;
    unsigned pending;
};

static struct progress progress(size_t answered)
{
    const struct connection *c = TAILQ_FIRST(&loop->connections);
    const struct server_counts counts = server_count(trust.server);
    return (struct progress){.answered = answered,
                             .unread = c ? evbuffer_get_length(bufferevent_get_input(c->events)) : 0,
                             .requests = counts.requests,
                             .pending = counts.pending};
}

static bool is_same(struct progress a, struct progress b)
{
    return a.answered == b.answered && a.unread == b.unread && a.requests == b.requests &&
           a.pending == b.pending;
}

/* Reads until the end of the connection, or until nothing moves any more. */
static size_t settle(SSL *ssl, char *out, size_t size)
{
    size_t used = 0;
    for (int still = 0; still < 3;) {
        const struct progress before = progress(used);
        (void)event_base_loop(loop->base, before.pending ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
        int n = 0;
        while (used < size - 1 && (n = SSL_read(ssl, out + used, (int)(size - 1 - used))) > 0)
            used += (size_t)n;
        if (n <= 0 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ)
            break;
        still = is_same(before, progress(used)) && !before.pending ? still + 1 : 0;
    }
    out[used] = 0;
    return used;
}

size_t fuzzed_service_ask(char *out, size_t size, struct view bytes)
{
    int fd, n;
    if (!trust.server)
        start();
    SSL *ssl = reach(&fd);
    while (bytes.len && (n = SSL_write(ssl, bytes.data, (int)bytes.len)) <= 0 &&
           SSL_get_error(ssl, n) == SSL_ERROR_WANT_WRITE)
        pass();
    const size_t used = settle(ssl, out, size);
    SSL_free(ssl);
    close(fd);
    while (loop->count)
        (void)event_base_loop(loop->base, EVLOOP_ONCE);
    return used;
}
