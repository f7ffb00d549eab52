/* cofre log witness: a second party signs heads that it has seen grow. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attest/log/witness.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/cli/log_fetch.h"

#define RECEIPT_MAX    65536
#define SIGNATURES_MAX (64 * LOG_HEAD_MAX)

/* What is shown, and what was seen last. */
struct sight {
    struct log_checker checker;
    struct log_file *log; /* NULL: a head alone was shown */
    struct host_run run;  /* a cofred that is asked, where there is one */
    struct bytes message;
    struct log_head seen, known;
    bool first; /* nothing was seen before */
};

static void sight_free(struct sight *s)
{
    log_file_close(s->log);
    bytes_free(&s->message);
    log_checker_free(&s->checker);
}
#define CLEAN_SIGHT __attribute__((cleanup(sight_free))) struct sight

/* Two that ran at once could sign two futures of one head. */
static int lock_state(int *fd, const char *state, struct cofre_err *err)
{
    char path[PATH_MAX];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if ((size_t)snprintf(path, sizeof path, "%s.lock", state) >= sizeof path)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", state);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0 || fcntl(*fd, F_OFD_SETLKW, &whole) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s cannot be locked: %s", path, strerror(errno));
    return 0;
}

static int read_known(struct sight *s, const struct log_call *call, struct cofre_err *err)
{
    const char *state = call->option[LOG_OPT_STATE];
    s->first = access(state, F_OK) < 0 && errno == ENOENT;
    if (s->first && !call->option[LOG_OPT_ID])
        return cofre_fail(err, COFRE_USAGE,
                          "%s is not there: for a log that is seen for the first time, --id says which it is",
                          state);
    return s->first ? 0 : log_read_head(&s->known, state, &s->checker.keys, err);
}

static int read_seen(struct sight *s, const struct log_call *call, struct cofre_err *err)
{
    const char *const *given = call->option, *head = given[LOG_OPT_HEAD];
    struct log_call open = *call;
    open.option[LOG_OPT_ID] = NULL; /* it is checked below, of both */
    if (given[LOG_OPT_LOG]) {
        int rc = log_open_to_read(&s->log, &s->checker, &open, true, err);
        s->seen = s->checker.last;
        return rc < 0 ? rc : bytes_copy(&s->message, log_file_head(s->log), err);
    }
    int rc = log_read_keys(&s->checker.keys, call->option[LOG_OPT_KEYS], err);
    if (rc == 0 && given[LOG_OPT_SERVER]) {
        s->run.server.url = given[LOG_OPT_SERVER];
        s->run.server.ca = given[LOG_OPT_CA];
        s->run.server.cert = given[LOG_OPT_CERT];
        s->run.server.token_file = given[LOG_OPT_TOKEN_FILE];
        return log_fetch_head(&s->message, &s->seen, &s->run, &s->checker.keys, err);
    }
    if (rc == 0)
        rc = log_read_head(&s->seen, head, &s->checker.keys, err);
    return rc < 0 ? rc : file_read(&s->message, head, LOG_HEAD_MAX, err);
}

static int check_by_log(struct sight *s, struct cofre_err *err)
{
    struct log_hash root;
    int rc = log_tree_root(log_file_tree(s->log), s->known.state.size, &root, err);
    if (rc == 0 && !log_hash_equal(&root, &s->known.state.root))
        rc = log_witness_fork(&s->known, &s->seen, err);
    return rc;
}

static int check_by_receipt(struct sight *s, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES receipt = {0};
    struct log_receipt proof;
    if (!path)
        return cofre_fail(
            err, COFRE_USAGE,
            "witness: with --head, --receipt is of the growth from the head that was seen last");
    int rc = file_read(&receipt, path, RECEIPT_MAX, err);
    if (rc == 0)
        rc = log_receipt_verify_consistency(&proof, bytes_view(&receipt), &s->known, &s->checker.keys, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", path);
    return proof.head.state.size == s->seen.state.size &&
                   log_hash_equal(&proof.head.state.root, &s->seen.state.root)
               ? 0
               : log_witness_fork(&s->known, &s->seen, err);
}

/* The path is cofred's; that it leads from the one root to the other is seen here. */
static int check_by_server(struct sight *s, struct cofre_err *err)
{
    struct log_consistency proof = {.size1 = s->known.state.size, .size2 = s->seen.state.size};
    struct log_hash newer;
    int rc = log_fetch_growth(&proof, &s->run, err);
    if (rc < 0)
        return rc;
    return log_consistency_root(&newer, &proof, &s->known.state.root, err) == 0 &&
                   log_hash_equal(&newer, &s->seen.state.root)
               ? 0
               : log_witness_fork(&s->known, &s->seen, err);
}

static int check_growth(struct sight *s, const struct log_call *call, struct cofre_err *err)
{
    int rc = log_check_id(&s->seen, call->option[LOG_OPT_ID], err);
    if (rc < 0 || s->first)
        return rc;
    rc = log_witness_compare(&s->known, &s->seen, err);
    if (rc < 0 || s->known.state.size == s->seen.state.size)
        return rc;
    if (s->log)
        return check_by_log(s, err);
    return call->option[LOG_OPT_SERVER] ? check_by_server(s, err)
                                        : check_by_receipt(s, call->option[LOG_OPT_RECEIPT], err);
}

static int sign(struct bytes *out, const struct sight *s, const struct log_call *call, struct cofre_err *err)
{
    CLEAN(pkey) EVP_PKEY *key = NULL;
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    const char *name = call->option[LOG_OPT_NAME];
    struct log_head head = {.state = s->seen.state, .time = time(NULL)};
    if (*name == 0 || strlen(name) > LOG_NAME_MAX)
        return cofre_fail(err, COFRE_USAGE, "--name has 1 to %d bytes", LOG_NAME_MAX);
    strcpy(head.name, name);
    int rc = log_read_private_key(&key, kid, call->option[LOG_OPT_KEY], err);
    for (size_t i = 0; rc == 0 && i < s->checker.keys.count; i++)
        if (EVP_PKEY_eq(key, s->checker.keys.key[i].key) == 1)
            rc = cofre_fail(err, COFRE_USAGE, "--key is a key of the log itself, whose keeper is no witness");
    return rc < 0 ? rc : log_head_sign(out, &head, key, (struct view){kid, sizeof kid}, err);
}

/* What was seen is on the disk before the signature is anybody's. */
int log_witness(const struct log_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_SIGHT s = {0};
    CLEAN_BYTES signature = {0};
    CLEAN_FD fd = -1;
    if (!!call->option[LOG_OPT_LOG] + !!call->option[LOG_OPT_HEAD] + !!call->option[LOG_OPT_SERVER] != 1)
        return cofre_fail(err, COFRE_USAGE, "witness: one of --log, --head and --server");
    if (!call->option[LOG_OPT_SERVER] &&
        (call->option[LOG_OPT_CA] || call->option[LOG_OPT_CERT] || call->option[LOG_OPT_TOKEN_FILE]))
        return cofre_fail(err, COFRE_USAGE, "witness: --ca, --cert and --token-file go with --server");
    int rc = lock_state(&fd, call->option[LOG_OPT_STATE], err);
    if (rc == 0)
        rc = read_seen(&s, call, err);
    if (rc == 0)
        rc = read_known(&s, call, err);
    if (rc == 0)
        rc = check_growth(&s, call, err);
    if (rc == 0)
        rc = sign(&signature, &s, call, err);
    if (rc == 0)
        rc = file_write(call->option[LOG_OPT_STATE], bytes_view(&s.message), 0600, err);
    if (rc == 0)
        rc = file_write(call->option[LOG_OPT_OUT], bytes_view(&signature), 0644, err);
    if (rc < 0)
        return rc;
    if (!s.first)
        json_object_set_new(result, "from", json_integer((json_int_t)s.known.state.size));
    log_put_head(result, &s.seen);
    return 0;
}

/* For verify */

static int check_witness(const struct log_witness *w, const struct log_head *head, struct log_tree *tree,
                         struct cofre_err *err)
{
    struct log_hash root = head->state.root;
    const struct log_state *signed_state = &w->head.state;
    if (!log_hash_equal(&signed_state->id, &head->state.id))
        return cofre_fail(err, COFRE_NEGATIVE, "%s signed the head of another log", w->head.name);
    if (signed_state->size > head->state.size)
        return cofre_fail(err, COFRE_NEGATIVE, "%s has seen %llu entries, of which the log has only %llu",
                          w->head.name, (unsigned long long)signed_state->size,
                          (unsigned long long)head->state.size);
    if (signed_state->size < head->state.size && !tree)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "%s has seen %llu entries, and the receipt's head is over %llu", w->head.name,
                          (unsigned long long)signed_state->size, (unsigned long long)head->state.size);
    int rc = tree ? log_tree_root(tree, signed_state->size, &root, err) : 0;
    if (rc == 0 && !log_hash_equal(&root, &signed_state->root))
        rc = log_witness_fork(&w->head, head, err);
    return rc;
}

static int check_all(const struct log_witnesses *w, const struct log_head *head, struct log_tree *tree,
                     json_t *result, struct cofre_err *err)
{
    json_t *names = json_array();
    int rc = 0;
    for (size_t i = 0; i < w->count && rc == 0; i++) {
        rc = check_witness(&w->witness[i], head, tree, err);
        json_array_append_new(names, json_string(w->witness[i].head.name));
    }
    json_object_set_new(result, "witnesses", names);
    return rc;
}

int log_check_witnesses(const struct log_call *call, const struct log_head *head, struct log_tree *tree,
                        const struct cose_keys *log_keys, json_t *result, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {0};
    CLEAN_BYTES file = {0};
    struct log_witnesses w;
    uint64_t minimum = 1, size = 0;
    const char *path = call->option[LOG_OPT_WITNESSES], *least = call->option[LOG_OPT_MINIMUM];
    if (!path != !call->option[LOG_OPT_WITNESS_KEYS] || (!path && least))
        return cofre_fail(err, COFRE_USAGE, "verify: --witnesses goes with --witness-keys");
    if (!path)
        return 0;
    int rc = least ? number_parse(&minimum, least, "--minimum", 1, COSE_KEYS_MAX, err) : 0;
    if (rc == 0)
        rc = log_read_keys(&keys, call->option[LOG_OPT_WITNESS_KEYS], err);
    if (rc == 0)
        rc = file_read(&file, path, SIGNATURES_MAX, err);
    if (rc < 0)
        return rc;
    rc = log_witnesses_read(&w, bytes_view(&file), &keys, log_keys, err);
    if (rc == 0)
        rc = check_all(&w, head, tree, result, err);
    if (rc == 0)
        rc = log_witnesses_cover(&size, &w, minimum, err);
    if (rc == 0)
        json_object_set_new(result, "witnessed", json_integer((json_int_t)size));
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}
