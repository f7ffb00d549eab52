#include "vmm/init/luks_kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/init/luks_header.h"

#define TOKEN 0

/* The caller frees it; NULL where there is none. */
static char *token_text(struct crypt_device *cd)
{
    const char *json;
    if (crypt_token_json_get(cd, TOKEN, &json) < 0)
        return NULL;
    CLEAN_JSON *token = json_loads(json, 0, NULL);
    const char *text = json_string_value(json_object_get(token, LUKS_TOKEN_KEPT));
    return text ? strdup(text) : NULL;
}

int luks_kept_take(struct crypt_device *cd, const char *file, struct cofre_err *err)
{
    char *text = token_text(cd);
    int rc = text ? file_write(file, (struct view){(const uint8_t *)text, strlen(text)}, 0600, err) : 0;
    free(text);
    return rc;
}

static int set_token(struct crypt_device *cd, const char *json, struct cofre_err *err)
{
    int rc = crypt_token_json_set(cd, TOKEN, json);
    return rc < 0 ? cofre_fail(err, COFRE_FAILED, "the disk's header cannot be written: %s", strerror(-rc))
                  : 1;
}

static int keep(struct crypt_device *cd, const struct bytes *file, struct cofre_err *err)
{
    CLEAN_JSON *token = json_pack("{s:s, s:[], s:s%}", "type", LUKS_TOKEN_TYPE, "keyslots", LUKS_TOKEN_KEPT,
                                  (const char *)file->data, file->len);
    char *json = token && file->len <= LUKS_TOKEN_KEPT_MAX ? json_dumps(token, JSON_COMPACT) : NULL;
    int rc = json ? set_token(cd, json, err)
                  : cofre_fail(err, COFRE_FAILED, "what is kept is no text of at most %d bytes",
                               LUKS_TOKEN_KEPT_MAX);
    free(json);
    return rc;
}

int luks_kept_put(struct crypt_device *cd, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    const bool there = access(path, F_OK) == 0;
    int rc = there ? file_read(&file, path, LUKS_TOKEN_KEPT_MAX, err) : 0;
    if (rc < 0)
        return rc;
    char *was = token_text(cd);
    const bool same =
        was ? there && strlen(was) == file.len && memcmp(was, file.data, file.len) == 0 : !there;
    free(was);
    return same ? 0 : there ? keep(cd, &file, err) : set_token(cd, NULL, err);
}
