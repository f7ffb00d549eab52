#include "keys/seal/seal.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "keys/seal/recovery.h"
#include "keys/seal/slot.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

#define LOG_ROOM "keys"

static int open_file(const struct root_file *file, const struct seal_secret *by, struct secret *root,
                     struct seal_counter *counter, struct cofre_err *err)
{
    const bool tpm = by->kind == SEAL_TPM;
    *counter = (struct seal_counter){0};
    if (!(tpm ? file->tpm.there : file->slot[by->kind].there))
        return cofre_fail(err, COFRE_USAGE, "there is no slot \"%s\"", seal_kind_name(by->kind));
    if (by->text.len > SEAL_PASSPHRASE_MAX)
        return cofre_fail(err, COFRE_USAGE, "a passphrase has at most %d bytes", SEAL_PASSPHRASE_MAX);
    return (tpm ? slot_tpm_open : slot_open)(file, by, root, counter, err);
}

int seal_open_counted(const char *file, const struct seal_secret *by, struct secret *root,
                      struct seal_counter *counter, struct cofre_err *err)
{
    struct root_file content;
    *root = (struct secret){0};
    int rc = root_file_read(&content, file, err);
    if (rc < 0)
        return rc;
    rc = open_file(&content, by, root, counter, err);
    return rc < 0 ? cofre_within(err, rc, "%s", file) : 0;
}

int seal_open(const char *file, const struct seal_secret *by, struct secret *root, struct cofre_err *err)
{
    struct seal_counter counter;
    return seal_open_counted(file, by, root, &counter, err);
}

/* What a change is, and what it works with. */
struct change {
    int (*fill)(struct root_file *file, const struct secret *root, struct change *change,
                struct cofre_err *err);
    void (*after)(const struct secret *root, struct change *change); /* the file is replaced; NULL: nothing */
    struct view passphrase;
    unsigned cost;
    seal_show show;
    void *context;
    const struct seal_tpm_wish *wish;
    struct tpm *tpm;
    struct seal_tpm_made *made;
};

static int fill_passphrase(struct root_file *file, const struct secret *root, struct change *c,
                           struct cofre_err *err)
{
    int rc = slot_check_passphrase(c->passphrase, err);
    return rc < 0 ? rc : slot_fill(file, SEAL_PASSPHRASE, c->passphrase, c->cost, root, err);
}

/* Shown first: what is in the file must be in somebody's hands. */
static int fill_recovery(struct root_file *file, const struct secret *root, struct change *c,
                         struct cofre_err *err)
{
    char recovery[RECOVERY_SIZE], letters[RECOVERY_LETTERS];
    int rc = recovery_make(recovery, err);
    if (rc == 0)
        rc = recovery_read(letters, (struct view){(const uint8_t *)recovery, RECOVERY_SIZE - 1}, err);
    if (rc == 0)
        rc = slot_fill(file, SEAL_RECOVERY, (struct view){(const uint8_t *)letters, sizeof letters}, c->cost,
                       root, err);
    if (rc == 0)
        rc = c->show(c->context, recovery, err);
    OPENSSL_cleanse(recovery, sizeof recovery);
    OPENSSL_cleanse(letters, sizeof letters);
    return rc;
}

static int fill_tpm(struct root_file *file, const struct secret *root, struct change *c,
                    struct cofre_err *err)
{
    return slot_tpm_fill(file, c->wish, root, c->tpm, c->made, err);
}

/* The slot is there and opens; an old counter that stays is taken away with the next slot that is made. */
static void drop_old_counters(const struct secret *root, struct change *c)
{
    struct cofre_err err;
    if (tpm_counter_drop_others(c->tpm, &c->made->counter, root->data, &err) < 0)
        log_warn("a counter of an older slot may be left: %s", err.text);
}

static int change(const char *file, const struct seal_secret *by, struct change *c, struct cofre_err *err)
{
    struct root_file content;
    struct seal_counter counter;
    CLEAN_SECRET root = {0};
    CLEAN_FD directory = root_file_lock(file, err);
    if (directory < 0)
        return directory;
    int rc = root_file_read(&content, file, err);
    if (rc == 0 && (rc = open_file(&content, by, &root, &counter, err)) < 0)
        return cofre_within(err, rc, "%s", file);
    if (rc == 0)
        rc = c->fill(&content, &root, c, err);
    if (rc == 0)
        rc = root_file_write(&content, file, directory, false, err);
    if (rc == 0 && c->after)
        c->after(&root, c);
    return rc;
}

static int make(struct root_file *file, struct secret *root, struct change *c, struct cofre_err *err)
{
    int rc = secret_alloc(root, KEY_ROOT_SIZE, err);
    if (rc == 0 &&
        (RAND_priv_bytes(root->data, KEY_ROOT_SIZE) != 1 || RAND_bytes(file->id, sizeof file->id) != 1))
        rc = cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    if (rc == 0 && c->passphrase.len)
        rc = fill_passphrase(file, root, c, err);
    return rc < 0 ? rc : fill_recovery(file, root, c, err);
}

int seal_make(const char *file, struct view passphrase, unsigned cost, struct secret *root, seal_show show,
              void *context, struct cofre_err *err)
{
    struct root_file content = {0};
    struct change c = {.passphrase = passphrase, .cost = cost, .show = show, .context = context};
    *root = (struct secret){0};
    CLEAN_FD directory = root_file_lock(file, err);
    if (directory < 0)
        return directory;
    int rc = root_file_check_new(file, err);
    if (rc == 0)
        rc = make(&content, root, &c, err);
    if (rc == 0)
        rc = root_file_write(&content, file, directory, true, err);
    if (rc < 0)
        secret_free(root);
    return rc;
}

int seal_set_passphrase(const char *file, const struct seal_secret *by, struct view passphrase, unsigned cost,
                        struct cofre_err *err)
{
    struct change c = {.fill = fill_passphrase, .passphrase = passphrase, .cost = cost};
    return change(file, by, &c, err);
}

int seal_renew_recovery(const char *file, const struct seal_secret *by, unsigned cost, seal_show show,
                        void *context, struct cofre_err *err)
{
    struct change c = {.fill = fill_recovery, .cost = cost, .show = show, .context = context};
    return change(file, by, &c, err);
}

int seal_set_tpm(const char *file, const struct seal_secret *by, const struct seal_tpm_wish *wish,
                 struct seal_tpm_made *made, struct cofre_err *err)
{
    CLEAN_TPM tpm = {0};
    struct change c = {.fill = fill_tpm, .after = drop_old_counters, .wish = wish, .tpm = &tpm, .made = made};
    return change(file, by, &c, err);
}

int seal_read_passphrase(struct bytes *out, const char *file, struct cofre_err *err)
{
    int rc = file_read(out, file, SEAL_PASSPHRASE_MAX + 1, err);
    if (rc < 0)
        return rc;
    const uint8_t *end = out->len ? memchr(out->data, '\n', out->len) : NULL;
    if (end && end + 1 != out->data + out->len)
        return cofre_fail(err, COFRE_MALFORMED, "%s: is to be one line", file);
    out->len -= end ? 1 : 0;
    return out->len ? 0 : cofre_fail(err, COFRE_MALFORMED, "%s: has no passphrase", file);
}
