#include "keys/seal/root_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define LOG_ROOM "keys"
#define VERSION  1

/* The members of a slot: all are there, and no others. */
enum form { COST, HEX, PART };
struct field {
    const char *name;
    enum form form;
    size_t offset, len; /* len: bytes of HEX */
};
static const struct field slot_fields[] = {
    {"cost", COST, offsetof(struct root_slot, cost), 0},
    {"salt", HEX, offsetof(struct root_slot, salt), ROOT_SALT_SIZE},
    {"nonce", HEX, offsetof(struct root_slot, nonce), GCM_NONCE_SIZE},
    {"sealed", HEX, offsetof(struct root_slot, sealed), KEY_ROOT_SIZE + GCM_TAG_SIZE},
    {0},
};
static const struct field tpm_fields[] = {
    {"cost", COST, offsetof(struct root_tpm, cost), 0},
    {"salt", HEX, offsetof(struct root_tpm, salt), ROOT_SALT_SIZE},
    {"owner", HEX, offsetof(struct root_tpm, object.owner), TPM_OWNER_SIZE},
    {"parent", HEX, offsetof(struct root_tpm, object.parent), TPM_PARENT_SIZE},
    {"public", PART, offsetof(struct root_tpm, object.public), 0},
    {"private", PART, offsetof(struct root_tpm, object.private), 0},
    {0},
};

static const struct kind {
    const char *name;
    size_t slot; /* within the file; begins with whether it is there */
    const struct field *fields;
    const char *has; /* for the sentence */
} kinds[SEAL_KINDS] = {
    [SEAL_PASSPHRASE] = {"passphrase", offsetof(struct root_file, slot[SEAL_PASSPHRASE]), slot_fields,
                         "cost, salt, nonce and sealed"},
    [SEAL_RECOVERY] = {"recovery", offsetof(struct root_file, slot[SEAL_RECOVERY]), slot_fields,
                       "cost, salt, nonce and sealed"},
    [SEAL_TPM] = {"tpm", offsetof(struct root_file, tpm), tpm_fields,
                  "cost, salt, owner, parent, public and private"},
};
_Static_assert(offsetof(struct root_slot, there) == 0 && offsetof(struct root_tpm, there) == 0, "there");

const char *seal_kind_name(enum seal_kind kind)
{
    return kinds[kind].name;
}

/* A string with a zero within it is one that hex_decode would end too early. */
static bool read_hex(uint8_t *out, size_t len, const json_t *value)
{
    return json_is_string(value) && json_string_length(value) == 2 * len &&
           hex_decode(out, len, json_string_value(value));
}

static int read_cost(unsigned *out, const char *kind, const json_t *cost, struct cofre_err *err)
{
    const json_int_t power = json_integer_value(cost);
    if (power < SEAL_COST_MIN || power > SEAL_COST_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "the slot \"%s\" has a cost of %lld, where %d to %d can be",
                          kind, (long long)power, SEAL_COST_MIN, SEAL_COST_MAX);
    *out = (unsigned)power;
    return 0;
}

static int read_part(struct tpm_part *out, const struct field *field, const char *kind, const json_t *value,
                     struct cofre_err *err)
{
    const size_t len = json_string_length(value) / 2;
    out->len = (uint16_t)len;
    return len > 0 && len <= TPM_PART_MAX && read_hex(out->data, len, value)
               ? 0
               : cofre_fail(err, COFRE_MALFORMED,
                            "the slot \"%s\": %s is to be up to %d bytes in hexadecimal digits", kind,
                            field->name, TPM_PART_MAX);
}

static int read_field(uint8_t *slot, const struct field *field, const char *kind, const json_t *value,
                      struct cofre_err *err)
{
    void *out = slot + field->offset;
    if (field->form == COST)
        return read_cost(out, kind, value, err);
    if (field->form == PART)
        return read_part(out, field, kind, value, err);
    return read_hex(out, field->len, value)
               ? 0
               : cofre_fail(err, COFRE_MALFORMED,
                            "the slot \"%s\": %s is to be %zu bytes in hexadecimal digits", kind, field->name,
                            field->len);
}

static int parse_slot(struct root_file *out, const struct kind *kind, const json_t *slot,
                      struct cofre_err *err)
{
    uint8_t *to = (uint8_t *)out + kind->slot;
    size_t members = 0;
    while (kind->fields[members].name)
        members++;
    if (!json_is_object(slot) || json_object_size(slot) != members ||
        !json_is_integer(json_object_get(slot, "cost")))
        return cofre_fail(err, COFRE_MALFORMED, "the slot \"%s\" is to have %s alone", kind->name, kind->has);
    for (const struct field *f = kind->fields; f->name; f++) {
        int rc = read_field(to, f, kind->name, json_object_get(slot, f->name), err);
        if (rc < 0)
            return rc;
    }
    *(bool *)to = true;
    return 0;
}

static int parse_slots(struct root_file *out, const json_t *slots, struct cofre_err *err)
{
    size_t found = 0;
    for (size_t i = 0; i < SEAL_KINDS; i++) {
        const json_t *slot = json_object_get(slots, kinds[i].name);
        int rc = slot ? parse_slot(out, &kinds[i], slot, err) : 0;
        if (rc < 0)
            return rc;
        found += slot != NULL;
    }
    if (!out->slot[SEAL_RECOVERY].there)
        return cofre_fail(err, COFRE_MALFORMED, "there is no slot \"recovery\"");
    return json_object_size(slots) == found
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "there are slots of a kind that is not known here");
}

int root_file_parse(struct root_file *out, struct view text, struct cofre_err *err)
{
    CLEAN_JSON *root = NULL;
    *out = (struct root_file){0};
    int rc = json_read(&root, text, COFRE_MALFORMED, err);
    if (rc < 0)
        return rc;
    const json_t *version = json_object_get(root, "cofre_root");
    if (!json_is_integer(version) || json_integer_value(version) != VERSION)
        return cofre_fail(err, COFRE_MALFORMED, "it is no sealed root of version %d", VERSION);
    if (json_object_size(root) != 3 || !read_hex(out->id, sizeof out->id, json_object_get(root, "id")) ||
        !json_is_object(json_object_get(root, "slots")))
        return cofre_fail(err, COFRE_MALFORMED,
                          "it is to have cofre_root, id (%d bytes in hexadecimal digits) and slots alone",
                          ROOT_ID_SIZE);
    return parse_slots(out, json_object_get(root, "slots"), err);
}

int root_file_read(struct root_file *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    int rc = file_read(&text, path, ROOT_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = root_file_parse(out, bytes_view(&text), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static json_t *hex(const uint8_t *data, size_t len)
{
    char digits[2 * TPM_PART_MAX + 1];
    hex_encode(digits, data, len);
    return json_string(digits);
}

static json_t *format_field(const uint8_t *slot, const struct field *field)
{
    const void *from = slot + field->offset;
    const struct tpm_part *part = from;
    if (field->form == COST)
        return json_integer(*(const unsigned *)from);
    return field->form == PART ? hex(part->data, part->len) : hex(from, field->len);
}

/* NULL: there is no memory. */
static char *format(const struct root_file *file)
{
    CLEAN_JSON *root = json_object();
    json_t *slots = json_object();
    bool good = json_object_set_new(root, "cofre_root", json_integer(VERSION)) == 0;
    good = json_object_set_new(root, "id", hex(file->id, sizeof file->id)) == 0 && good;
    for (const struct kind *k = kinds; k < kinds + SEAL_KINDS; k++) {
        const uint8_t *from = (const uint8_t *)file + k->slot;
        if (!*(const bool *)from)
            continue;
        json_t *slot = json_object();
        for (const struct field *f = k->fields; f->name; f++)
            good = json_object_set_new(slot, f->name, format_field(from, f)) == 0 && good;
        good = json_object_set_new(slots, k->name, slot) == 0 && good;
    }
    good = json_object_set_new(root, "slots", slots) == 0 && good;
    return good ? json_dumps(root, JSON_INDENT(2)) : NULL;
}

int root_file_lock(const char *path, struct cofre_err *err)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const int len = slash == path ? 1 : slash ? (int)(slash - path) : 1;
    if (snprintf(directory, sizeof directory, "%.*s", len, slash ? path : ".") >= (int)sizeof directory)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", path);
    CLEAN_FD fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cofre_fail(err, COFRE_USAGE, "%s: cannot be opened: %s", directory, strerror(errno));
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "%s: cannot be locked: %s", directory, strerror(errno));
    return TAKE_FD(fd);
}

static bool put(int fd, const char *text)
{
    for (size_t left = strlen(text); left;) {
        const ssize_t n = write(fd, text, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        text += n;
        left -= (size_t)n;
    }
    return fsync(fd) == 0;
}

/* The lock makes the name ours: what lies there is of somebody who was killed. */
static int put_beside(const char *beside, const char *text, struct cofre_err *err)
{
    if (unlink(beside) < 0 && errno != ENOENT)
        return cofre_fail(err, COFRE_FAILED, "%s: cannot be removed: %s", beside, strerror(errno));
    CLEAN_FD fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: cannot be made: %s", beside, strerror(errno));
    if (put(fd, text))
        return 0;
    int rc = cofre_fail(err, COFRE_FAILED, "%s: cannot be written: %s", beside, strerror(errno));
    unlink(beside);
    return rc;
}

int root_file_check_new(const char *path, struct cofre_err *err)
{
    struct stat st;
    return lstat(path, &st) < 0 && errno == ENOENT
               ? 0
               : cofre_fail(err, COFRE_USAGE, "%s: is there already; a root is not made over another", path);
}

int root_file_write(const struct root_file *file, const char *path, int directory, bool anew,
                    struct cofre_err *err)
{
    char beside[PATH_MAX];
    CLEAN_FREE char *text = format(file);
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", path);
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", path);
    int rc = anew ? root_file_check_new(path, err) : 0;
    if (rc == 0)
        rc = put_beside(beside, text, err);
    if (rc < 0)
        return rc;
    if (rename(beside, path) == 0) {
        /* It is replaced, whatever comes now: who made a secret for it must have that. */
        if (fsync(directory) < 0)
            log_warn("%s is replaced, which may not survive a power cut: %s", path, strerror(errno));
        return 0;
    }
    rc = cofre_fail(err, COFRE_FAILED, "%s: cannot be replaced: %s", path, strerror(errno));
    unlink(beside);
    return rc;
}
