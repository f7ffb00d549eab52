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
#include "attest/service/http/server_parts.h"
#include "attest/service/ledger.h"
#include "attest/service/route.h"
#include "attest/service/signer.h"
#include "attest/service/tls.h"
#include "attest/store/challenge.h"
#include "attest/store/credential.h"
#include "attest/store/policy.h"
#include "attest/store/schema.h"
#include "tdx/model/platform.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzzed_database.h"
#include "tests/unit/service/client.h"
#include "vmm/base/file.h"

const char *const fuzzed_tokens[FUZZED_TOKENS] = {
    [SUBMIT] = "5e1d7c07b1a64f0d",   [READ] = "a91b24e7738c6d15",  [VALUES] = "37c9f0ab4d5e6182",
    [POLICIES] = "c48e2f6a90d1b357", [AUDIT] = "f06d83b95a2c714e", [ADMINISTER] = "8b3a95d2e7f40c61"};
static const char *const roles[FUZZED_TOKENS] = {
    [SUBMIT] = "submit",     [READ] = "read",   [VALUES] = "values",
    [POLICIES] = "policies", [AUDIT] = "audit", [ADMINISTER] = "administer"};

static char folder[64];
static struct bytes evidence, collateral, root;
static struct trust trust;
static struct trust_config config;
static struct loop *loop;
static struct db *db;
static struct memory memory;
static uint16_t port;
static SSL_CTX *client_tls;

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
    FUZZ_CHECK(evidence_write(&evidence, &e, NULL) == 0);
    FUZZ_CHECK(tdx_platform_collateral(platform, FUZZ_NOW, &collateral, NULL) == 0);
    FUZZ_CHECK(tdx_platform_root(platform, &root, NULL) == 0);
    tdx_platform_close(platform);
    remove_folder();
}

const struct bytes *fuzzed_evidence(void)
{
    if (!evidence.len)
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
    fuzzed_database_remember(db, folder);
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
