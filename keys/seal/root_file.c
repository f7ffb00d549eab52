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

const char *const seal_kind_names[] = {"passphrase", "recovery"};

/* The binary members of a slot. */
static const struct field {
    const char *name;
    size_t offset, len;
} fields[] = {
    {"salt", offsetof(struct root_slot, salt), ROOT_SALT_SIZE},
    {"nonce", offsetof(struct root_slot, nonce), GCM_NONCE_SIZE},
    {"sealed", offsetof(struct root_slot, sealed), KEY_ROOT_SIZE + GCM_TAG_SIZE},
};
#define FIELDS (sizeof fields / sizeof *fields)

/* A string with a zero within it is one that hex_decode would end too early. */
static bool read_hex(uint8_t *out, size_t len, const json_t *value)
{
    return json_is_string(value) && json_string_length(value) == 2 * len &&
           hex_decode(out, len, json_string_value(value));
}

static int parse_slot(struct root_slot *out, const char *name, const json_t *slot, struct cofre_err *err)
{
    const json_t *cost = json_object_get(slot, "cost");
    if (!json_is_object(slot) || json_object_size(slot) != FIELDS + 1 || !json_is_integer(cost))
        return cofre_fail(err, COFRE_MALFORMED,
                          "the slot \"%s\" is to have cost, salt, nonce and sealed alone", name);
    const json_int_t power = json_integer_value(cost);
    if (power < SEAL_COST_MIN || power > SEAL_COST_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "the slot \"%s\" has a cost of %lld, where %d to %d can be",
                          name, (long long)power, SEAL_COST_MIN, SEAL_COST_MAX);
    out->cost = (unsigned)power;
    for (size_t i = 0; i < FIELDS; i++)
        if (!read_hex((uint8_t *)out + fields[i].offset, fields[i].len,
                      json_object_get(slot, fields[i].name)))
            return cofre_fail(err, COFRE_MALFORMED,
                              "the slot \"%s\": %s is to be %zu bytes in hexadecimal digits", name,
                              fields[i].name, fields[i].len);
    out->there = true;
    return 0;
}

static int parse_slots(struct root_file *out, const json_t *slots, struct cofre_err *err)
{
    size_t found = 0;
    for (size_t i = 0; i < SEAL_KINDS; i++) {
        const json_t *slot = json_object_get(slots, seal_kind_names[i]);
        int rc = slot ? parse_slot(&out->slot[i], seal_kind_names[i], slot, err) : 0;
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
    char digits[2 * sizeof(struct root_slot) + 1];
    hex_encode(digits, data, len);
    return json_string(digits);
}

/* NULL: there is no memory. */
static char *format(const struct root_file *file)
{
    CLEAN_JSON *root = json_object();
    json_t *slots = json_object();
    bool good = json_object_set_new(root, "cofre_root", json_integer(VERSION)) == 0;
    good = json_object_set_new(root, "id", hex(file->id, sizeof file->id)) == 0 && good;
    for (size_t i = 0; i < SEAL_KINDS; i++) {
        const struct root_slot *from = &file->slot[i];
        if (!from->there)
            continue;
        json_t *slot = json_object();
        good = json_object_set_new(slot, "cost", json_integer(from->cost)) == 0 && good;
        for (size_t k = 0; k < FIELDS; k++)
            good = json_object_set_new(slot, fields[k].name,
                                       hex((const uint8_t *)from + fields[k].offset, fields[k].len)) == 0 &&
                   good;
        good = json_object_set_new(slots, seal_kind_names[i], slot) == 0 && good;
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

int root_file_write(const struct root_file *file, const char *path, int directory, bool anew,
                    struct cofre_err *err)
{
    char beside[PATH_MAX];
    struct stat st;
    CLEAN_FREE char *text = format(file);
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", path);
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", path);
    if (anew && (lstat(path, &st) == 0 || errno != ENOENT))
        return cofre_fail(err, COFRE_USAGE, "%s: is there already; a root is not made over another", path);
    int rc = put_beside(beside, text, err);
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
