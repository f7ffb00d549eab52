#include "vmm/agent/trust_client.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/agent/relay.h"
#include "vmm/base/json.h"

#define ANSWER_MAX   (2 << 20)
#define DEFAULT_PORT 443

struct trust_client {
    const struct trust_client_options *options;
    struct evhttp_uri *uri;
    struct relay relay;
    struct event_base *base;
    struct evdns_base *dns;
    SSL_CTX *context;
    SSL *tls;
    struct bufferevent *events;
    struct evhttp_connection *http;
    /* Of the request under way. */
    int status; /* 0: no answer came */
    struct bytes answer;
};

static int failed(const struct trust_client *c, struct cofre_err *err)
{
    const long vouched = c->tls ? SSL_get_verify_result(c->tls) : X509_V_OK;
    const unsigned long code = c->events ? bufferevent_get_openssl_error(c->events) : 0;
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    if (vouched != X509_V_OK)
        return cofre_fail(err, COFRE_NEGATIVE, "%s is not who it should be: %s", c->options->url,
                          X509_verify_cert_error_string(vouched));
    return cofre_fail(err, COFRE_FAILED, "%s: %s", c->options->url,
                      why ? why : "no answer came in time, or no connection");
}

static bool is_number(const char *host)
{
    uint8_t address[16];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static int set_up_tls(struct trust_client *c, const char *host, struct cofre_err *err)
{
    const struct channel_identity *id = c->options->identity;
    SSL_CTX *x = c->context = SSL_CTX_new(TLS_client_method());
    if (!x || SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION) != 1)
        return cofre_fail(err, COFRE_FAILED, "TLS 1.3 is not to be had from OpenSSL");
    (void)SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(x, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_file(x, c->options->ca) != 1)
        return cofre_fail(err, COFRE_USAGE, "%s: no certificates in PEM", c->options->ca);
    if (SSL_CTX_use_certificate(x, id->certificate) != 1 || SSL_CTX_use_PrivateKey(x, id->key) != 1)
        return cofre_fail(err, COFRE_USAGE, "the guest's key is not to TLS's liking");
    c->tls = SSL_new(x);
    const bool number = is_number(host);
    if (!c->tls || (number ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->tls), host) != 1
                           : SSL_set1_host(c->tls, host) != 1 || SSL_set_tlsext_host_name(c->tls, host) != 1))
        return cofre_fail(err, COFRE_FAILED, "TLS: out of memory");
    return 0;
}

static const char *host_of(const struct trust_client *c)
{
    const char *scheme = evhttp_uri_get_scheme(c->uri), *host = evhttp_uri_get_host(c->uri),
               *path = evhttp_uri_get_path(c->uri);
    const bool good = scheme && strcmp(scheme, "https") == 0 && host && *host &&
                      (!path || !*path || strcmp(path, "/") == 0) && !evhttp_uri_get_query(c->uri);
    return good ? host : NULL;
}

/* libevent keeps the brackets of an IPv6 address. */
static int bare_host(char out[static 256], const char *host, struct cofre_err *err)
{
    const size_t len = strlen(host);
    const bool bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';
    if (len > 255)
        return cofre_fail(err, COFRE_USAGE, "the service's name is longer than 255 bytes");
    (void)snprintf(out, 256, "%.*s", (int)(bracketed ? len - 2 : len), bracketed ? host + 1 : host);
    return 0;
}

/* host and port: where libevent is to connect, which need not be whom TLS is to find there. */
static int set_up_http(struct trust_client *c, const char *host, int port, struct cofre_err *err)
{
    c->base = event_base_new();
    if (c->base && !is_number(host) && !(c->dns = evdns_base_new(c->base, EVDNS_BASE_INITIALIZE_NAMESERVERS)))
        return cofre_fail(err, COFRE_LACKING, "%s: there is no resolver; see /etc/resolv.conf", host);
    if (c->base)
        c->events = bufferevent_openssl_socket_new(c->base, -1, c->tls, BUFFEREVENT_SSL_CONNECTING,
                                                   BEV_OPT_CLOSE_ON_FREE);
    if (c->events)
        c->http = evhttp_connection_base_bufferevent_new(c->base, c->dns, c->events, host,
                                                         (unsigned short)(port < 0 ? DEFAULT_PORT : port));
    if (!c->http)
        return cofre_fail(err, COFRE_FAILED, "libevent: out of memory");
    evhttp_connection_set_timeout(c->http, (int)c->options->seconds);
    evhttp_connection_set_max_body_size(c->http, ANSWER_MAX);
    return 0;
}

int trust_client_open(struct trust_client **out, const struct trust_client_options *options,
                      struct cofre_err *err)
{
    char host[256];
    struct trust_client *c = *out = calloc(1, sizeof *c);
    if (!c)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    c->options = options;
    c->uri = evhttp_uri_parse(options->url);
    int rc = c->uri && host_of(c)
                 ? bare_host(host, host_of(c), err)
                 : cofre_fail(err, COFRE_USAGE, "\"%s\" is not like https://HOST[:PORT]", options->url);
    if (rc == 0)
        rc = set_up_tls(c, host, err);
    if (rc == 0 && options->relay)
        rc = relay_start(&c->relay, options->relay, err);
    if (rc == 0)
        rc = options->relay ? set_up_http(c, "127.0.0.1", c->relay.port, err)
                            : set_up_http(c, host, evhttp_uri_get_port(c->uri), err);
    if (rc < 0) {
        trust_client_free(c);
        *out = NULL;
    }
    return rc;
}

void trust_client_free(struct trust_client *c)
{
    if (!c)
        return;
    if (c->http)
        evhttp_connection_free(c->http); /* with events, and its TLS */
    else if (c->events)
        bufferevent_free(c->events);
    else
        SSL_free(c->tls);
    if (c->dns)
        evdns_base_free(c->dns, 0);
    if (c->base)
        event_base_free(c->base);
    if (c->uri)
        evhttp_uri_free(c->uri);
    SSL_CTX_free(c->context);
    relay_stop(&c->relay);
    bytes_free(&c->answer);
    free(c);
}

static void answered(struct evhttp_request *http, void *context)
{
    struct trust_client *c = context;
    struct evbuffer *body = http ? evhttp_request_get_input_buffer(http) : NULL;
    const size_t len = body ? evbuffer_get_length(body) : 0;
    if (http && bytes_alloc(&c->answer, len, NULL) == 0 &&
        evbuffer_copyout(body, c->answer.data, len) == (ev_ssize_t)len)
        c->status = evhttp_request_get_response_code(http);
    (void)event_base_loopbreak(c->base);
}

static int ask(struct trust_client *c, const char *path, const char *text, struct cofre_err *err)
{
    struct evhttp_request *http = evhttp_request_new(answered, c);
    if (!http)
        return cofre_fail(err, COFRE_FAILED, "libevent: out of memory");
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    char bearer[1024];
    (void)evhttp_add_header(headers, "Host", evhttp_uri_get_host(c->uri));
    if (c->options->token) {
        (void)snprintf(bearer, sizeof bearer, "Bearer %s", c->options->token);
        if (evhttp_add_header(headers, "Authorization", bearer) < 0) {
            evhttp_request_free(http);
            return cofre_fail(err, COFRE_USAGE, "the token is not one line");
        }
    }
    if (text) {
        (void)evhttp_add_header(headers, "Content-Type", "application/json");
        (void)evbuffer_add(evhttp_request_get_output_buffer(http), text, strlen(text));
    }
    bytes_free(&c->answer);
    c->status = 0;
    if (evhttp_make_request(c->http, http, EVHTTP_REQ_POST, path) < 0) /* which frees it then */
        return failed(c, err);
    (void)event_base_dispatch(c->base);
    return c->status ? 0 : failed(c, err);
}

int trust_client_post(struct trust_client *c, const char *path, json_t *body, json_t **answer,
                      struct cofre_err *err)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    int rc = body && !text ? cofre_fail(err, COFRE_FAILED, "out of memory") : ask(c, path, text, err);
    free(text);
    if (rc < 0)
        return rc;
    CLEAN_JSON *object = NULL;
    rc = json_read(&object, bytes_view(&c->answer), COFRE_MALFORMED, err);
    if (c->status != 200 && c->status != 201) {
        const char *detail = rc < 0 ? NULL : json_string_value(json_object_get(object, "detail"));
        return cofre_fail(err, COFRE_FAILED, "%s answers %d: %.512s", c->options->url, c->status,
                          detail ? detail : "without a reason");
    }
    if (rc < 0)
        return cofre_within(err, rc, "the answer of %s", c->options->url);
    *answer = json_incref(object);
    return 0;
}

int trust_client_status(const struct trust_client *client)
{
    return client->status;
}

/* The guest is the client of this connection. */
int trust_client_binding(struct channel_binding *b, struct bytes *key, struct trust_client *c,
                         struct view nonce, struct cofre_err *err)
{
    *b = (struct channel_binding){.end = CHANNEL_CLIENT, .nonce = nonce};
    int rc = channel_exporter(b->exporter, c->tls, err);
    if (rc == 0)
        rc = channel_key_of(key, c->options->identity->certificate, err);
    b->key = bytes_view(key);
    return rc;
}
