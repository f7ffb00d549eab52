/* cofre inspect: logs, and what is given out of them. No signature is verified: cofre log verify does that. */
#include <string.h>

#include "attest/log/clock.h"
#include "attest/log/receipt.h"
#include "vmm/base/timestamp.h"
#include "vmm/cli/inspect.h"
#include "vmm/cli/log.h"

/* A COSE_Sign1 that names the kind of tree its payload is the root of. */
static bool is_over_tree(struct view file, bool detached)
{
    CLEAN_COSE_SIGN1 m = {0};
    return log_head_parse(&m, file, NULL) == 0 && cose_sign1_header(&m, LOG_HEADER_VDS) &&
           m.detached == detached;
}

static bool is_head(struct view file)
{
    return is_over_tree(file, false);
}

static bool is_receipt(struct view file)
{
    return is_over_tree(file, true);
}

/* Who says to have signed it, with the algorithm. */
static void put_signer(json_t *out, struct view file)
{
    CLEAN_COSE_SIGN1 m = {0};
    if (log_head_parse(&m, file, NULL) < 0)
        return;
    struct view kid = cose_sign1_kid(&m);
    json_object_set_new(out, "algorithm", json_string(m.alg->name));
    inspect_put_hex(out, "kid", kid.data, kid.len);
}

static int describe_head(json_t **out, struct view file, struct cofre_err *err)
{
    struct log_head head;
    int rc = log_head_read(&head, file, err);
    if (rc < 0)
        return rc;
    *out = json_object();
    log_put_head(*out, &head);
    put_signer(*out, file);
    return 0;
}

static json_t *path_json(const struct log_path *path)
{
    json_t *list = json_array();
    for (size_t i = 0; i < path->count; i++) {
        char text[2 * LOG_HASH_SIZE + 1];
        hex_encode(text, path->hash[i].data, LOG_HASH_SIZE);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static int describe_receipt(json_t **out, struct view file, struct cofre_err *err)
{
    struct log_receipt receipt;
    int rc = log_receipt_read(&receipt, file, err);
    if (rc < 0)
        return rc;
    bool inclusion = receipt.kind == LOG_RECEIPT_INCLUSION;
    *out = json_object();
    json_object_set_new(*out, "proves", json_string(inclusion ? "inclusion" : "consistency"));
    if (inclusion)
        json_object_set_new(*out, "index", json_integer((json_int_t)receipt.inclusion.index));
    else
        json_object_set_new(*out, "from", json_integer((json_int_t)receipt.consistency.size1));
    log_put_head(*out, &receipt.head);
    json_object_del(*out, "root"); /* the proof gives it */
    put_signer(*out, file);
    json_object_set_new(*out, "path",
                        path_json(inclusion ? &receipt.inclusion.path : &receipt.consistency.path));
    return 0;
}

/* A log's file */

static bool is_file(struct view file)
{
    uint8_t header[LOG_HEADER_SIZE];
    log_header_write(header, 0);
    return file.len >= LOG_HEADER_COMMITTED && memcmp(file.data, header, LOG_HEADER_COMMITTED) == 0;
}

static int describe_file(json_t **out, struct view file, struct cofre_err *err)
{
    struct log_item item;
    struct log_head last;
    struct view head = {0}, content;
    uint64_t committed, entries = 0, removed = 0, heads = 0, place = LOG_HEADER_SIZE;
    if (!log_header_read(&committed, file) || committed > file.len)
        return cofre_fail(err, COFRE_MALFORMED, "it is shorter than what was committed");
    while (place < committed) {
        struct view rest = {file.data + place, (size_t)(committed - place)};
        if (log_item_read(&item, rest, err) <= 0 || !view_sub(rest, item.prefix, item.len, &content))
            return cofre_fail(err, COFRE_MALFORMED, "byte %llu begins no item", (unsigned long long)place);
        head = item.kind == LOG_ITEM_HEAD ? content : head;
        entries += item.kind != LOG_ITEM_HEAD;
        removed += item.kind == LOG_ITEM_REMOVED;
        heads += item.kind == LOG_ITEM_HEAD;
        place += item.prefix + item.len;
    }
    int rc = log_head_read(&last, head, err);
    if (rc < 0)
        return cofre_within(err, rc, "its last head");
    *out = json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)committed, "entries", (json_int_t)entries,
                     "heads", (json_int_t)heads);
    if (removed)
        json_object_set_new(*out, "removed", json_integer((json_int_t)removed));
    log_put_head(*out, &last);
    put_signer(*out, head);
    return 0;
}

/* Entries that Cofre writes */

static bool is_entry(struct view file)
{
    struct log_entry entry;
    return log_entry_read(&entry, file, NULL) == 0;
}

static void describe_genesis(json_t *out, const struct log_entry *entry)
{
    json_object_set_new(out, "name", json_string(entry->name));
    inspect_put_hex(out, "random", entry->random, sizeof entry->random);
}

static void describe_verdict(json_t *out, const struct log_entry *entry)
{
    static const char *const outcomes[] = {
        [LOG_PASSED] = "passed", [LOG_FAILED] = "failed", [LOG_UNJUDGED] = "unjudged"};
    json_object_set_new(out, "outcome", json_string(outcomes[entry->outcome]));
    json_object_set_new(out, "tee", json_string(entry->tee));
    inspect_put_hex(out, "evidence", entry->evidence.data, LOG_HASH_SIZE);
    inspect_put_hex(out, "policy", entry->policy.data, LOG_HASH_SIZE);
    inspect_put_hex(out, "token", entry->token.data, LOG_HASH_SIZE);
}

static void describe_change(json_t *out, const struct log_entry *entry)
{
    json_object_set_new(out, "action", json_string(entry->action));
    json_object_set_new(out, "object", json_string(entry->object));
    json_object_set_new(out, "name", json_string(entry->object_name));
    if (entry->object_version)
        json_object_set_new(out, "version", json_integer(entry->object_version));
    json_object_set_new(out, "actor", json_string(entry->actor));
    inspect_put_hex(out, "digest", entry->digest.data, LOG_HASH_SIZE);
    if (*entry->detail)
        json_object_set_new(out, "detail", json_string(entry->detail));
}

static void put_label(json_t *out, const char *key, const char *text)
{
    if (*text)
        json_object_set_new(out, key, json_string(text));
}

/* What is there of the optional ones, each of which begins with its length. */
static void put_optional(json_t *out, const char *key, const void *value)
{
    const uint8_t *bytes = value;
    char text[2 * LOG_REGISTERS_SIZE + 1];
    hex_encode(text, bytes + 1, bytes[0]);
    put_label(out, key, text);
}

static void describe_operation(json_t *out, const struct log_entry *entry)
{
    static const char *const outcomes[] = {[LOG_OPERATION_ALLOWED] = "allowed",
                                           [LOG_OPERATION_REFUSED] = "refused",
                                           [LOG_OPERATION_FAILED] = "failed",
                                           [LOG_OPERATION_DONE] = "done"};
    json_object_set_new(out, "operation", json_string(entry->operation));
    json_object_set_new(out, "outcome", json_string(outcomes[entry->outcome]));
    json_object_set_new(out, "actor", json_string(entry->subject));
    json_object_set_new(out, "identity", json_string(entry->identity));
    put_label(out, "from", entry->from);
    put_label(out, "tenant", entry->tenant);
    put_label(out, "name", entry->object_name);
    put_label(out, "request", entry->request);
    put_optional(out, "before", &entry->before);
    put_optional(out, "after", &entry->after);
    if (entry->count != 1)
        json_object_set_new(out, "count", json_integer(entry->count));
    put_label(out, "detail", entry->detail);
}

static void describe_launch(json_t *out, const struct log_entry *entry)
{
    static const char *const outcomes[] = {
        [LOG_LAUNCH_RUNS] = "runs", [LOG_LAUNCH_STOPPED] = "stopped", [LOG_LAUNCH_FAILED] = "failed"};
    json_object_set_new(out, "guest", json_integer(entry->guest));
    put_label(out, "tenant", entry->tenant);
    put_label(out, "name", entry->object_name);
    json_object_set_new(out, "outcome", json_string(outcomes[entry->outcome]));
    put_label(out, "tee", entry->tee);
    json_object_set_new(out, "emulated", json_boolean(entry->emulated));
    put_optional(out, "expected", &entry->expected);
    put_optional(out, "predicted", &entry->predicted);
    put_optional(out, "reported", &entry->reported);
    put_optional(out, "predicted_registers", &entry->predicted_registers);
    put_optional(out, "reported_registers", &entry->reported_registers);
    put_optional(out, "kernel", &entry->kernel);
    put_optional(out, "initrd", &entry->initrd);
    put_optional(out, "cmdline", &entry->cmdline);
    put_optional(out, "firmware", &entry->firmware);
    put_optional(out, "id_block", &entry->id_block);
    inspect_put_address(out, "policy", entry->guest_policy);
    put_optional(out, "host_data", &entry->host_data);
    put_optional(out, "evidence", &entry->launch_evidence);
    put_label(out, "request", entry->request);
    put_label(out, "detail", entry->detail);
}

/* What the TPM says, whoever says that it was one. */
static void describe_clock(json_t *out, const struct log_entry *entry)
{
    struct log_clock clock;
    json_object_set_new(out, "attested", json_integer(entry->size));
    inspect_put_hex(out, "root", entry->root.data, LOG_HASH_SIZE);
    inspect_put_hex(out, "tpm_key", entry->tpm_key.data, LOG_HASH_SIZE);
    if (log_clock_read(&clock, (struct view){entry->attest.data, entry->attest.len}, NULL) < 0)
        return;
    json_object_set_new(out, "milliseconds", json_integer((json_int_t)clock.milliseconds));
    json_object_set_new(out, "since_start", json_integer((json_int_t)clock.since_start));
    json_object_set_new(out, "resets", json_integer(clock.resets));
    json_object_set_new(out, "restarts", json_integer(clock.restarts));
    json_object_set_new(out, "safe", json_boolean(clock.safe));
}

static int describe_entry(json_t **out, struct view file, struct cofre_err *err)
{
    static const struct {
        const char *name;
        void (*describe)(json_t *out, const struct log_entry *entry);
    } kinds[] = {[LOG_ENTRY_GENESIS] = {"genesis", describe_genesis},
                 [LOG_ENTRY_VERDICT] = {"verdict", describe_verdict},
                 [LOG_ENTRY_CHANGE] = {"change", describe_change},
                 [LOG_ENTRY_OPERATION] = {"operation", describe_operation},
                 [LOG_ENTRY_LAUNCH] = {"launch", describe_launch},
                 [LOG_ENTRY_CLOCK] = {"clock", describe_clock}};
    struct log_entry entry;
    char time[TIME_TEXT_SIZE];
    int rc = log_entry_read(&entry, file, err);
    if (rc < 0)
        return rc;
    time_format(time, entry.time);
    *out = json_pack("{s:s, s:s}", "entry", kinds[entry.kind].name, "time", time);
    kinds[entry.kind].describe(*out, &entry);
    return 0;
}

const struct artefact_kind inspect_log_file = {"log", is_file, describe_file};
const struct artefact_kind inspect_log_head = {"log head", is_head, describe_head};
const struct artefact_kind inspect_log_receipt = {"log receipt", is_receipt, describe_receipt};
const struct artefact_kind inspect_log_entry = {"log entry", is_entry, describe_entry};
