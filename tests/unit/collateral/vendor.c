#include "tests/unit/collateral/vendor.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/thread.h>
#include <jansson.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/model/psp.h"
#include "tdx/model/pki.h"
#include "tdx/model/platform.h"

#define HELD_MAX  64
#define ASKED_MAX 4096

#define MUST(X)                                                                                              \
    do {                                                                                                     \
        if (!(X)) {                                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #X);                                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

struct vendor {
    struct psp *psp;
    struct tdx_platform *platform;
    struct x509_certs roots;
    struct snp_leaf leaf;
    struct bytes vcek, chain, amd_crl; /* as AMD's service has them */
    char url[64], retry_after[64];

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t holds;
    json_t *documents; /* Intel's, as members of a collateral file */
    enum vendor_mood mood;
    char *asked[ASKED_MAX];
    size_t asks;
    struct evhttp_request *held[HELD_MAX];
    size_t helds;

    struct event_base *base;
    struct evhttp *http;
    struct event *wake; /* the loop: end, or answer what is held */
    bool ending;
    pthread_t thread;
};

/* An answer under way. */
struct reply {
    int status;
    const char *header; /* the chain's, or NULL */
    char *chain;        /* encoded for a URL */
    struct bytes body;
};

static void put_text(struct reply *r, const char *text)
{
    MUST(bytes_copy(&r->body, (struct view){(const uint8_t *)text, strlen(text)}, NULL) == 0);
    r->status = 200;
}

static void put(struct reply *r, const struct bytes *body)
{
    MUST(bytes_copy(&r->body, bytes_view(body), NULL) == 0);
    r->status = 200;
}

static const char *document(struct vendor *v, const char *name)
{
    const char *text = json_string_value(json_object_get(v->documents, name));
    MUST(text);
    return text;
}

static void put_chain(struct reply *r, struct vendor *v, const char *header, const char *member)
{
    r->header = header;
    r->chain = evhttp_encode_uri(document(v, member));
    MUST(r->chain);
}

static void put_signed(struct reply *r, struct vendor *v, const char *outer, const char *member)
{
    char name[64], *text = NULL;
    snprintf(name, sizeof name, "%s_signature", member);
    MUST(asprintf(&text, "{\"%s\":%s,\"signature\":\"%s\"}", outer, document(v, member), document(v, name)) >
         0);
    put_text(r, text);
    free(text);
}

static void put_crl(struct reply *r, struct vendor *v, const char *member, bool der)
{
    if (!der) {
        put_text(r, document(v, member));
        return;
    }
    MUST(hex_decode_some(&r->body, 1 << 20, document(v, member), NULL) == 0);
    r->status = 200;
}

static bool is(const struct evkeyvalq *query, const char *name, const char *value)
{
    const char *given = evhttp_find_header(query, name);
    return given && strcmp(given, value) == 0;
}

static bool is_svn(const struct evkeyvalq *query, const char *name, uint8_t svn)
{
    char text[8];
    snprintf(text, sizeof text, "%u", svn);
    return is(query, name, text);
}

static bool is_own_chip(const struct vendor *v, const char *path, const struct evkeyvalq *query)
{
    char hwid[129];
    const uint8_t *svn = v->leaf.tcb.svn;
    hex_encode(hwid, v->leaf.hwid, 64);
    return strcmp(path + strlen("/vcek/v1/Milan/"), hwid) == 0 &&
           is_svn(query, "blSPL", svn[SNP_TCB_BOOT_LOADER]) && is_svn(query, "teeSPL", svn[SNP_TCB_TEE]) &&
           is_svn(query, "snpSPL", svn[SNP_TCB_SNP]) && is_svn(query, "ucodeSPL", svn[SNP_TCB_MICROCODE]) &&
           !evhttp_find_header(query, "fmcSPL");
}

static void answer_amd(struct reply *r, struct vendor *v, const char *path, const struct evkeyvalq *query)
{
    if (strcmp(path, "/vcek/v1/Milan/cert_chain") == 0)
        put(r, &v->chain);
    else if (strcmp(path, "/vcek/v1/Milan/crl") == 0 || strcmp(path, "/vlek/v1/Milan/crl") == 0)
        put(r, &v->amd_crl);
    else if (strncmp(path, "/vcek/v1/Milan/", 15) == 0 &&
             (v->mood == VENDOR_LIES || is_own_chip(v, path, query)))
        put(r, &v->vcek);
}

static bool is_update(const struct evkeyvalq *query)
{
    return is(query, "update", "early") || is(query, "update", "standard");
}

static void answer_intel(struct reply *r, struct vendor *v, const char *path, const struct evkeyvalq *query)
{
    char fmspc[13];
    hex_encode(fmspc, tdx_emulated_fmspc, 6);
    if (strcmp(path, "/tdx/certification/v4/tcb") == 0 && is_update(query) &&
        (v->mood == VENDOR_LIES || is(query, "fmspc", fmspc))) {
        put_signed(r, v, "tcbInfo", "tcb_info");
        put_chain(r, v, "TCB-Info-Issuer-Chain", "tcb_info_issuer_chain");
    } else if (strcmp(path, "/tdx/certification/v4/qe/identity") == 0 && is_update(query)) {
        put_signed(r, v, "enclaveIdentity", "qe_identity");
        put_chain(r, v, "SGX-Enclave-Identity-Issuer-Chain", "qe_identity_issuer_chain");
    } else if (strcmp(path, "/sgx/certification/v4/pckcrl") == 0 &&
               (v->mood == VENDOR_LIES || is(query, "ca", "platform"))) {
        put_crl(r, v, "pck_crl", is(query, "encoding", "der"));
        put_chain(r, v, "SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain");
    } else if (strcmp(path, "/sgx/certification/v4/rootcacrl") == 0)
        put_crl(r, v, "root_ca_crl", false);
    else if (strcmp(path, "/IntelSGXRootCA.der") == 0)
        put_crl(r, v, "root_ca_crl", true);
}

/* In documents the signature's last digit, before the closing marks. */
static void spoil_signature(struct bytes *body)
{
    bool text = body->data[0] == '{';
    uint8_t *last = &body->data[body->len - (text ? 3 : 1)];
    *last = text ? (*last == '0' ? '1' : '0') : (uint8_t)(*last ^ 1);
}

static void spoil(struct reply *r, enum vendor_mood mood)
{
    struct bytes more = {0};
    if (r->status != 200)
        return;
    if (mood == VENDOR_BAD_SIGNATURE)
        spoil_signature(&r->body);
    if (mood == VENDOR_CUTS)
        r->body.len /= 2;
    if (mood == VENDOR_ENDLESS)
        MUST(bytes_alloc(&more, 3 << 20, NULL) == 0);
    if (mood == VENDOR_GARBLES) {
        MUST(bytes_alloc(&more, 500, NULL) == 0);
        memset(more.data, 0x9d, more.len);
    }
    if (more.len) {
        bytes_free(&r->body);
        r->body = more;
    }
}

static void send_reply(struct evhttp_request *request, const struct reply *r, bool dies)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = evbuffer_new();
    char length[32];
    if (r->chain)
        evhttp_add_header(headers, r->header, r->chain);
    evbuffer_add(body, r->body.data, dies ? r->body.len / 2 : r->body.len);
    if (dies) {
        snprintf(length, sizeof length, "%zu", r->body.len);
        evhttp_add_header(headers, "Content-Length", length);
        evhttp_add_header(headers, "Connection", "close");
        evhttp_send_reply_start(request, 200, "OK");
        evhttp_send_reply_chunk(request, body);
        evhttp_send_reply_end(request);
    } else
        evhttp_send_reply(request, r->status ? r->status : 404, NULL, body);
    evbuffer_free(body);
}

static void answer(struct vendor *v, struct evhttp_request *request)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = evhttp_uri_get_path(uri), *text = evhttp_uri_get_query(uri);
    struct evkeyvalq query;
    struct reply r = {.status = 0};
    MUST(evhttp_parse_query_str(text ? text : "", &query) == 0);
    answer_amd(&r, v, path, &query);
    answer_intel(&r, v, path, &query);
    evhttp_clear_headers(&query);
    spoil(&r, v->mood);
    send_reply(request, &r, v->mood == VENDOR_DIES && r.status == 200);
    bytes_free(&r.body);
    free(r.chain);
}

static void refuse(struct vendor *v, struct evhttp_request *request, int status)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    if (v->mood == VENDOR_THROTTLES && *v->retry_after)
        evhttp_add_header(headers, "Retry-After", v->retry_after);
    if (v->mood == VENDOR_MOVED)
        evhttp_add_header(headers, "Location", v->url);
    evhttp_send_reply(request, status, NULL, NULL);
}

static void take(struct evhttp_request *request, void *context)
{
    static const int refusals[] = {[VENDOR_THROTTLES] = 429, [VENDOR_BROKEN] = 502, [VENDOR_MOVED] = 302};
    struct vendor *v = context;
    pthread_mutex_lock(&v->lock);
    MUST(v->asks < ASKED_MAX);
    v->asked[v->asks++] = strdup(evhttp_request_get_uri(request));
    if (v->mood == VENDOR_STALLS || v->mood == VENDOR_HOLDS) {
        MUST(v->helds < HELD_MAX);
        v->held[v->helds++] = request;
        pthread_cond_broadcast(&v->holds);
    } else if (v->mood < sizeof refusals / sizeof *refusals && refusals[v->mood])
        refuse(v, request, refusals[v->mood]);
    else if (v->mood == VENDOR_MOVED)
        refuse(v, request, 302);
    else
        answer(v, request);
    pthread_mutex_unlock(&v->lock);
}

static void look_up(evutil_socket_t fd, short what, void *context)
{
    struct vendor *v = context;
    (void)fd, (void)what;
    pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < v->helds && v->mood != VENDOR_STALLS && v->mood != VENDOR_HOLDS; i++)
        answer(v, v->held[i]);
    if (v->mood != VENDOR_STALLS && v->mood != VENDOR_HOLDS)
        v->helds = 0;
    if (v->ending)
        event_base_loopbreak(v->base);
    pthread_mutex_unlock(&v->lock);
}

static void *run(void *context)
{
    struct vendor *v = context;
    event_base_dispatch(v->base);
    return NULL;
}

static void add_pem(struct bytes *out, X509 *const *cert, size_t count)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    for (size_t i = 0; i < count; i++)
        MUST(PEM_write_bio_X509(bio, cert[i]) == 1);
    long len = BIO_get_mem_data(bio, &text);
    MUST(bytes_copy(out, (struct view){(const uint8_t *)text, (size_t)len}, NULL) == 0);
    BIO_free(bio);
}

/* What the emulated chip's certificate table has, as AMD's service has it. */
static void open_amd(struct vendor *v, const char *base)
{
    CLEAN_BYTES raw = {0}, root = {0};
    CLEAN_CERTS certs = {.count = 0};
    struct snp_cert_table table;
    X509 *chain[2] = {NULL, NULL};
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/Milan", base);
    MUST(psp_open(&v->psp, dir, &(struct psp_options){.product = SNP_PRODUCT_MILAN}, NULL) == 0);
    MUST(psp_cert_table(v->psp, &raw, NULL) == 0 && psp_root(v->psp, &root, NULL) == 0);
    MUST(snp_cert_table_parse(&table, bytes_view(&raw), NULL) == 0);
    MUST(snp_certs_add_table(&certs, &table, NULL, NULL) == 0);
    for (size_t i = 0; i < certs.count; i++) {
        enum snp_cert_role role = snp_cert_role(certs.cert[i], NULL);
        if (role == SNP_ROLE_VCEK)
            MUST(snp_leaf_parse(&v->leaf, certs.cert[i], NULL) == 0);
        else
            chain[role == SNP_ROLE_ARK] = certs.cert[i];
    }
    MUST(chain[0] && chain[1]);
    add_pem(&v->chain, chain, 2);
    for (size_t i = 0; i < table.count; i++)
        if (table.entry[i].kind == SNP_CERT_VCEK || table.entry[i].kind == SNP_CERT_CRL)
            MUST(bytes_copy(table.entry[i].kind == SNP_CERT_VCEK ? &v->vcek : &v->amd_crl,
                            table.entry[i].data, NULL) == 0);
    MUST(x509_certs_add(&v->roots, bytes_view(&root), NULL) == 0);
}

static void open_intel(struct vendor *v, const char *base)
{
    CLEAN_BYTES root = {0};
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/tdx", base);
    MUST(tdx_platform_open(&v->platform, dir, &(struct tdx_platform_options){0}, NULL) == 0);
    MUST(tdx_platform_root(v->platform, &root, NULL) == 0);
    MUST(x509_certs_add(&v->roots, bytes_view(&root), NULL) == 0);
}

void vendor_publish(struct vendor *v, int64_t now)
{
    CLEAN_BYTES file = {0};
    MUST(tdx_platform_collateral(v->platform, now, &file, NULL) == 0);
    json_t *documents = json_loadb((const char *)file.data, file.len, 0, NULL);
    MUST(documents);
    pthread_mutex_lock(&v->lock);
    json_decref(v->documents);
    v->documents = documents;
    pthread_mutex_unlock(&v->lock);
}

static void listen_on(struct vendor *v)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    v->base = event_base_new();
    v->http = evhttp_new(v->base);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(v->http, "127.0.0.1", 0);
    MUST(bound && getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&at, &len) == 0);
    snprintf(v->url, sizeof v->url, "http://127.0.0.1:%u", ntohs(at.sin_port));
    evhttp_set_gencb(v->http, take, v);
    v->wake = event_new(v->base, -1, EV_PERSIST, look_up, v);
    event_add(v->wake, &(struct timeval){3600, 0});
    MUST(pthread_create(&v->thread, NULL, run, v) == 0);
}

struct vendor *vendor_new(int64_t now)
{
    const char *base = getenv("COFRE_TEST_EMULATED");
    struct vendor *v = calloc(1, sizeof *v);
    MUST(v && base && evthread_use_pthreads() == 0);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->holds, NULL);
    open_amd(v, base);
    open_intel(v, base);
    vendor_publish(v, now);
    listen_on(v);
    return v;
}

void vendor_free(struct vendor *v)
{
    pthread_mutex_lock(&v->lock);
    v->ending = true;
    v->mood = VENDOR_GOOD;
    event_active(v->wake, 0, 0);
    pthread_mutex_unlock(&v->lock);
    pthread_join(v->thread, NULL);
    event_free(v->wake);
    evhttp_free(v->http);
    event_base_free(v->base);
    for (size_t i = 0; i < v->asks; i++)
        free(v->asked[i]);
    json_decref(v->documents);
    bytes_free(&v->vcek);
    bytes_free(&v->chain);
    bytes_free(&v->amd_crl);
    x509_certs_free(&v->roots);
    psp_close(v->psp);
    tdx_platform_close(v->platform);
    pthread_cond_destroy(&v->holds);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

const char *vendor_url(const struct vendor *v)
{
    return v->url;
}

void vendor_be(struct vendor *v, enum vendor_mood mood, const char *retry_after)
{
    pthread_mutex_lock(&v->lock);
    v->mood = mood;
    snprintf(v->retry_after, sizeof v->retry_after, "%s", retry_after ? retry_after : "");
    event_active(v->wake, 0, 0);
    pthread_mutex_unlock(&v->lock);
}

unsigned vendor_asked(struct vendor *v, const char *path)
{
    unsigned count = 0;
    pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < v->asks; i++)
        count += strncmp(v->asked[i], path, strlen(path)) == 0;
    pthread_mutex_unlock(&v->lock);
    return count;
}

void vendor_wait_for_held(struct vendor *v, unsigned count)
{
    pthread_mutex_lock(&v->lock);
    while (v->helds < count)
        pthread_cond_wait(&v->holds, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

struct collateral_id vendor_vcek(const struct vendor *v)
{
    struct collateral_id id = {.kind = KDS_VCEK, .product = SNP_PRODUCT_MILAN, .tcb = v->leaf.tcb};
    memcpy(id.hwid, v->leaf.hwid, sizeof id.hwid);
    return id;
}

struct collateral_id vendor_tcb_info(const struct vendor *v)
{
    struct collateral_id id = {.kind = PCS_TCB_INFO};
    (void)v;
    memcpy(id.fmspc, tdx_emulated_fmspc, sizeof id.fmspc);
    return id;
}

struct psp *vendor_psp(struct vendor *v)
{
    return v->psp;
}

struct tdx_platform *vendor_platform(struct vendor *v)
{
    return v->platform;
}

const struct x509_certs *vendor_roots(const struct vendor *v)
{
    return &v->roots;
}
