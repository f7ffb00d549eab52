/* cofre audit: what its actions share. */
#ifndef COFRE_CLI_AUDIT_H
#define COFRE_CLI_AUDIT_H

#include <jansson.h>

#include "attest/log/bundle.h"
#include "attest/log/entry.h"
#include "vmm/cli/log.h"

enum audit_option {
    AUDIT_LOG,
    AUDIT_KEYS,
    AUDIT_ID,
    AUDIT_HEAD,
    AUDIT_WITNESSES,
    AUDIT_WITNESS_KEYS,
    AUDIT_MINIMUM,
    AUDIT_TPM_KEYS,
    AUDIT_FIRST,
    AUDIT_LAST,
    AUDIT_ON,
    AUDIT_SINCE,
    AUDIT_UNTIL,
    AUDIT_TENANT,
    AUDIT_GUEST,
    AUDIT_WHO,
    AUDIT_OPERATION,
    AUDIT_OBJECT,
    AUDIT_MEASUREMENT,
    AUDIT_DIGESTS,
    AUDIT_EVIDENCE,
    AUDIT_FROM,
    AUDIT_OUT,
    AUDIT_SERVER,
    AUDIT_CA,
    AUDIT_CERT,
    AUDIT_KEY,
    AUDIT_TOKEN_FILE,
    AUDIT_OPTIONS, /* number of them */
};

struct audit_call {
    const char *option[AUDIT_OPTIONS]; /* NULL: it was not given */
    bool differing;
    const char *file[LOG_BUNDLE_FILES_MAX];
    size_t files;
    const char *bundle; /* of verify */
};

/* audit_filter.c: which entries are asked for. */
#define AUDIT_DIGESTS_MAX 4096
struct audit_filter {
    const struct audit_call *call;
    uint64_t first, last;
    int64_t since, until; /* entries of these seconds, and between */
    struct log_measurement measurement;
    uint8_t evidence[LOG_HASH_SIZE];
    struct audit_digest {
        uint8_t sha256[LOG_HASH_SIZE];
        char name[64]; /* what the list calls it */
    } * digest;
    size_t digests;
};
int audit_filter_read(struct audit_filter *out, const struct audit_call *call, uint64_t size,
                      struct cofre_err *err);
void audit_filter_free(struct audit_filter *filter);
#define CLEAN_AUDIT_FILTER __attribute__((cleanup(audit_filter_free))) struct audit_filter
bool audit_filter_takes(const struct audit_filter *filter, const struct log_entry *entry);
/* What of a launch the list of digests has: "kernel: CVE-2026-1"; NULL: nothing. */
const struct audit_digest *audit_filter_listed(const struct audit_filter *filter,
                                               const struct log_entry *entry, const char **what);
/* It was predicted or expected as something else than was reported, or predicted as something else than expected. */
bool audit_differs(const struct log_entry *entry);

/* audit_ask.c: 0, or an error. result gets the member entries, a list of objects, or those of complete. */
int audit_launches(const struct audit_call *call, json_t *result, struct cofre_err *err);
int audit_operations(const struct audit_call *call, json_t *result, struct cofre_err *err);
int audit_complete(const struct audit_call *call, json_t *result, struct cofre_err *err);
/* The log of --log, whose last head is verified, or all of them; with --id, --head and witnesses where they are given. */
int audit_open(struct log_file **out, struct log_checker *c, const struct audit_call *call, bool check_all,
               json_t *result, struct cofre_err *err);
/* Its entry number `number`; 1: it was removed, or is somebody else's bytes. */
int audit_read(struct log_entry *out, struct bytes *bytes, struct log_file *f, uint64_t number,
               struct cofre_err *err);

/* audit_fetch.c: brings the copy of --log, which is made where there is none, up to what the cofred of --server shows. Nothing is
 * believed: whatever does not come to a head that is signed by --keys, or did not grow out of the copy, is -COFRE_NEGATIVE, and the copy
 * stays as it was. */
int audit_fetch(const struct audit_call *call, struct cofre_err *err);

/* audit_bundle.c, audit_verify.c */
int audit_make_bundle(const struct audit_call *call, json_t *result, struct cofre_err *err);
int audit_verify_bundle(const struct audit_call *call, json_t *result, struct cofre_err *err);

/* audit_table.c: the member entries of result, as lines of columns or as CSV (RFC 4180); its other members as text. */
void audit_print_table(const json_t *result, FILE *out);
void audit_print_csv(const json_t *result, FILE *out);

#endif
