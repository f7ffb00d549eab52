#include "attest/service/keys/keyring.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keys/generation.h"
#include "keys/seal/root_file.h"
#include "keys/seal/seal.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define LOG_ROOM "keys"

struct keyring {
    struct secret root;
    EVP_PKEY *import_key;
    struct key_counter counter;
    /* Where the root lies sealed, NULL: it does not; and the id of that file. */
    char *file;
    uint8_t file_id[ROOT_ID_SIZE];
};

static int check(struct db *db, void *context, struct cofre_err *err)
{
    int64_t generation;
    return key_generation_check(db, context, &generation, err);
}

static int make_import_key(struct keyring *k, struct cofre_err *err)
{
    uint8_t private[32];
    int rc = key_derive(private, k->root.data, "cofre key import 1", err);
    if (rc == 0)
        k->import_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private, sizeof private);
    OPENSSL_cleanse(private, sizeof private);
    return rc < 0 || k->import_key ? rc : cofre_fail(err, COFRE_FAILED, "no key for imports could be made");
}

static int make(struct keyring **out, const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    struct keyring *k = calloc(1, sizeof *k);
    if (!k)
        return cofre_fail(err, COFRE_FAILED, "the root key: out of memory");
    pthread_mutex_init(&k->counter.lock, NULL);
    int rc = secret_alloc(&k->root, KEY_ROOT_SIZE, err);
    if (rc == 0) {
        memcpy(k->root.data, root, KEY_ROOT_SIZE);
        k->counter.root = k->root.data;
        rc = make_import_key(k, err);
    }
    if (rc < 0) {
        keyring_free(k);
        return rc;
    }
    *out = k;
    return 0;
}

/* With the database's keys checked by it; else it goes. */
static int give(struct keyring **out, struct keyring *k, struct db *db, struct cofre_err *err)
{
    int rc = db_atomically(db, check, k->root.data, err);
    if (rc == 0)
        rc = key_counter_start(&k->counter, db, err);
    if (rc < 0) {
        keyring_free(k);
        return rc;
    }
    *out = k;
    return 0;
}

int keyring_new(struct keyring **out, struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                struct cofre_err *err)
{
    struct keyring *k = NULL;
    int rc = make(&k, root, err);
    return rc < 0 ? rc : give(out, k, db, err);
}

int keyring_open(struct keyring **out, struct db *db, const char *file, struct cofre_err *err)
{
    uint8_t root[KEY_ROOT_SIZE + 1];
    struct stat st;
    CLEAN_FD fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return cofre_fail(err, COFRE_LACKING, "the root key %s cannot be read: %m", file);
    if (!S_ISREG(st.st_mode) || st.st_mode & 077)
        return cofre_fail(err, COFRE_USAGE, "the root key %s is to be a file that its owner alone may read",
                          file);
    const ssize_t n = read(fd, root, sizeof root);
    int rc = n == KEY_ROOT_SIZE && !bytes_are_zero(root, KEY_ROOT_SIZE)
                 ? keyring_new(out, db, root, err)
                 : cofre_fail(err, COFRE_MALFORMED, "the root key %s is to be %d bytes", file, KEY_ROOT_SIZE);
    OPENSSL_cleanse(root, sizeof root);
    return rc;
}

/* For backups. The file was opened a moment ago; who exchanges it between the two spoils backups, and no more. */
static int note_file(struct keyring *k, const char *file, struct cofre_err *err)
{
    struct root_file content;
    int rc = root_file_read(&content, file, err);
    if (rc < 0)
        return rc;
    memcpy(k->file_id, content.id, sizeof k->file_id);
    k->file = strdup(file);
    return k->file ? 0 : cofre_fail(err, COFRE_FAILED, "the root key: out of memory");
}

static int unseal(struct keyring **out, const struct keyring_seal *seal, struct cofre_err *err)
{
    *out = NULL;
    CLEAN_BYTES text = {0};
    CLEAN_SECRET root = {0};
    struct seal_counter counter;
    int rc = seal_read_passphrase(&text, seal->passphrase ? seal->passphrase : seal->authorisation, err);
    const struct seal_secret by = {.kind = seal->passphrase ? SEAL_PASSPHRASE : SEAL_TPM,
                                   .text = bytes_view(&text),
                                   .tpm = {.device = seal->tpm, .policies = seal->pcr_policy}};
    if (rc == 0)
        rc = seal_open_counted(seal->file, &by, &root, &counter, err);
    if (rc < 0)
        return cofre_within(err, rc, "the root key");
    rc = make(out, root.data, err);
    if (rc == 0) {
        (*out)->counter.tpm = (struct seal_tpm){.device = seal->tpm};
        (*out)->counter.counter = counter;
        rc = note_file(*out, seal->file, err);
    }
    if (rc < 0) {
        keyring_free(*out);
        *out = NULL;
    }
    return rc;
}

/* By another way than the TPM nobody asks its counter; the next who does finds that it was not advanced. */
static void warn_uncounted(struct db *db)
{
    struct key_anchor anchor;
    if (key_generation_read_anchor(db, &anchor, NULL) == 0 && anchor.there)
        log_warn("the keys in the database go by a TPM's counter, which is not asked: that the database was "
                 "put back "
                 "is not noticed");
}

int keyring_unseal(struct keyring **out, struct db *db, const struct keyring_seal *seal,
                   struct cofre_err *err)
{
    struct keyring *k = NULL;
    int rc = unseal(&k, seal, err);
    if (rc < 0)
        return rc;
    if (seal->passphrase)
        warn_uncounted(db);
    return give(out, k, db, err);
}

int keyring_accept(struct db *db, const struct keyring_seal *seal, key_counter_log log, void *context,
                   struct cofre_err *err)
{
    struct keyring *k = NULL;
    int rc = unseal(&k, seal, err);
    if (rc < 0)
        return rc;
    rc = key_counter_accept(&k->counter, db, log, context, err);
    keyring_free(k);
    return rc;
}

struct key_counter *keyring_counter(struct keyring *k)
{
    return &k->counter;
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    secret_free(&k->root);
    EVP_PKEY_free(k->import_key);
    pthread_mutex_destroy(&k->counter.lock);
    free(k->file);
    free(k);
}

const uint8_t *keyring_root(const struct keyring *k)
{
    return k->root.data;
}

EVP_PKEY *keyring_import_key(const struct keyring *k)
{
    return k->import_key;
}

/* Read anew: the recovery passphrase may be another than at the start. */
int keyring_recovery(const struct keyring *k, json_t **out, struct cofre_err *err)
{
    struct root_file content;
    CLEAN_BYTES text = {0};
    CLEAN_JSON *file = NULL;
    *out = NULL;
    if (!k->file)
        return 0;
    int rc = file_read(&text, k->file, ROOT_FILE_MAX, err);
    if (rc == 0)
        rc = root_file_parse(&content, bytes_view(&text), err);
    if (rc == 0 && memcmp(content.id, k->file_id, sizeof content.id) != 0)
        rc = cofre_fail(err, COFRE_FAILED, "it has another root than the service by now");
    if (rc == 0)
        rc = json_read(&file, bytes_view(&text), COFRE_FAILED, err);
    if (rc < 0)
        return cofre_within(err, -COFRE_FAILED, "the root key %s", k->file);
    json_t *slots = json_object_get(file, "slots");
    *out = json_pack("{s:O, s:O, s:{s:O}}", "cofre_root", json_object_get(file, "cofre_root"), "id",
                     json_object_get(file, "id"), "slots", "recovery", json_object_get(slots, "recovery"));
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

struct keyring *call_keyring(struct call *call)
{
    struct keyring *keyring = call->trust->keyring;
    if (!keyring)
        request_problem(call->request, 503, "no-root",
                        "this service has no root key, and so keeps no keys for guests");
    return keyring; /* who was answered is gone: what is said of it is one look's */
}
