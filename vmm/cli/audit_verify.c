/* cofre audit verify: what a bundle proves, by public keys alone. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/cli/audit.h"
#include "vmm/cli/inspect.h"

static int put_entry(json_t *rows, const struct log_bundle_entry *e, struct cofre_err *err)
{
    json_t *row = NULL;
    struct log_entry read;
    if (!e->entry.data)
        row = json_pack("{s:s}", "entry", "removed");
    else if (log_entry_read(&read, e->entry, NULL) < 0)
        row = json_pack("{s:I}", "bytes", (json_int_t)e->entry.len); /* somebody else's */
    else if (inspect_log_entry.describe(&row, e->entry, err) < 0)
        return -COFRE_MALFORMED;
    if (e->entry.data && json_object_get(row, "guest"))
        json_object_set_new(row, "differs", json_boolean(audit_differs(&read)));
    json_object_set_new(row, "number", json_integer((json_int_t)e->number));
    return json_array_append_new(rows, row) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static void put_witnesses(json_t *result, const struct log_bundle_proven *p)
{
    json_t *names = json_array();
    for (size_t i = 0; i < p->witnesses.count; i++)
        json_array_append_new(names, json_string(p->witnesses.witness[i].head.name));
    json_object_set_new(result, "witnesses", names);
    json_object_set_new(result, "witnessed", json_integer((json_int_t)p->witnessed));
}

/* By what vouches for it, or by its digest. */
#define FILE_NAME_SIZE 80
static int name_file(char out[FILE_NAME_SIZE], struct view data, const struct log_bundle_voucher *voucher,
                     struct cofre_err *err)
{
    uint8_t sha256[LOG_HASH_SIZE];
    char hex[2 * LOG_HASH_SIZE + 1];
    if (EVP_Digest(data.data, data.len, sha256, NULL, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    hex_encode(hex, sha256, sizeof sha256);
    if (voucher->what)
        (void)snprintf(out, FILE_NAME_SIZE, "entry%" PRIu64 "-%s", voucher->number, voucher->what);
    else
        (void)snprintf(out, FILE_NAME_SIZE, "sha256-%s", hex);
    return 0;
}

/* Of a file that no entry has the digest of, nothing is proven. */
static int put_files(json_t *result, const struct log_bundle *b, const struct log_bundle_proven *p,
                     struct cofre_err *err)
{
    json_t *files = json_array();
    int rc = 0;
    for (size_t i = 0; i < b->files && rc == 0; i++) {
        char name[FILE_NAME_SIZE];
        rc = name_file(name, b->file[i].data, &p->voucher[i], err);
        if (rc < 0)
            break;
        json_t *file = json_pack("{s:s, s:b}", "file", name, "named_by_entry", p->voucher[i].what != NULL);
        rc = inspect_put_sha256(file, b->file[i].data, err);
        json_array_append_new(files, file);
    }
    json_object_set_new(result, "files", files);
    return rc;
}

static int put(json_t *result, const struct log_bundle *b, const struct log_bundle_proven *p, bool witnesses,
               struct cofre_err *err)
{
    json_t *rows = json_array();
    int rc = 0;
    log_put_head(result, &p->head);
    json_object_set_new(result, "proves",
                        json_string(b->is_range ? "all entries of a range" : "some entries"));
    if (b->is_range) {
        json_object_set_new(result, "first", json_integer((json_int_t)b->entry[0].number));
        json_object_set_new(result, "last", json_integer((json_int_t)b->entry[b->entries - 1].number));
    }
    if (p->older.state.size)
        json_object_set_new(result, "from", json_integer((json_int_t)p->older.state.size));
    if (witnesses)
        put_witnesses(result, p);
    if (b->files)
        rc = put_files(result, b, p, err);
    json_object_set_new(result, "entries", rows);
    for (size_t i = 0; i < b->entries && rc == 0; i++)
        rc = put_entry(rows, &b->entry[i], err);
    return rc;
}

/* Into a directory of its own, so that nothing is written over. */
static int write_files(const struct log_bundle *b, const struct log_bundle_proven *p, const char *directory,
                       struct cofre_err *err)
{
    int rc = 0;
    if (mkdir(directory, 0755) < 0)
        return cofre_fail(err, COFRE_USAGE, "%s cannot be made: %s", directory, strerror(errno));
    for (size_t i = 0; i < b->files && rc == 0; i++) {
        char path[PATH_MAX], name[FILE_NAME_SIZE];
        rc = name_file(name, b->file[i].data, &p->voucher[i], err);
        if (rc < 0)
            return rc;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
            return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", directory);
        rc = file_write(path, b->file[i].data, 0644, err);
    }
    return rc;
}

static int read_keys(struct cose_keys *keys, struct cose_keys *witness_keys, uint64_t *minimum,
                     const struct audit_call *call, struct cofre_err *err)
{
    const char *witnesses = call->option[AUDIT_WITNESS_KEYS], *least = call->option[AUDIT_MINIMUM];
    *minimum = 1;
    if (least && !witnesses)
        return cofre_fail(err, COFRE_USAGE, "verify: --minimum goes with --witness-keys");
    int rc = log_read_keys(keys, call->option[AUDIT_KEYS], err);
    if (rc == 0 && witnesses)
        rc = log_read_keys(witness_keys, witnesses, err);
    return rc == 0 && least ? number_parse(minimum, least, "--minimum", 1, COSE_KEYS_MAX, err) : rc;
}

/* What a TPM vouches for of it: the heads are this log's by their proofs, which the bundle was verified by. */
static int check_clock(const struct log_bundle *b, const struct log_bundle_proven *p, const char *keys_path,
                       json_t *result, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {0};
    struct log_clock_course course = {0};
    int rc = keys_path ? log_read_tpm_keys(&keys, keys_path, err) : 0;
    for (size_t i = 0; keys_path && rc == 0 && i < b->entries; i++) {
        struct log_entry e;
        if (b->entry[i].growth.data && (rc = log_entry_read(&e, b->entry[i].entry, err)) == 0)
            rc = log_clock_one(&course, b->entry[i].number, &e, &p->head.state.id, &keys, err);
    }
    if (!keys_path || rc < 0)
        return rc;
    log_put_clock(result, &course);
    return log_clock_end(&course, -1, p->head.time, err);
}

int audit_verify_bundle(const struct audit_call *call, json_t *result, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {0}, witness_keys = {0};
    CLEAN_BYTES file = {0};
    CLEAN_LOG_BUNDLE b = {0};
    struct log_bundle_proven p;
    uint64_t minimum;
    const bool witnesses = call->option[AUDIT_WITNESS_KEYS] != NULL;
    int rc = read_keys(&keys, &witness_keys, &minimum, call, err);
    if (rc == 0)
        rc = file_read(&file, call->bundle, LOG_BUNDLE_SIZE_MAX, err);
    if (rc < 0)
        return rc;
    rc = log_bundle_read(&b, bytes_view(&file), err);
    if (rc == 0)
        rc = log_bundle_verify(&p, &b, &keys, witnesses ? &witness_keys : NULL, minimum, err);
    if (rc == 0)
        rc = log_check_id(&p.head, call->option[AUDIT_ID], err);
    if (rc == 0)
        rc = check_clock(&b, &p, call->option[AUDIT_TPM_KEYS], result, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", call->bundle);
    rc = put(result, &b, &p, witnesses, err);
    return rc == 0 && call->option[AUDIT_OUT] ? write_files(&b, &p, call->option[AUDIT_OUT], err) : rc;
}
