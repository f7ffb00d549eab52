#include "attest/service/signer.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdlib.h>

#include "vmm/base/file.h"

/* The keys, and what all tokens of the current one begin with. */
struct held {
    struct key_set keys;
    struct bytes cwt_header, jwt_header;
};

struct signer {
    pthread_rwlock_t lock;
    struct held held;
};

static void held_free(struct held *held)
{
    key_set_free(&held->keys);
    bytes_free(&held->cwt_header);
    bytes_free(&held->jwt_header);
}

static int read_key(EVP_PKEY **out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, KEY_FILE_MAX, err);
    if (rc < 0)
        return rc;
    BIO *bio = BIO_new_mem_buf(file.data, (int)file.len);
    *out = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return *out ? 0 : cofre_fail(err, COFRE_MALFORMED, "%s is no private key in PEM", path);
}

/* Retired keys stay published for as long as the configuration names them. */
static int add(struct key_set *keys, const char *path, enum key_state state, struct cofre_err *err)
{
    EVP_PKEY *key;
    if (!path)
        return 0;
    int rc = read_key(&key, path, err);
    if (rc == 0)
        rc = key_set_add(keys, key, state, state == KEY_RETIRED ? INT64_MAX : 0, err);
    return rc < 0 ? cofre_within(err, rc, "the %s signing key", key_state_name(state)) : 0;
}

static int read_keys(struct key_set *keys, const struct trust_config *config, struct cofre_err *err)
{
    int rc = add(keys, config->signing_key, KEY_CURRENT, err);
    if (rc == 0)
        rc = add(keys, config->next_signing_key, KEY_NEXT, err);
    for (size_t i = 0; i < TRUST_FILES_MAX && rc == 0; i++)
        rc = add(keys, config->retired_signing_keys.path[i], KEY_RETIRED, err);
    return rc;
}

int signer_reload(struct signer *s, const struct trust_config *config, struct cofre_err *err)
{
    struct held held = {.keys = {.count = 0}};
    int rc = read_keys(&held.keys, config, err);
    if (rc == 0)
        rc = cwt_header(&held.cwt_header, key_set_current(&held.keys), err);
    if (rc == 0)
        rc = jwt_header(&held.jwt_header, key_set_current(&held.keys), err);
    if (rc < 0) {
        held_free(&held);
        return rc;
    }
    pthread_rwlock_wrlock(&s->lock);
    struct held before = s->held;
    s->held = held;
    pthread_rwlock_unlock(&s->lock);
    held_free(&before);
    return 0;
}

int signer_new(struct signer **out, const struct trust_config *config, struct cofre_err *err)
{
    struct signer *s = calloc(1, sizeof *s);
    if (!s)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    pthread_rwlock_init(&s->lock, NULL);
    int rc = signer_reload(s, config, err);
    if (rc < 0) {
        signer_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void signer_free(struct signer *s)
{
    if (!s)
        return;
    held_free(&s->held);
    pthread_rwlock_destroy(&s->lock);
    free(s);
}

int signer_sign_cwt(struct signer *s, struct bytes *out, const struct ear *ear, struct cofre_err *err)
{
    pthread_rwlock_rdlock(&s->lock);
    int rc = cwt_sign_under(out, bytes_view(&s->held.cwt_header), ear, key_set_current(&s->held.keys), err);
    pthread_rwlock_unlock(&s->lock);
    return rc;
}

int signer_sign_jwt(struct signer *s, struct bytes *out, const struct ear *ear, struct cofre_err *err)
{
    pthread_rwlock_rdlock(&s->lock);
    int rc = jwt_sign_under(out, bytes_view(&s->held.jwt_header), ear, key_set_current(&s->held.keys), err);
    pthread_rwlock_unlock(&s->lock);
    return rc;
}

/* Read as others read them: a CWT may be one that somebody put into the database. */
static int published(struct cose_keys *out, struct signer *s, struct cofre_err *err)
{
    CLEAN_BYTES set = {0};
    int rc = signer_publish(s, &set, false, 0, err);
    return rc < 0 ? rc : keys_read(out, bytes_view(&set), err);
}

int signer_translate(struct signer *s, struct bytes *jwt, struct view cwt, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {0};
    CLEAN_EAR ear = {0};
    int rc = published(&keys, s, err);
    if (rc == 0)
        rc = cwt_verify(&ear, cwt, &keys, err);
    return rc < 0 ? rc : signer_sign_jwt(s, jwt, &ear, err);
}

int signer_sign_head(struct signer *s, struct db_log *log, const char *name, int64_t now,
                     struct cofre_err *err)
{
    pthread_rwlock_rdlock(&s->lock);
    int rc = db_log_sign(log, name, key_set_current(&s->held.keys), now, err);
    pthread_rwlock_unlock(&s->lock);
    return rc;
}

int signer_sign_corim(struct signer *s, struct bytes *out, const struct corim *corim, struct cofre_err *err)
{
    pthread_rwlock_rdlock(&s->lock);
    int rc = corim_sign(out, corim, key_set_current(&s->held.keys), err);
    pthread_rwlock_unlock(&s->lock);
    return rc;
}

int signer_publish(struct signer *s, struct bytes *out, bool jwks, int64_t now, struct cofre_err *err)
{
    pthread_rwlock_rdlock(&s->lock);
    int rc = jwks ? key_set_jwks(out, &s->held.keys, now, err) : key_set_cose(out, &s->held.keys, now, err);
    pthread_rwlock_unlock(&s->lock);
    return rc;
}
