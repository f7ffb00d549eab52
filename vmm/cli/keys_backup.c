/* cofre keys: all keys of a service in one file, and back. What the file holds only the service's root opens. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys/message.h"
#include "keys/seal/root_file.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/keys.h"

#define BACKUP_MAX (16u << 20) /* bytes: more than a service takes */

static int read_backup(json_t **out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, BACKUP_MAX, err);
    if (rc < 0)
        return rc;
    rc = json_read(out, bytes_view(&file), COFRE_MALFORMED, err);
    if (rc == 0 && !json_object_get(*out, "cofre_keys_backup"))
        rc = cofre_fail(err, COFRE_MALFORMED, "there is no cofre_keys_backup in it");
    return rc < 0 ? cofre_within(err, rc, "%s: it is no backup, or not whole", path) : 0;
}

/* A backup that is told of is there after a power cut. */
static int write_durably(const char *path, struct view text, struct cofre_err *err)
{
    CLEAN_FREE char *copy = strdup(path);
    int rc = copy ? file_write(path, text, 0600, err) : cofre_fail(err, COFRE_FAILED, "out of memory");
    if (rc < 0 || strcmp(path, "-") == 0)
        return rc;
    CLEAN_FD folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder >= 0 && fsync(folder) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "%s: its folder cannot be synced: %s", path, strerror(errno));
}

int keys_backup(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    static const char *const told[] = {"id", "made", "generation", "count"};
    CLEAN_JSON *backup = NULL;
    int rc = trust_call(&backup, &call->service, "POST", "/v1/keys-backup", NULL, err);
    if (rc < 0)
        return rc;
    CLEAN_FREE char *text = json_dumps(backup, JSON_INDENT(2));
    rc = text ? write_durably(call->option[KEYS_OUT], key_message_text(text), err)
              : cofre_fail(err, COFRE_FAILED, "out of memory");
    *answer = json_object();
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        json_object_set(*answer, told[i], json_object_get(backup, told[i]));
    json_object_set_new(*answer, "opened_by",
                        json_string(json_object_get(backup, "root") ? "the root, or its recovery passphrase"
                                                                    : "the root, which is not in it"));
    return rc;
}

int keys_restore(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    CLEAN_JSON *backup = NULL;
    int rc = read_backup(&backup, call->option[KEYS_IN], err);
    if (rc < 0)
        return rc;
    CLEAN_JSON *body = json_pack("{s:O}", "backup", backup);
    if (call->option[KEYS_AS_THEY_WERE])
        json_object_set_new(body, "as_they_were", json_true());
    if (call->option[KEYS_REVIVE])
        json_object_set_new(body, "revive", json_string(call->option[KEYS_REVIVE]));
    return trust_call(answer, &call->service, "POST", "/v1/keys-restore", body, err);
}

/* What opens is the recovery passphrase, so nothing of it is checked here but its form. */
int keys_root_restore(const struct keys_call *call, json_t **answer, struct cofre_err *err)
{
    struct root_file content;
    CLEAN_JSON *backup = NULL;
    const char *to = call->option[KEYS_ROOT];
    int rc = read_backup(&backup, call->option[KEYS_IN], err);
    if (rc < 0)
        return rc;
    const json_t *root = json_object_get(backup, "root");
    if (!root)
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "%s: there is no root in it: the service that made it had its root in no sealed file",
            call->option[KEYS_IN]);
    CLEAN_FREE char *text = json_dumps(root, 0);
    rc = text ? root_file_parse(&content, key_message_text(text), err)
              : cofre_fail(err, COFRE_FAILED, "out of memory");
    if (rc < 0)
        return cofre_within(err, rc, "%s: root", call->option[KEYS_IN]);
    CLEAN_FD directory = root_file_lock(to, err);
    if (directory < 0)
        return directory;
    rc = root_file_write(&content, to, directory, true, err);
    *answer = rc < 0 ? NULL : json_pack("{s:s, s:s}", "root", to, "opened_by", "its recovery passphrase");
    return rc;
}
