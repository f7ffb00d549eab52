#include "vmm/agent/secrets.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/agent/key.h"
#include "vmm/base/file.h"

void agent_secrets_free(struct agent_secrets *secrets)
{
    secret_free(&secrets->memory);
}

static uint8_t *place_of(const struct agent_secrets *s, size_t i)
{
    return s->memory.data + i * KEY_VALUE_MAX;
}

/* From the service */

static int fetch_one(struct agent_secrets *out, size_t i, const struct agent_secrets_request *r,
                     struct trust_client *client, struct cofre_err *err)
{
    struct agent_key_terms terms = {0};
    const struct agent_key_request request = {.client = client,
                                              .policy = r->policy,
                                              .name = r->name[i],
                                              .version = r->version,
                                              .terms = &terms,
                                              .context = r->context,
                                              .evidence = r->evidence};
    int rc = agent_key_fetch(place_of(out, i), &request, err);
    if (rc < 0)
        return rc;
    struct kept_secret *s = &out->secret[i];
    *s = (struct kept_secret){
        .version = terms.version, .until = terms.offline_until, .value = {place_of(out, i), (size_t)rc}};
    (void)snprintf(s->name, sizeof s->name, "%s", r->name[i]);
    return 0;
}

/* Whether the service has said something about this guest, or was not there to. */
static bool is_refusal(int status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

static int fetch_all(struct agent_secrets *out, const struct agent_secrets_request *r, bool *refused,
                     struct cofre_err *err)
{
    struct trust_client *client = NULL;
    int rc = trust_client_open(&client, r->service, err);
    for (size_t i = 0; i < r->names && rc == 0; i++) {
        rc = fetch_one(out, i, r, client, err);
        *refused = rc < 0 && is_refusal(trust_client_status(client));
    }
    trust_client_free(client);
    return rc;
}

/* Kept */

static int seal_file(const struct agent_secrets_request *r, const struct kept_secret *kept, size_t count,
                     struct cofre_err *err)
{
    struct kept_root root;
    uint8_t key[32];
    CLEAN_BYTES file = {0};
    int rc = r->root(r->context, &root, err);
    if (rc == 0)
        rc = r->derive(r->context, key, &root, err);
    if (rc == 0)
        rc = kept_seal(&file, &root, key, kept, count, err);
    OPENSSL_cleanse(key, sizeof key);
    return rc < 0 ? rc : file_write(r->keep, bytes_view(&file), 0600, err);
}

/* That they cannot be kept is no reason not to have them. */
static void keep(struct agent_secrets *s, const struct agent_secrets_request *r)
{
    struct kept_secret kept[KEPT_SECRETS_MAX];
    struct cofre_err err; /* a way that failed before another one did not leaves its sentence */
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->secret[i].until > r->now)
            kept[count++] = s->secret[i];
    int rc = count ? seal_file(r, kept, count, &err) : 0;
    if (rc < 0 || count == 0)
        (void)unlink(r->keep);
    s->kept = rc < 0 ? 0 : count;
    if (rc < 0) {
        (void)cofre_within(&err, rc, "what was released is not kept");
        s->why = err;
    }
}

static int take_kept(struct agent_secrets *out, const struct agent_secrets_request *r, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    struct kept_root root;
    uint8_t key[32];
    int rc = file_read(&file, r->keep, KEPT_FILE_MAX, err);
    if (rc == 0)
        rc = kept_read_root(&root, bytes_view(&file), err);
    if (rc == 0)
        rc = r->derive(r->context, key, &root, err);
    for (size_t i = 0; i < r->names && rc >= 0; i++) {
        rc = kept_open(place_of(out, i), bytes_view(&file), key, r->name[i], r->now, err);
        if (rc >= 0)
            out->secret[i] = (struct kept_secret){.value = {place_of(out, i), (size_t)rc}};
        (void)snprintf(out->secret[i].name, sizeof out->secret[i].name, "%s", r->name[i]);
    }
    OPENSSL_cleanse(key, sizeof key);
    out->from_file = true;
    return rc < 0 ? cofre_within(err, rc, "%s; and %s", out->why.text, r->keep) : 0;
}

int agent_secrets_get(struct agent_secrets *out, const struct agent_secrets_request *r, struct cofre_err *err)
{
    bool refused = false;
    *out = (struct agent_secrets){.count = r->names};
    int rc = secret_alloc(&out->memory, r->names * KEY_VALUE_MAX, err);
    if (rc == 0 && (rc = fetch_all(out, r, &refused, &out->why)) < 0) {
        *err = out->why;
        if (r->keep && refused)
            (void)unlink(r->keep);
        else if (r->keep && access(r->keep, F_OK) == 0)
            rc = take_kept(out, r, err);
    } else if (rc == 0) {
        out->why = (struct cofre_err){""};
        if (r->keep)
            keep(out, r);
    }
    if (rc < 0)
        agent_secrets_free(out);
    return rc;
}
