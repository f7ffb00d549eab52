#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "keys/hpke.h"
#include "tests/unit/service/kills.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

void kills_hang_up(struct kills *k)
{
    pthread_mutex_lock(&k->lock);
    k->fd = -1;
    pthread_mutex_unlock(&k->lock);
    if (k->open)
        client_close(&k->client);
    k->open = false;
}

/* Who connects to the dead is told so; nobody else would end that connection. */
static bool connected(struct kills *k)
{
    if (k->open)
        return true;
    k->client = client_connect(k->process.port);
    k->open = true;
    pthread_mutex_lock(&k->lock);
    k->fd = k->client.fd;
    if (k->dead)
        (void)shutdown(k->fd, SHUT_RDWR);
    pthread_mutex_unlock(&k->lock);
    if (!client_handshake(&k->client, &bound_guest_key, TLS1_3_VERSION))
        kills_hang_up(k);
    return k->open;
}

int kills_ask(struct kills *k, const char *method, const char *path, const char *token, const char *body)
{
    static char request[1 << 18];
    int n =
        snprintf(request, sizeof request,
                 "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 method, path, token, body ? strlen(body) : 0, body ? body : "");
    assert_true((size_t)n < sizeof request);
    int status = connected(k) ? client_ask(&k->client, request, k->answer, sizeof k->answer) : 0;
    if (status == 0)
        kills_hang_up(k);
    if (status >= 500 && atomic_load(&k->power.faults->struck) == 0)
        kills_complain(k, "%s %s: %d, and nothing had failed: %.200s", method, path, status,
                       strstr(k->answer, "\r\n\r\n") + 4);
    return status;
}

static json_t *answer_of(struct kills *k)
{
    json_t *object = json_loads(strstr(k->answer, "\r\n\r\n") + 4, 0, NULL);
    assert_non_null(object);
    return object;
}

/* An answer that says it is done makes it so; none, or the service's own failure, leaves a doubt. */
static bool settle(struct kills *k, unsigned key, const struct kept *after, int status, int wanted)
{
    if (status == wanted) {
        k->key[key] = *after;
        k->acknowledged++;
        kills_look(k, key);
        return true;
    }
    if (status != 0 && status < 500)
        kills_complain(k, "key %s: %d in place of %d: %.200s", after->name, status, wanted,
                       strstr(k->answer, "\r\n\r\n") + 4);
    k->unanswered++;
    k->doubt = (int)key;
    k->otherwise = *after;
    return false;
}

static bool change(struct kills *k, unsigned key, const struct kept *after, const char *method,
                   const char *below, const char *body, int wanted)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/keys/%s%s", after->name, below);
    return settle(k, key, after, kills_ask(k, method, path, "keys", body), wanted);
}

/* Deeds: each is told what the key is, and whether it may be done to that. */

static bool create(struct kills *k, unsigned key, struct kept after)
{
    (void)key;
    if (k->keys == KILLS_KEYS)
        return true;
    key = k->keys++;
    after = (struct kept){.there = true, .state = GUEST_KEY_CREATED, .current = 1};
    after.version[1].there = true;
    snprintf(after.name, sizeof after.name, "k%u", key);
    snprintf(k->key[key].name, sizeof k->key[key].name, "%s", after.name);
    if (!change(k, key, &after, "POST", "", "{}", 201))
        return false;
    after = k->key[key];
    after.state = GUEST_KEY_ACTIVE;
    after.granted = true;
    return change(k, key, &after, "PUT", "/grants/web", "{}", 200);
}

static bool rotate(struct kills *k, unsigned key, struct kept after)
{
    if (after.current == KILLS_VERSIONS || after.state > GUEST_KEY_ACTIVE)
        return true;
    after.version[++after.current].there = true;
    return change(k, key, &after, "POST", "/versions", "{}", 201);
}

static bool retire(struct kills *k, unsigned key, struct kept after)
{
    char below[32];
    int64_t version = 1;
    while (version < after.current && !after.version[version].there)
        version++;
    if (version >= after.current || after.state == GUEST_KEY_DESTROYED)
        return true;
    after.version[version].there = false;
    snprintf(below, sizeof below, "/versions/%d", (int)version);
    return change(k, key, &after, "DELETE", below, NULL, 200);
}

static bool toggle(struct kills *k, unsigned key, struct kept after)
{
    const bool on = after.state == GUEST_KEY_DISABLED;
    if (after.state == GUEST_KEY_DESTROYED)
        return true;
    after.state = on ? GUEST_KEY_ACTIVE : GUEST_KEY_DISABLED;
    return change(k, key, &after, "PUT", "/state",
                  on ? "{\"state\": \"active\"}" : "{\"state\": \"disabled\"}", 200);
}

static bool destroy(struct kills *k, unsigned key, struct kept after)
{
    after.state = GUEST_KEY_DESTROYED;
    after.granted = false;
    memset(after.version, 0, sizeof after.version);
    if (!change(k, key, &after, "PUT", "/state", "{\"state\": \"destroyed\"}", 200))
        return false;
    k->key[key].gone_for_good = true;
    kills_search(k, false);
    return true;
}

static bool back_up(struct kills *k, unsigned key, struct kept after)
{
    (void)key;
    (void)after;
    int status = kills_ask(k, "POST", "/v1/keys-backup", "keys", NULL);
    if (status != 200)
        return false; /* nothing is changed by it */
    free(k->backup);
    free(k->backed_up);
    k->backup = strdup(strstr(k->answer, "\r\n\r\n") + 4);
    k->backed_up = malloc(sizeof k->key);
    assert_true(k->backup && k->backed_up);
    memcpy(k->backed_up, k->key, sizeof k->key);
    k->backed_up_keys = k->keys;
    k->acknowledged++;
    return true;
}

static bool revive(struct kills *k, unsigned key, struct kept after)
{
    static char body[1 << 17];
    if (!k->backup || key >= k->backed_up_keys || after.state != GUEST_KEY_DESTROYED ||
        !k->backed_up[key].there || k->backed_up[key].state == GUEST_KEY_DESTROYED)
        return true;
    const int64_t releases = after.releases;
    after = k->backed_up[key];
    after.releases = releases;
    after.state = GUEST_KEY_DISABLED;
    int n = snprintf(body, sizeof body, "{\"backup\": %s, \"revive\": \"%s\"}", k->backup, after.name);
    assert_true((size_t)n < sizeof body);
    return settle(k, key, &after, kills_ask(k, "POST", "/v1/keys-restore", "keys", body), 200);
}

/* A guest's. The answer is a key that opens, or there is none. */

static char *write_release(struct kills *k, EVP_PKEY *recipient, const struct kept *key,
                           const char *challenge)
{
    uint8_t nonce[32], report_data[CHANNEL_REPORT_DATA];
    char hex[131], *body;
    struct hpke_public public;
    CLEAN_BYTES spki = {0};
    const struct channel_binding b = bound_guest_binding(&k->client, challenge, nonce, &spki);
    assert_int_equal(hpke_public_of(&public, HPKE_X25519, recipient, NULL), 0);
    hex_encode(hex, public.data, public.len);
    assert_int_equal(channel_release_report_data(report_data, &b, (struct view){public.data, public.len},
                                                 (struct view){(const uint8_t *)key->name, strlen(key->name)},
                                                 NULL),
                     0);
    char *evidence = bound_guest_evidence(report_data);
    assert_true(asprintf(&body,
                         "{\"policy\": \"web\", \"challenge\": \"%s\", \"recipient\": \"%s\", \"kem\": "
                         "\"X25519\", \"evidence\": %s}",
                         challenge, hex, evidence) > 0);
    free(evidence);
    return body;
}

static void opens(struct kills *k, EVP_PKEY *recipient, const struct kept *key)
{
    char aad[256];
    uint8_t text[600];
    CLEAN_BYTES enc = {0}, sealed = {0};
    CLEAN_JSON *answer = answer_of(k);
    int n = snprintf(aad, sizeof aad, "%s %d %s", key->name, (int)key->current,
                     json_string_value(json_object_get(answer, "result")));
    const struct hpke_about about = {{HPKE_X25519, HPKE_AES_256_GCM},
                                     {(const uint8_t *)"cofre key release 1", 19},
                                     {(const uint8_t *)aad, (size_t)n}};
    assert_int_equal(hex_decode_some(&enc, 65, json_string_value(json_object_get(answer, "enc")), NULL), 0);
    assert_int_equal(
        hex_decode_some(&sealed, 600, json_string_value(json_object_get(answer, "sealed")), NULL), 0);
    if (hpke_open(text, &about, recipient, bytes_view(&enc), bytes_view(&sealed), NULL) < 0 ||
        memcmp(text, key->version[key->current].value, KILLS_VALUE) != 0)
        kills_complain(k, "key %s was released with another value", key->name);
}

static bool release(struct kills *k, unsigned key, struct kept after)
{
    char path[64], challenge[65];
    EVP_PKEY *recipient;
    if (after.state != GUEST_KEY_ACTIVE || !after.granted)
        return true;
    int status = kills_ask(k, "POST", "/v1/challenges", "submit", NULL);
    if (status != 201)
        return false;
    CLEAN_JSON *made = answer_of(k);
    snprintf(challenge, sizeof challenge, "%s", json_string_value(json_object_get(made, "nonce")));
    assert_int_equal(hpke_key_new(&recipient, HPKE_X25519, NULL), 0);
    CLEAN_FREE char *body = write_release(k, recipient, &after, challenge);
    snprintf(path, sizeof path, "/v1/keys/%s/release", after.name);
    after.releases++;
    status = kills_ask(k, "POST", path, "submit", body);
    const bool done = settle(k, key, &after, status, 200);
    if (done) {
        opens(k, recipient, &k->key[key]);
        status = kills_ask(k, "POST", path, "submit", body);
        if (status != 0 && status < 500 && status != 409) /* the same once more */
            kills_complain(k, "key %s was released twice: %d", after.name, status);
    }
    EVP_PKEY_free(recipient);
    return done && status == 409;
}

/* Hundredths. */
static const struct {
    unsigned share;
    bool (*run)(struct kills *k, unsigned key, struct kept now);
} deeds[] = {{16, create},  {14, rotate}, {7, retire}, {12, toggle},
             {10, destroy}, {8, back_up}, {9, revive}, {24, release}};

bool kills_deed(struct kills *k)
{
    uint64_t at = kills_draw(100);
    size_t i = 0;
    for (; at >= deeds[i].share; i++)
        at -= deeds[i].share;
    /* Of the last few, so that much happens to each. */
    const unsigned recent = k->keys < 8 ? k->keys : 8;
    const unsigned key = recent ? k->keys - 1 - (unsigned)kills_draw(recent) : 0;
    if (!recent || !k->key[key].there)
        return create(k, 0, (struct kept){.there = false});
    return deeds[i].run(k, key, k->key[key]);
}

/* Into a database without keys, all of it. */
bool kills_restore_all(struct kills *k)
{
    CLEAN_FREE char *body = NULL;
    assert_true(asprintf(&body, "{\"backup\": %s, \"as_they_were\": true}", k->backup) > 0);
    int status = kills_ask(k, "POST", "/v1/keys-restore", "keys", body);
    if (status != 0 && status != 200 && status < 500)
        kills_complain(k, "the backup is not taken: %.200s", strstr(k->answer, "\r\n\r\n") + 4);
    k->restoring = status != 200;
    return status == 200;
}
