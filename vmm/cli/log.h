/* cofre log: what its actions share. Each reads the options that it wants, and puts what it found into a JSON object. */
#ifndef COFRE_CLI_LOG_H
#define COFRE_CLI_LOG_H

#include <jansson.h>

#include "attest/log/clock.h"
#include "attest/log/receipt.h"

enum log_option {
    LOG_OPT_LOG,
    LOG_OPT_KEY,
    LOG_OPT_KEYS,
    LOG_OPT_NAME,
    LOG_OPT_ENTRY,
    LOG_OPT_RECEIPT,
    LOG_OPT_HEAD,
    LOG_OPT_FROM,
    LOG_OPT_ID,
    LOG_OPT_INDEX,
    LOG_OPT_OUT,
    LOG_OPT_ENTRY_OUT,
    LOG_OPT_STATE,
    LOG_OPT_WITNESSES,
    LOG_OPT_WITNESS_KEYS,
    LOG_OPT_MINIMUM,
    LOG_OPT_TPM_KEYS,
    LOG_OPT_SERVER,
    LOG_OPT_CA,
    LOG_OPT_CERT,
    LOG_OPT_TOKEN_FILE,
    LOG_OPTIONS, /* number of them */
};

/* What was given; NULL where it was not. */
struct log_call {
    const char *option[LOG_OPTIONS];
};

/* log_keep.c, log_show.c, log_verify.c, log_witness.c: 0, or an error with its sentence. result: members to be printed. */
int log_create(const struct log_call *call, json_t *result, struct cofre_err *err);
int log_append(const struct log_call *call, json_t *result, struct cofre_err *err);
int log_print_head(const struct log_call *call, json_t *result, struct cofre_err *err);
int log_show(const struct log_call *call, json_t *result, struct cofre_err *err);
int log_prove(const struct log_call *call, json_t *result, struct cofre_err *err);
int log_verify(const struct log_call *call, json_t *result, struct cofre_err *err);
int log_witness(const struct log_call *call, json_t *result, struct cofre_err *err);

/* log_witness.c: what --witnesses, --witness-keys and --minimum ask for, of a log whose head was verified, or without its tree of a
 * head alone. Members witnesses and witnessed of the result. */
int log_check_witnesses(const struct log_call *call, const struct log_head *head, struct log_tree *tree,
                        const struct cose_keys *log_keys, json_t *result, struct cofre_err *err);

/* log_clock.c: what --tpm-keys asks for, of a log that was verified: what a TPM vouches for of it. Members of the result that begin with
 * tpm_. */
int log_check_clock(const struct log_call *call, const struct log_head *head, struct log_file *f,
                    json_t *result, struct cofre_err *err);
/* One entry of a log with this id, whose head is one of the log's. */
int log_clock_one(struct log_clock_course *course, uint64_t number, const struct log_entry *entry,
                  const struct log_hash *id, const struct cose_keys *keys, struct cofre_err *err);
int log_read_tpm_keys(struct cose_keys *out, const char *path, struct cofre_err *err);
void log_put_clock(json_t *result, const struct log_clock_course *course);

/* log_keys.c: a private key for signing, with its id; public keys for verifying, PEM or COSE. A PEM key's id is its
 * thumbprint. */
int log_read_private_key(EVP_PKEY **out, uint8_t kid[COSE_THUMBPRINT_SIZE], const char *path,
                         struct cofre_err *err);
int log_read_keys(struct cose_keys *out, const char *path, struct cofre_err *err);

/* log_show.c: members size, root, time, name and id of a head, also for cofre inspect. */
void log_put_head(json_t *result, const struct log_head *head);
/* Opens a log to read it, every head checked by *keys where check_all; *keys are read from --keys. */
struct log_checker {
    struct cose_keys keys;
    struct log_head last; /* the last head that was checked */
};
void log_checker_free(struct log_checker *c);
#define CLEAN_LOG_CHECKER __attribute__((cleanup(log_checker_free))) struct log_checker
int log_open_to_read(struct log_file **out, struct log_checker *c, const struct log_call *call,
                     bool check_all, struct cofre_err *err);
/* log_verify.c: opens a log to read it, and holds it against what else was given: --id, --head, witnesses. *out is the caller's to close
 * in any case. */
int log_verify_copy(struct log_file **out, struct log_checker *c, const struct log_call *call, bool check_all,
                    json_t *result, struct cofre_err *err);
/* For struct log_heads, with a struct log_checker as its context. */
int log_check_head(void *context, struct view head, const struct log_state *state, struct cofre_err *err);
/* -COFRE_NEGATIVE where id, of --id, is given and another log's. */
int log_check_id(const struct log_head *head, const char *id, struct cofre_err *err);
/* A head from a file, verified by the keys. */
int log_read_head(struct log_head *out, const char *path, const struct cose_keys *keys,
                  struct cofre_err *err);

#endif
