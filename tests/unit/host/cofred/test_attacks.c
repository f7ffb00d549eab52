/*
 * Attacks on a whole cofred: those of the table (attacks.c), and such that take more than one request, a token or a certificate. What is
 * refused has left the database and the images' folder as they were, and whoever has a right to is answered afterwards.
 */
#include <arpa/inet.h>
#include <ftw.h>
#include <net/if.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/access/made.h"
#include "tests/unit/host/access/signed.h"
#include "tests/unit/host/cofred/asker.h"
#include "tests/unit/host/cofred/attacks.h"
#include "tests/unit/host/cofred/kept.h"
#include "tests/unit/host/cofred/whole.h"
#include "tests/unit/host/front/authority.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"

#define FIRST_USER     884000
#define FIRST_ATTACKER 883000
#define OF_ONE         16   /* connections */
#define PORT           8443 /* in a network of this test's own */
#define ISSUER         "https://login.example/realm"
#define PROMPT_SECONDS 10 /* on a machine that does much else */

static struct whole whole, *const w = &whole;
static const char *missing;
static struct kept kept;
static struct asker root, attacker[ATTACKERS];
static char blue_kernel[80], red_image[80], red_kernel[80], held_of_red[24], held_of_adam[24], denial[24];
static const char *const nobodys = "sha256:bb7fb4f7eb4e1d1c4d4b7b7a1ad2f7b52b3cd25b2ccd2a6e5a22c1c9a7be5e11";

static EVP_PKEY *ca_key;
static X509 *ca;
static json_t *ec, *rsa, *other;

static void need(void)
{
    if (!missing)
        return;
    print_message("skipped: %s\n", missing);
    skip();
}

/* Asking */

static json_t *root_asks(int status, const char *method, const char *path, const char *body)
{
    CLEAN_FREE char *text = asker_request(method, path, "", body);
    CLEAN_ANSWER answer = {0};
    asker_send(&root, text, strlen(text));
    (void)asker_read(&root, &answer);
    if (answer.status != status)
        fail_msg("%s %s: %d, where %d is due: %s", method, path, answer.status, status,
                 answer.body ? answer.body : "");
    return json_loads(answer.body, 0, NULL);
}

static void must(int status, const char *method, const char *path, const char *body)
{
    json_decref(root_asks(status, method, path, body));
}

static int status_of(struct asker *a, const char *method, const char *path, const char *headers,
                     const char *body)
{
    CLEAN_FREE char *text = asker_request(method, path, headers, body);
    CLEAN_ANSWER answer = {0};
    asker_send(a, text, strlen(text));
    (void)asker_read(a, &answer);
    return answer.status;
}

static struct asker user(unsigned number)
{
    return (struct asker){w->socket, number, -1};
}

/* What is as it was */

static size_t files;
static int count_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path, (void)st, (void)at;
    files += type == FTW_F || type == FTW_SL;
    return 0;
}

static size_t stored_files(void)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/images", w->state);
    files = 0;
    assert_int_equal(nftw(path, count_file, 16, FTW_PHYS), 0);
    return files;
}

struct was {
    struct kept_digest rows;
    size_t files;
};

static struct was as_it_is(void)
{
    return (struct was){kept_digest(&kept), stored_files()};
}

static void assert_is_as(const struct was *was, const char *attack)
{
    const time_t begun = time(NULL);
    json_decref(root_asks(200, "GET", "/session", NULL));
    assert_true(time(NULL) - begun <= PROMPT_SECONDS);
    const struct was is = as_it_is();
    if (!kept_equal(&was->rows, &is.rows))
        fail_msg("%s: the database has changed", attack);
    if (was->files != is.files)
        fail_msg("%s: there were %zu files of images, and are %zu", attack, was->files, is.files);
}

/* The host that is attacked */

static void keep_text(char out[24], json_t *answer, const char *member)
{
    const json_t *value = json_object_get(answer, member);
    if (json_is_string(value))
        (void)snprintf(out, 24, "%s", json_string_value(value));
    else
        (void)snprintf(out, 24, "%lld", (long long)json_integer_value(value));
    json_decref(answer);
}

static void define(const char *tenant, const char *name, const char *kernel, const char *labels)
{
    char path[96], body[400];
    (void)snprintf(path, sizeof path, "/tenants/%s/guests", tenant);
    (void)snprintf(
        body, sizeof body,
        "{'name': '%s', 'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s', 'labels': %s, "
        "'cmdline': 'launch wait'}",
        name, kernel, labels);
    must(201, "POST", path, body);
}

static char *grant(unsigned uid, const char *role, const char *more)
{
    static char number[24];
    char body[300];
    (void)snprintf(body, sizeof body, "{'identity': 'uid:%u', 'role': '%s', 'tenant': 'blue'%s}", uid, role,
                   more);
    keep_text(number, root_asks(201, "POST", "/grants", body), "id");
    return number;
}

static void give_rights(void)
{
    char until[64], when[32];
    must(200, "PUT", "/roles/runner", "{'operations': ['guest.start']}");
    (void)grant(attacker[LAUNCHER].user, "launcher", "");
    (void)grant(attacker[VIEWER].user, "viewer", "");
    (void)grant(attacker[TEAM].user, "launcher", ", 'labels': {'team': 'a'}");
    (void)grant(attacker[DENIED].user, "administrator", "");
    strcpy(denial, grant(attacker[DENIED].user, "runner", ", 'deny': true"));
    time_format(when, time(NULL) + 3600);
    (void)snprintf(until, sizeof until, ", 'until': '%s'", when);
    (void)grant(attacker[SHORT].user, "administrator", until);
    must(201, "POST", "/grants", "{'identity': 'user:adam', 'role': 'administrator', 'tenant': 'blue'}");
}

static void make_tenants(void)
{
    must(201, "POST", "/tenants",
         "{'name': 'blue', 'quotas': {'guests': 4, 'running': 1, 'images': 3, 'storage': 1048576}}");
    must(201, "POST", "/tenants", "{'name': 'red'}");
    whole_image(w, "blue", "kernel of blue", blue_kernel);
    whole_image(w, "red", "kernel of red", red_kernel);
    whole_image(w, "red", "what only red has", red_image);
    char body[128];
    (void)snprintf(body, sizeof body, "{'image': '%s'}", blue_kernel);
    must(200, "PUT", "/tenants/blue/tags/latest", body);
}

static int up(void **state)
{
    (void)state;
    if (missing)
        return 0;
    whole_start(w);
    kept_open(&kept, w->state);
    root = user(0);
    for (unsigned i = 0; i < ATTACKERS; i++)
        attacker[i] = user(i == HOSTS_ADMINISTRATOR ? 0 : FIRST_ATTACKER + i);
    make_tenants();
    give_rights();
    define("blue", "web", blue_kernel, "{}");
    define("blue", "ours", blue_kernel, "{'team': 'a'}");
    define("red", "web", red_kernel, "{}");
    must(200, "PUT", "/tenants/blue/constraints", "{'approval': ['guest.delete']}");
    must(200, "PUT", "/tenants/red/constraints", "{'approval': ['guest.delete']}");
    keep_text(held_of_red, root_asks(202, "DELETE", "/tenants/red/guests/web", NULL), "approval");
    CLEAN_FREE char *text = asker_request("DELETE", "/tenants/blue/guests/web", "", NULL);
    CLEAN_ANSWER answer = {0};
    asker_send(&attacker[TENANTS_ADMINISTRATOR], text, strlen(text));
    assert_true(asker_read(&attacker[TENANTS_ADMINISTRATOR], &answer));
    assert_int_equal(answer.status, 202);
    keep_text(held_of_adam, json_loads(answer.body, 0, NULL), "approval");
    return 0;
}

/* Guests run on when cofred ends. */
static void end_guests(const char *tenant)
{
    char path[160];
    (void)snprintf(path, sizeof path, "/tenants/%s/guests", tenant);
    CLEAN_JSON *list = root_asks(200, "GET", path, NULL);
    const json_t *guest;
    size_t i;
    json_array_foreach(json_object_get(list, "guests"), i, guest)
    {
        const char *name = member_text(guest, "name", "");
        (void)snprintf(path, sizeof path, "/tenants/%s/guests/%s/kill", tenant, name);
        if (status_of(&root, "POST", path, "", NULL) != 202)
            continue;
        (void)snprintf(path, sizeof path, "/tenants/%s/guests/%s/wait", tenant, name);
        must(200, "GET", path, NULL);
    }
}

static int down(void **state)
{
    (void)state;
    if (missing)
        return 0;
    end_guests("blue");
    end_guests("red");
    for (unsigned i = 0; i < ATTACKERS; i++)
        asker_hang_up(&attacker[i]);
    asker_hang_up(&root);
    kept_close(&kept);
    return whole_stop(w, SIGTERM);
}

/* The table */

static void put_word(FILE *to, char which)
{
    switch (which) {
    case 'R':
        (void)fputs(red_image, to);
        break;
    case 'K':
        (void)fputs(blue_kernel, to);
        break;
    case 'U':
        (void)fputs(nobodys, to);
        break;
    case 'H':
        (void)fputs(held_of_red, to);
        break;
    case 'O':
        (void)fputs(held_of_adam, to);
        break;
    case 'D':
        (void)fputs(denial, to);
        break;
    case '0':
        (void)fputc(0, to);
        break;
    case '%':
        (void)fputc('%', to);
        break;
    default:
        fail_msg("%%%c is no word", which);
    }
}

static char *in_words(const char *text, size_t *len)
{
    char *out = NULL;
    if (!text)
        return NULL;
    FILE *to = open_memstream(&out, len);
    for (const char *c = text; *c; c++)
        if (*c == '%')
            put_word(to, *++c);
        else
            (void)fputc(*c, to);
    (void)fclose(to);
    return out;
}

static unsigned wrongs;
static void try(const struct attack *attack)
{
    size_t len = 0, body_len;
    struct asker *who = &attacker[attack->who];
    const struct was was = as_it_is();
    CLEAN_FREE char *path = in_words(attack->path, &len), *body = in_words(attack->body, &body_len);
    CLEAN_FREE char *made =
        attack->method ? asker_request(attack->method, path, attack->headers, body) : NULL;
    CLEAN_ANSWER answer = {0};
    asker_send(who, made ? made : path, made ? strlen(made) : len);
    (void)asker_read(who, &answer);
    if (!attack->method)
        asker_hang_up(who); /* what lies behind is nobody's */
    if (answer.status != attack->status || (attack->word && !strstr(answer.body, attack->word))) {
        print_message("# %s: %d instead of %d, %s\n", attack->name, answer.status, attack->status,
                      answer.body ? answer.body : "no answer");
        wrongs++;
    }
    assert_is_as(&was, attack->name);
}

/* A third of a table, another one at each run; COFRE_ATTACKS=0, 1 or 2 is one of them again, and "all" all. */
static bool is_tried(size_t i)
{
    const char *which = getenv("COFRE_ATTACKS");
    const size_t third = which ? (size_t)atoi(which) : (size_t)getpid();
    return (which && strcmp(which, "all") == 0) || i % 3 == third % 3;
}

static void no_attack_of_the_table_has_an_effect(void **state)
{
    size_t tried = 0;
    (void)state;
    need();
    for (size_t i = 0; i < attacks_count; i++)
        if (is_tried(i)) {
            try(&attacks[i]);
            tried++;
        }
    print_message("# %zu attacks of %zu, of which the first is number %d\n", tried, attacks_count,
                  is_tried(0)   ? 0
                  : is_tried(1) ? 1
                                : 2);
    assert_true(tried >= attacks_count / 3);
    assert_int_equal(wrongs, 0);
}

/* Certificates */

static SSL *connect_tls(X509 *cert, EVP_PKEY *key)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(PORT)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    client_patience(fd);
    if (cert) {
        assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    }
    SSL *ssl = SSL_new(tls);
    SSL_CTX_free(tls);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    (void)SSL_connect(ssl);
    return ssl;
}

/* 0: no answer. TLS 1.3 lets a client speak before it learns that its certificate is refused. */
static int asked_by_tls(X509 *cert, EVP_PKEY *key, const char *path)
{
    SSL *ssl = connect_tls(cert, key);
    CLEAN_FREE char *text = asker_request("GET", path, "", NULL);
    CLEAN_ANSWER answer = {0};
    if (SSL_write(ssl, text, (int)strlen(text)) <= 0 || !read_answer_tls(ssl, &answer))
        answer.status = 0;
    const int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
    return answer.status;
}

static int asked_with(enum house_fault fault, const char *who, const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = authority_client(ca, ca_key, who, key, fault);
    const int status = asked_by_tls(cert, key, path);
    X509_free(cert);
    EVP_PKEY_free(key);
    return status;
}

/* Everybody may ask who he is; what the host is, an administrator alone. */
static void no_certificate_makes_another_of_anybody(void **state)
{
    static const struct {
        enum house_fault fault;
        const char *who, *path;
        int status;
    } cases[] = {
        {FAULT_NONE, "carl", "/session", 200}, /* so that what follows is refused for what it is */
        {FAULT_STRANGER, "carl", "/session", 0},
        {FAULT_EXPIRED, "carl", "/session", 0},
        {FAULT_FOR_SERVERS, "carl", "/session", 0},
        {FAULT_NO_SUBJECT, "carl", "/session", 0},
        {FAULT_NONE, "uid:0", "/host", 403},
        {FAULT_NONE, "root", "/host", 403},
        {FAULT_NONE, "user:adam", "/tenants/blue", 404},
        {FAULT_NONE, "carl,CN=root", "/host", 403},
        {FAULT_NONE, "oidc:corp:boss", "/host", 403},
        {FAULT_NONE, "admin\\,O=host", "/host", 403},
        {FAULT_NONE, "admin ", "/host", 401}, /* a subject like one that has rights */
        {FAULT_NONE, "Admin", "/host", 403},
        {FAULT_NONE, "admin", "/host", 200},
    };
    (void)state;
    need();
    must(201, "POST", "/grants", "{'identity': 'cert:CN=admin', 'role': 'administrator'}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].status != 200 && !is_tried(i))
            continue;
        const struct was was = as_it_is();
        const int status = asked_with(cases[i].fault, cases[i].who, cases[i].path);
        if (status != cases[i].status)
            fail_msg("certificate %zu, of %s: %d", i, cases[i].who, status);
        assert_is_as(&was, cases[i].who);
    }
    assert_int_equal(asked_by_tls(NULL, NULL, "/session"), 401);
}

/* A name with a zero in it, which ends it for whoever reads it as C does. */
static void a_zero_in_a_subject_does_not_end_it(void **state)
{
    static const unsigned char name[] = "admin\0.example.org";
    (void)state;
    need();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = authority_client(ca, ca_key, "to be replaced", key, FAULT_NONE);
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_NAME_ENTRY_free(X509_NAME_delete_entry(subject, 0));
    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, sizeof name - 1, -1, 0),
                     1);
    assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    assert_true(asked_by_tls(cert, key, "/host") != 200);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* An authority's name is anybody's to write into a certificate. */
static void an_authority_that_has_the_name_of_ours_is_not_ours(void **state)
{
    (void)state;
    need();
    EVP_PKEY *own_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *own = authority_certificate("authority", own_key, NULL, NULL, NULL);
    X509 *cert = authority_client(own, own_key, "admin", key, FAULT_NONE);
    assert_int_equal(asked_by_tls(cert, key, "/host"), 0);
    X509_free(cert);
    X509_free(own);
    EVP_PKEY_free(key);
    EVP_PKEY_free(own_key);
}

/* Tokens: each comes from a place of its own, so that none is refused for those before it. */

static int asked_by_token(unsigned uid, const char *token, const char *path)
{
    struct asker a = user(uid);
    CLEAN_FREE char *header = NULL;
    assert_true(asprintf(&header, "Authorization: Bearer %s\r\n", token) > 0);
    const int status = status_of(&a, "GET", path, header, NULL);
    asker_hang_up(&a);
    return status;
}

static char *claims_with(const char *form)
{
    char *out = NULL;
    FILE *to;
    size_t size;
    const long now = time(NULL);
    to = open_memstream(&out, &size);
    for (const char *c = form; *c; c++)
        if (*c == '%' && (c[1] == '+' || c[1] == '-'))
            (void)fprintf(to, "%ld", *++c == '+' ? now + 3600 : now - 3600);
        else
            (void)fputc(*c, to);
    (void)fclose(to);
    return out;
}

#define GOOD "'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'boss', 'exp': %+"
static void no_forged_token_is_let_in(void **state)
{
    enum signer { BY_EC, BY_RSA, BY_OTHER, BY_NOBODY, BY_PUBLIC_KEY };
    static const struct {
        const char *name, *header, *claims;
        enum signer by;
        int status;
    } cases[] = {
        {"a good one", "{'alg': 'ES256', 'kid': 'first'}", "{" GOOD "}", BY_EC, 200},
        {"another good one", "{'alg': 'RS256', 'kid': 'second'}", "{" GOOD "}", BY_RSA, 200},
        {"no algorithm", "{'alg': 'none'}", "{" GOOD "}", BY_NOBODY, 401},
        {"no algorithm in capitals", "{'alg': 'NONE', 'kid': 'first'}", "{" GOOD "}", BY_NOBODY, 401},
        {"the public key as a secret", "{'alg': 'HS256', 'kid': 'second'}", "{" GOOD "}", BY_PUBLIC_KEY, 401},
        {"a key of one's own under a known name", "{'alg': 'ES256', 'kid': 'first'}", "{" GOOD "}", BY_OTHER,
         401},
        {"another key's name", "{'alg': 'ES256', 'kid': 'second'}", "{" GOOD "}", BY_EC, 401},
        {"a key by a file", "{'alg': 'ES256', 'kid': '../../../../dev/null'}", "{" GOOD "}", BY_OTHER, 401},
        {"a key by an address", "{'alg': 'ES256', 'jku': 'https://evil.example/keys'}", "{" GOOD "}",
         BY_OTHER, 401},
        {"a key in the token", "{'alg': 'ES256', 'jwk': %J}", "{" GOOD "}", BY_OTHER, 401},
        {"a certificate in the token", "{'alg': 'ES256', 'x5u': 'https://evil.example/c', 'x5c': ['MIIB']}",
         "{" GOOD "}", BY_OTHER, 401},
        {"an extension that must be known", "{'alg': 'ES256', 'kid': 'first', 'crit': ['b64'], 'b64': false}",
         "{" GOOD "}", BY_EC, 401},
        {"another audience", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "', 'aud': 'shop', 'sub': 'boss', 'exp': %+}", BY_EC, 401},
        {"an audience that ours begins with", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "', 'aud': 'cofred-test', 'sub': 'boss', 'exp': %+}", BY_EC, 401},
        {"no audience", "{'alg': 'ES256', 'kid': 'first'}", "{'iss': '" ISSUER "', 'sub': 'boss', 'exp': %+}",
         BY_EC, 401},
        {"another issuer", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': 'https://evil.example', 'aud': 'cofred', 'sub': 'boss', 'exp': %+}", BY_EC, 401},
        {"the issuer with a slash", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "/', 'aud': 'cofred', 'sub': 'boss', 'exp': %+}", BY_EC, 401},
        {"one that is over", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'boss', 'exp': %-}", BY_EC, 401},
        {"one without an end", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'boss'}", BY_EC, 401},
        {"an end that is text", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'boss', 'exp': '%+'}", BY_EC, 401},
        {"one that has not begun", "{'alg': 'ES256', 'kid': 'first'}", "{" GOOD ", 'nbf': %+}", BY_EC, 401},
        {"nobody's", "{'alg': 'ES256', 'kid': 'first'}", "{'iss': '" ISSUER "', 'aud': 'cofred', 'exp': %+}",
         BY_EC, 401},
        {"a subject of two lines", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'ann\\nboss', 'exp': %+}", BY_EC, 401},
        {"a subject that is a user", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'uid:0', 'exp': %+}", BY_EC, 403},
        {"a group that is a subject", "{'alg': 'ES256', 'kid': 'first'}",
         "{'iss': '" ISSUER "', 'aud': 'cofred', 'sub': 'ann', 'groups': ['boss', 'oidc:corp:boss'], 'exp': "
         "%+}",
         BY_EC, 403},
    };
    (void)state;
    need();
    must(201, "POST", "/grants", "{'identity': 'oidc:corp:boss', 'role': 'administrator'}");
    CLEAN_JSON *embedded = signed_public(other);
    CLEAN_FREE char *dumped = json_dumps(embedded, 0);
    for (char *c = dumped; *c; c++)
        *c = *c == '"' ? '\'' : *c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i >= 2 &&
            !is_tried(i)) /* those before are good, so that the others are refused for what they are */
            continue;
        const struct was was = as_it_is();
        CLEAN_FREE char *claims = claims_with(cases[i].claims), *header = strdup(cases[i].header);
        char *at = strstr(header, "%J");
        if (at) {
            free(header);
            assert_true(asprintf(&header, "{'alg': 'ES256', 'jwk': %s}", dumped) > 0);
        }
        CLEAN_JSON *secret = json_pack("{s:s, s:O}", "kty", "oct", "k", json_object_get(rsa, "n"));
        CLEAN_FREE char *token = cases[i].by == BY_NOBODY       ? signed_none(header, claims, "")
                                 : cases[i].by == BY_EC         ? signed_sign(header, claims, ec)
                                 : cases[i].by == BY_RSA        ? signed_sign(header, claims, rsa)
                                 : cases[i].by == BY_PUBLIC_KEY ? signed_sign(header, claims, secret)
                                                                : signed_sign(header, claims, other);
        const int status = asked_by_token(FIRST_ATTACKER + 100 + (unsigned)i, token, "/host");
        if (status != cases[i].status)
            fail_msg("a token with %s: %d", cases[i].name, status);
        assert_is_as(&was, cases[i].name);
    }
}

static void a_bad_token_is_never_replaced_by_the_connection(void **state)
{
    (void)state;
    need();
    assert_int_equal(asked_by_token(0, "a.b.c", "/session"), 401); /* root's own connection */
    CLEAN_FREE char *huge = malloc(40001);
    memset(huge, 'a', 40000);
    huge[40000] = 0;
    const int status = asked_by_token(FIRST_ATTACKER + 200, huge, "/session");
    if (status != 0 && status != 431 && status != 413)
        fail_msg("a token of 40,000 bytes: %d", status);
    must(200, "GET", "/host", NULL);
}

static void whoever_guesses_is_slowed_and_nobody_else(void **state)
{
    (void)state;
    need();
    const unsigned guesser = FIRST_ATTACKER + 201;
    CLEAN_FREE char *claims = claims_with("{" GOOD "}");
    CLEAN_FREE char *good = NULL;
    int slowed = 0;
    good = signed_sign("{'alg': 'ES256', 'kid': 'first'}", claims, ec);
    for (int i = 0; i < 14; i++)
        slowed += asked_by_token(guesser, "a.b.c", "/session") == 429;
    assert_in_range(slowed, 2, 4);
    assert_int_equal(asked_by_token(guesser, good, "/session"), 429);
    assert_int_equal(asked_by_token(guesser + 1, good, "/session"), 200);
}

/* Peers */

static void a_peer_that_is_gone_is_still_who_it_was(void **state)
{
    struct asker inherited = user(attacker[STRANGER].user);
    int64_t after = -1;
    (void)state;
    (void)after;
    need();
    const struct was was = as_it_is();
    const pid_t pid = fork();
    if (pid == 0) { /* whose request is decided, perhaps, when there is no such process any more */
        struct asker own = user(attacker[STRANGER].user);
        CLEAN_FREE char *text = asker_request("DELETE", "/tenants/red", "", NULL);
        asker_send(&own, text, strlen(text));
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    /* A connection that was made by one and is used by root. */
    assert_int_equal(status_of(&inherited, "GET", "/session", "", NULL), 200);
    assert_int_equal(geteuid(), 0);
    assert_int_equal(status_of(&inherited, "GET", "/host", "", NULL), 403);
    asker_hang_up(&inherited);
    must(200, "GET", "/tenants/red", NULL);
    assert_is_as(&was, "a peer that is gone");
}

/* Races */

#define RACERS 8
static size_t race(struct asker racer[RACERS], char *text[RACERS], int status)
{
    size_t passed = 0;
    for (size_t i = 0; i < RACERS; i++)
        asker_send(&racer[i], text[i], strlen(text[i]));
    for (size_t i = 0; i < RACERS; i++) {
        CLEAN_ANSWER answer = {0};
        (void)asker_read(&racer[i], &answer);
        passed += answer.status == status;
        if (answer.status != status && answer.status != 503 && answer.status != 409)
            fail_msg("racer %zu: %d %s", i, answer.status, answer.body ? answer.body : "");
        free(text[i]);
    }
    return passed;
}

static size_t listed(const char *path, const char *member)
{
    CLEAN_JSON *list = root_asks(200, "GET", path, NULL);
    return json_array_size(json_object_get(list, member));
}

static void no_race_takes_more_than_a_quota(void **state)
{
    struct asker racer[RACERS];
    char *text[RACERS], path[128], body[300], digest[80];
    (void)state;
    need();
    for (unsigned i = 0; i < RACERS; i++)
        racer[i] = user(attacker[TENANTS_ADMINISTRATOR].user);
    for (unsigned i = 0; i < RACERS; i++) {
        (void)snprintf(body, sizeof body,
                       "{'name': 'racer%u', 'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s', "
                       "'cmdline': 'launch wait'}",
                       i, blue_kernel);
        text[i] = asker_request("POST", "/tenants/blue/guests", "", body);
    }
    assert_int_equal(race(racer, text, 201), 2); /* of four there were two */
    assert_int_equal(listed("/tenants/blue/guests", "guests"), 4);
    CLEAN_JSON *guests = root_asks(200, "GET", "/tenants/blue/guests", NULL);
    for (unsigned i = 0; i < RACERS; i++) {
        const json_t *guest = json_array_get(json_object_get(guests, "guests"), i % 4);
        (void)snprintf(path, sizeof path, "/tenants/blue/guests/%s/start", member_text(guest, "name", ""));
        text[i] = asker_request("POST", path, "", NULL);
    }
    assert_int_equal(race(racer, text, 202), 1);
    for (unsigned i = 0; i < RACERS; i++) {
        static const char *const texts[RACERS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
        uint8_t sha[32];
        assert_int_equal(EVP_Digest(texts[i], 1, sha, NULL, EVP_sha256(), NULL), 1);
        strcpy(digest, "sha256:");
        hex_encode(digest + 7, sha, sizeof sha);
        (void)snprintf(path, sizeof path, "/tenants/blue/images/%s", digest);
        text[i] = asker_request("PUT", path, "", texts[i]);
    }
    assert_int_equal(race(racer, text, 201), 2); /* of three there was one */
    assert_int_equal(listed("/tenants/blue/images", "images"), 3);
    for (unsigned i = 0; i < RACERS; i++)
        asker_hang_up(&racer[i]);
}

/* Much, slowly, and without end */

/* Whatever somebody granted to it: a monitor that was taken over asks for nothing. */
static void a_guest_s_user_is_not_let_in(void **state)
{
    (void)state;
    need();
    char body[120];
    (void)snprintf(body, sizeof body, "{'identity': 'uid:%u', 'role': 'administrator'}", FIRST_USER + 1);
    must(201, "POST", "/grants", body);
    for (unsigned i = 0; i < WORLD_GUESTS; i++) {
        struct asker guest = user(FIRST_USER + i);
        assert_int_equal(status_of(&guest, "GET", "/session", "", NULL), 0);
        asker_hang_up(&guest);
    }
}

static void one_user_s_connections_leave_room_for_others(void **state)
{
    static const char half[] = "POST /v1/tenants/blue/guests HTTP/1.1\r\nHost: co";
    struct asker slow[OF_ONE + 8];
    (void)state;
    need();
    const struct was was = as_it_is();
    for (size_t i = 0; i < OF_ONE + 8; i++) {
        slow[i] = user(attacker[STRANGER].user);
        asker_send(&slow[i], half, sizeof half - 1);
    }
    assert_is_as(&was, "slow connections");
    assert_int_equal(status_of(&attacker[VIEWER], "GET", "/tenants/blue", "", NULL), 200);
    for (size_t i = 0; i < OF_ONE + 8; i++)
        asker_hang_up(&slow[i]);
}

static void try_flood(const char *name, const char *before, const char *each, size_t count, const char *after)
{
    static size_t number;
    struct asker a = user(attacker[LAUNCHER].user);
    CLEAN_FREE char *text = NULL;
    CLEAN_ANSWER answer = {0};
    size_t size;
    if (!is_tried(number++))
        return;
    const struct was was = as_it_is();
    FILE *to = open_memstream(&text, &size);
    (void)fputs(before, to);
    for (size_t i = 0; i < count; i++)
        (void)fputs(each, to);
    (void)fputs(after, to);
    (void)fclose(to);
    asker_send(&a, text, strlen(text));
    (void)asker_read(&a, &answer);
    asker_hang_up(&a);
    if (answer.status / 100 == 2 || answer.status / 100 == 5)
        fail_msg("%s: %d", name, answer.status);
    assert_is_as(&was, name);
}

static void floods_end_with_their_connection(void **state)
{
#define POSTED "POST /v1/tenants/blue/guests HTTP/1.1\r\nHost: cofred\r\n"
    (void)state;
    need();
    try_flood("headers without end", POSTED, "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 4000, "\r\n");
    try_flood("a header without end", POSTED "X-A: ", "aaaaaaaaaaaaaaaa", 8000, "\r\n\r\n");
    try_flood("extensions of chunks", POSTED "Transfer-Encoding: chunked\r\n\r\n2;", "a=aaaaaaaaaaaaaaaaaa;",
              8000, "\r\n{}\r\n0\r\n\r\n");
    try_flood("trailers without end", POSTED "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
              "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 4000, "\r\n");
    try_flood("very small chunks", POSTED "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", 60000,
              "0\r\n\r\n");
    try_flood("lists in lists", POSTED "Content-Type: application/json\r\nContent-Length: 40000\r\n\r\n", "[",
              40000, "");
    try_flood("objects in objects", POSTED "Content-Type: application/json\r\nContent-Length: 45000\r\n\r\n",
              "{\"a\":", 9000, "");
    try_flood("a number of many digits",
              POSTED "Content-Type: application/json\r\nContent-Length: 40011\r\n\r\n{\"memory\": ", "9",
              40000, "");
    try_flood("parameters without end", "GET /v1/tenants?", "limit=1&", 1500,
              " HTTP/1.1\r\nHost: cofred\r\n\r\n");
}

/* Events: of red nothing, and a reader who reads nothing costs nobody else. */
static void events_of_others_do_not_come_and_need_not_be_read(void **state)
{
    (void)state;
    need();
    struct asker reader = user(attacker[LAUNCHER].user);
    CLEAN_FREE char *text = asker_request("GET", "/events", "", NULL);
    char seen[65536] = "";
    asker_send(&reader, text, strlen(text));
    while (!strstr(seen, "\r\n\r\n"))
        assert_true(recv(reader.fd, seen + strlen(seen), 1, 0) == 1);
    for (int i = 0; i < 3; i++) {
        must(202, "POST", "/tenants/red/guests/web/start", NULL);
        must(200, "GET", "/tenants/red/guests/web/wait?state=running", NULL);
        must(202, "POST", "/tenants/red/guests/web/kill", NULL);
        must(200, "GET", "/tenants/red/guests/web/wait?seconds=20", NULL);
    }
    must(200, "PATCH", "/tenants/blue/guests/web/limits", "{'cpu_weight': 50}");
    define("red", "marker", red_kernel, "{}");
    must(200, "GET", "/tenants/red/guests/marker", NULL);
    const struct timeval little = {.tv_usec = 200000};
    assert_int_equal(setsockopt(reader.fd, SOL_SOCKET, SO_RCVTIMEO, &little, sizeof little), 0);
    ssize_t got = recv(reader.fd, seen, sizeof seen - 1, 0);
    seen[got > 0 ? got : 0] = 0;
    if (strstr(seen, "red") || strstr(seen, "marker"))
        fail_msg("a stream of blue's events has %s", seen);
    asker_hang_up(&reader);
}

static void an_upload_that_ends_early_leaves_nothing(void **state)
{
    struct asker a = user(attacker[TENANTS_ADMINISTRATOR].user);
    char text[400];
    (void)state;
    need();
    const struct was was = as_it_is();
    (void)snprintf(
        text, sizeof text,
        "PUT /v1/tenants/red/images/%s HTTP/1.1\r\nHost: cofred\r\nContent-Length: 4000\r\n\r\nbegin",
        nobodys);
    asker_send(&a, text, strlen(text));
    asker_hang_up(&a);
    (void)snprintf(
        text, sizeof text,
        "PUT /v1/tenants/blue/images/%s HTTP/1.1\r\nHost: cofred\r\nContent-Length: 4\r\n\r\nmore%s", nobodys,
        "DELETE /v1/tenants/blue/guests/web HTTP/1.1\r\nHost: cofred\r\n\r\n");
    asker_send(&a, text, strlen(text));
    asker_hang_up(&a);
    must(200, "GET", "/tenants/blue/guests/web", NULL);
    for (int turn = 0; stored_files() != was.files && turn < 1000; turn++)
        (void)poll(NULL, 0, 10);
    assert_is_as(&was, "an upload that ends early");
}

/* Files of the configuration */

static char folder[] = "/tmp/cofre-attacks-XXXXXX";
static char listen_more[64], whole_more[700], access_more[700];

static void write_file(const char *name, X509 *cert, EVP_PKEY *key, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    CLEAN_FILE *file = fopen(path, "w");
    assert_non_null(file);
    if (cert)
        assert_int_equal(PEM_write_X509(file, cert), 1);
    if (key)
        assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    if (text)
        (void)fputs(text, file);
}

static void make_files(void)
{
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    ca_key = EVP_EC_gen("P-256");
    ca = authority_certificate("authority", ca_key, NULL, NULL, NULL);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = authority_certificate("server", key, ca, ca_key, "serverAuth");
    write_file("ca.pem", ca, NULL, NULL);
    write_file("server.pem", cert, NULL, NULL);
    write_file("server.key", NULL, key, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
    ec = signed_generate("{'kty': 'EC', 'crv': 'P-256', 'kid': 'first'}");
    rsa = signed_generate("{'kty': 'RSA', 'bits': 2048, 'kid': 'second'}");
    other = signed_generate("{'kty': 'EC', 'crv': 'P-256', 'kid': 'first'}");
    CLEAN_JSON *set = json_pack("{s:[o,o]}", "keys", signed_public(ec), signed_public(rsa));
    CLEAN_FREE char *text = json_dumps(set, 0);
    write_file("keys.json", NULL, NULL, text);
    (void)snprintf(listen_more, sizeof listen_more, ", {\"address\": \"127.0.0.1:%d\"}", PORT);
    (void)snprintf(whole_more, sizeof whole_more,
                   ", \"limits\": {\"of_one\": %d}, \"tls\": {\"certificate\": \"%s/server.pem\", \"key\": "
                   "\"%s/server.key\", "
                   "\"client_ca\": \"%s/ca.pem\"}",
                   OF_ONE, folder, folder, folder);
    (void)snprintf(access_more, sizeof access_more,
                   ", \"users\": {\"adam\": [\"uid:%d\", \"uid:%d\"]}, \"issuers\": [{\"name\": \"corp\", "
                   "\"issuer\": \"" ISSUER "\", \"audience\": \"cofred\", \"key_file\": \"%s/keys.json\"}]",
                   FIRST_ATTACKER + TENANTS_ADMINISTRATOR, FIRST_ATTACKER + ADAM_AGAIN, folder);
}

static void free_files(void)
{
    static const char *const names[] = {"ca.pem", "server.pem", "server.key", "keys.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    json_decref(ec);
    json_decref(rsa);
    json_decref(other);
}

static const char *make(const char *program, const char *stand_in)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    make_files();
    const char *why = whole_make_as(w, program, stand_in,
                                    &(struct whole_wish){FIRST_USER, listen_more, whole_more, access_more});
    CLEAN_FD s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return why ? why : ioctl(s, SIOCSIFFLAGS, &lo) == 0 ? NULL : "no loopback interface";
}

int main(int argc, char **argv)
{
    missing = argc == 3 ? make(argv[1], argv[2]) : "neither cofred nor a stand-in was named";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_attack_of_the_table_has_an_effect),
        cmocka_unit_test(no_certificate_makes_another_of_anybody),
        cmocka_unit_test(a_zero_in_a_subject_does_not_end_it),
        cmocka_unit_test(an_authority_that_has_the_name_of_ours_is_not_ours),
        cmocka_unit_test(no_forged_token_is_let_in),
        cmocka_unit_test(a_bad_token_is_never_replaced_by_the_connection),
        cmocka_unit_test(whoever_guesses_is_slowed_and_nobody_else),
        cmocka_unit_test(a_peer_that_is_gone_is_still_who_it_was),
        cmocka_unit_test(a_guest_s_user_is_not_let_in),
        cmocka_unit_test(one_user_s_connections_leave_room_for_others),
        cmocka_unit_test(floods_end_with_their_connection),
        cmocka_unit_test(an_upload_that_ends_early_leaves_nothing),
        cmocka_unit_test(events_of_others_do_not_come_and_need_not_be_read),
        cmocka_unit_test(no_race_takes_more_than_a_quota),
    };
    int rc = cmocka_run_group_tests(tests, up, down);
    whole_free(w);
    free_files();
    return rc;
}
