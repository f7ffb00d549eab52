/* cofre log create, append: what only who has the log's key can do. */
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#include "attest/log/entry.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/file.h"
#include "vmm/cli/log.h"

/* Who signs. The log is checked by the same key, so that nobody goes on with somebody else's. */
struct keeper {
    struct log_checker checker; /* first: log_check_head knows it */
    EVP_PKEY *key;              /* the checker's */
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    const char *name; /* NULL: as in the last head */
};

static int sign_head(void *context, const struct log_state *state, struct bytes *out, struct cofre_err *err)
{
    struct keeper *k = context;
    struct log_head head = {.state = *state, .time = time(NULL)};
    strcpy(head.name, k->name ? k->name : k->checker.last.name);
    return log_head_sign(out, &head, k->key, (struct view){k->kid, sizeof k->kid}, err);
}

static int read_keeper(struct keeper *k, const struct log_call *call, struct cofre_err *err)
{
    int rc = log_read_private_key(&k->key, k->kid, call->option[LOG_OPT_KEY], err);
    if (rc < 0)
        return rc;
    struct cose_key *own = &k->checker.keys.key[k->checker.keys.count++];
    *own = (struct cose_key){.key = k->key, .alg = cose_alg_of_key(k->key), .kid_len = sizeof k->kid};
    memcpy(own->kid, k->kid, sizeof k->kid);
    k->name = call->option[LOG_OPT_NAME];
    return 0;
}

static struct log_heads heads_of(struct keeper *k)
{
    return (struct log_heads){.context = k, .sign = sign_head, .check = log_check_head};
}

static int make_genesis(struct bytes *out, const char *name, struct cofre_err *err)
{
    struct log_entry entry = {.kind = LOG_ENTRY_GENESIS, .time = time(NULL)};
    if (*name == 0 || strlen(name) > LOG_NAME_MAX)
        return cofre_fail(err, COFRE_USAGE, "--name has 1 to %d bytes", LOG_NAME_MAX);
    strcpy(entry.name, name);
    if (RAND_bytes(entry.random, sizeof entry.random) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL has no random bytes");
    return log_entry_write(out, &entry, err);
}

/* Opened again, so that what is printed is what is there. */
static int open_kept(struct log_file **out, struct keeper *k, const char *path, struct cofre_err *err)
{
    struct log_heads heads = heads_of(k);
    return log_file_open(out, path, &heads, err);
}

static int create(struct keeper *k, const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_BYTES genesis = {0};
    CLEAN_LOG_FILE *f = NULL;
    struct log_heads heads = heads_of(k);
    int rc = read_keeper(k, call, err);
    if (rc == 0)
        rc = make_genesis(&genesis, k->name, err);
    if (rc == 0)
        rc = log_file_create(call->option[LOG_OPT_LOG], bytes_view(&genesis), &heads, err);
    if (rc == 0)
        rc = open_kept(&f, k, call->option[LOG_OPT_LOG], err);
    if (rc == 0)
        log_put_head(result, &k->checker.last);
    return rc;
}

static int append(struct keeper *k, const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_BYTES entry = {0}, receipt = {0};
    CLEAN_LOG_FILE *f = NULL;
    struct log_receipt proof = {.kind = LOG_RECEIPT_INCLUSION};
    int rc = read_keeper(k, call, err);
    if (rc == 0)
        rc = file_read(&entry, call->option[LOG_OPT_ENTRY], LOG_ENTRY_MAX, err);
    if (rc == 0)
        rc = open_kept(&f, k, call->option[LOG_OPT_LOG], err);
    if (rc == 0)
        rc = log_file_append(f, bytes_view(&entry), &proof.inclusion.index, err);
    if (rc == 0)
        rc = log_file_commit(f, err);
    if (rc == 0)
        rc = log_head_read(&k->checker.last, log_file_head(f), err);
    if (rc < 0)
        return rc;
    json_object_set_new(result, "index", json_integer((json_int_t)proof.inclusion.index));
    log_put_head(result, &k->checker.last);
    if (!call->option[LOG_OPT_OUT])
        return 0;
    proof.inclusion.size = log_file_state(f)->size;
    rc = log_tree_prove_inclusion(log_file_tree(f), &proof.inclusion, err);
    if (rc == 0)
        rc = log_receipt_make(&receipt, log_file_head(f), &proof, err);
    return rc < 0 ? rc : file_write(call->option[LOG_OPT_OUT], bytes_view(&receipt), 0644, err);
}

int log_create(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    struct keeper k = {0};
    int rc = create(&k, call, result, err);
    log_checker_free(&k.checker);
    return rc;
}

int log_append(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    struct keeper k = {0};
    int rc = append(&k, call, result, err);
    log_checker_free(&k.checker);
    return rc;
}
