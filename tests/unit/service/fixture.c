#include "tests/unit/service/fixture.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/service/access.h"
#include "attest/service/keys/keyring.h"
#include "attest/store/credential.h"

const char *const role_words[ROLE_WORDS] = {"submit", "read",       "values", "policies",
                                            "audit",  "administer", "keys",   "approve"};
const uint8_t fixture_root[32] = {0x52, 0x6f, 0x6f, 0x74};

static void write_pem(const char *path, const struct identity *id, bool key)
{
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    assert_int_equal(
        key ? PEM_write_PrivateKey(to, id->key, NULL, NULL, 0, NULL, NULL) : PEM_write_X509(to, id->cert), 1);
    fclose(to);
}

struct fixture *fixture_new(int64_t (*clock)(void))
{
    static char name[] = FIXTURE_NAME;
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->folder, "/tmp/cofre-trust-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    f->clock = clock;
    snprintf(f->certificate, sizeof f->certificate, "%s/cert.pem", f->folder);
    snprintf(f->key, sizeof f->key, "%s/key.pem", f->folder);
    snprintf(f->ca, sizeof f->ca, "%s/ca.pem", f->folder);
    snprintf(f->database, sizeof f->database, "%s/db", f->folder);
    f->identity = identity_new("trust");
    f->client = identity_new("a client");
    write_pem(f->certificate, &f->identity, false);
    write_pem(f->key, &f->identity, true);
    write_pem(f->ca, &f->client, false);
    f->config = (struct trust_config){.certificate = f->certificate,
                                      .key = f->key,
                                      .client_ca = f->ca,
                                      .database = f->database,
                                      .name = name,
                                      .signing_key = f->key,
                                      .token_seconds = 3600,
                                      .workers = 2,
                                      .challenge_seconds = 300,
                                      .limits = {64, 16, 16384, 1 << 20, 30, 64 << 20}};
    return f;
}

static void start_service(struct fixture *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    struct cofre_err err = {""};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    f->port = ntohs(at.sin_port);
    int rc = trust_start(&f->trust, &f->config, &fd, 1, f->clock, &err);
    close(fd);
    if (rc < 0)
        fail_msg("%s", err.text);
}

void fixture_add_credential(struct fixture *f, const char *token, const char *roles, const char *scope,
                            int64_t expires)
{
    uint8_t digest[32];
    struct cofre_err err;
    access_token_digest(digest, token);
    const struct credential c = {.digest = {digest, 32},
                                 .name = token,
                                 .roles = roles,
                                 .scope = scope,
                                 .made = 1,
                                 .made_by = "test",
                                 .expires = expires};
    int rc = credential_add(f->db, &c, &err);
    assert_true(rc == 0 || rc == -COFRE_NEGATIVE); /* it may be there from before */
}

void fixture_start(struct fixture *f)
{
    struct cofre_err err;
    start_service(f);
    assert_int_equal(db_open(&f->db, f->database, &err), 0);
    for (size_t i = 0; i < ROLE_WORDS; i++)
        fixture_add_credential(f, role_words[i], role_words[i], "", f->clock() + 3600);
    f->connection = client_new(f->port);
    if (keyring_new(&f->trust->keyring, f->db, fixture_root, &err) < 0)
        fail_msg("%s", err.text);
}

void fixture_stop(struct fixture *f)
{
    if (!f->trust)
        return;
    client_close(&f->connection);
    trust_stop(f->trust);
    db_close(f->db);
    f->trust = NULL;
}

void fixture_free(struct fixture *f)
{
    char line[128];
    fixture_stop(f);
    identity_free(&f->identity);
    identity_free(&f->client);
    snprintf(line, sizeof line, "rm -rf '%s'", f->folder);
    assert_int_equal(system(line), 0);
    free(f);
}

int ask_with(struct fixture *f, struct client *c, const char *method, const char *path, const char *token,
             const char *header, const char *body)
{
    static char request[1 << 18];
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\n%s", method, path,
                     header ? header : "");
    if (token)
        n += snprintf(request + n, sizeof request - (size_t)n, "Authorization: Bearer %s\r\n", token);
    if (body)
        n += snprintf(request + n, sizeof request - (size_t)n, "Content-Type: application/json\r\n");
    n += snprintf(request + n, sizeof request - (size_t)n, "Content-Length: %zu\r\n\r\n%s",
                  body ? strlen(body) : 0, body ? body : "");
    assert_true((size_t)n < sizeof request);
    return client_ask(c, request, f->answer, sizeof f->answer);
}

int ask(struct fixture *f, const char *method, const char *path, const char *token, const char *body)
{
    return ask_with(f, &f->connection, method, path, token, NULL, body);
}

const char *answer_body(struct fixture *f)
{
    return strstr(f->answer, "\r\n\r\n") + 4;
}

json_t *answer_json(struct fixture *f)
{
    json_t *object = json_loads(answer_body(f), 0, NULL);
    assert_non_null(object);
    return object;
}

void assert_member(struct fixture *f, const char *name, const char *value)
{
    json_t *object = answer_json(f);
    assert_string_equal(json_string_value(json_object_get(object, name)), value);
    json_decref(object);
}

struct log_entry entry_of(struct fixture *f, unsigned number)
{
    char path[64];
    struct log_entry entry;
    struct cofre_err err = {""};
    snprintf(path, sizeof path, "/v1/log/entries/%u", number);
    assert_int_equal(ask(f, "GET", path, "audit", NULL), 200);
    const char *length = strstr(f->answer, "Content-Length: ");
    const struct view bytes = {(const uint8_t *)answer_body(f), strtoul(length + 16, NULL, 10)};
    if (log_entry_read(&entry, bytes, &err) < 0)
        fail_msg("entry %u: %s", number, err.text);
    return entry;
}
