#include "vmm/image/modules.h"

#include <stdlib.h>
#include <string.h>

/* What it is for, whether the guest does without it (a kernel may lack the means for evidence of a TEE that it is not meant for),
 * and its name. */
static const struct wanted {
    unsigned for_what;
    bool required;
    const char *name;
} wanted[] = {
    {MODULES_ALWAYS, true, "virtio_pci"},
    {MODULES_ALWAYS, true, "virtio_blk"},
    {MODULES_ALWAYS, true, "ext4"},
    {MODULES_ALWAYS, true, "vmw_vsock_virtio_transport"},
    {MODULES_ALWAYS, false, "virtio_console"},
    {MODULES_ALWAYS, false, "virtio_rng"},
    {MODULES_ALWAYS, false, "virtio_net"},
    {MODULES_ALWAYS, false, "pvpanic_pci"},
    {MODULES_ALWAYS, false, "configfs"},
    {MODULES_ALWAYS, false, "tsm"},
    {MODULES_ALWAYS, false, "gcm"}, /* with it sev_guest seals what it asks of the firmware */
    {MODULES_ALWAYS, false, "ghash_generic"},
    {MODULES_ALWAYS, false, "sev_guest"},
    {MODULES_ALWAYS, false, "tdx_guest"},
    {MODULES_VERITY, true, "dm_verity"},
    {MODULES_VERITY | MODULES_LUKS, false, "sha256_generic"},
    {MODULES_VERITY | MODULES_LUKS, false, "sha256_ssse3"},
    {MODULES_LUKS, true, "dm_crypt"},
    {MODULES_LUKS, true, "xts"},
    {MODULES_LUKS, true, "ecb"},
    {MODULES_LUKS, false, "aes_generic"},
    {MODULES_LUKS, false, "aesni_intel"},
    {MODULES_INTEGRITY, true, "dm_integrity"},
    {MODULES_INTEGRITY, true, "authenc"},
    {MODULES_INTEGRITY, true, "hmac"},
};

static bool next_line(struct view *rest, struct view *line)
{
    if (!rest->len)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *line = (struct view){rest->data, len};
    len += end != NULL;
    *rest = (struct view){rest->data + len, rest->len - len};
    return true;
}

static bool next_word(struct view *rest, struct view *word)
{
    while (rest->len && *rest->data == ' ') {
        rest->data++;
        rest->len--;
    }
    const uint8_t *end = rest->len ? memchr(rest->data, ' ', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *word = (struct view){rest->data, len};
    *rest = (struct view){rest->data + len, rest->len - len};
    return len > 0;
}

bool module_name(char out[MODULE_NAME_SIZE], struct view path)
{
    size_t start = path.len;
    while (start && path.data[start - 1] != '/')
        start--;
    const struct view base = {path.data + start, path.len - start};
    for (size_t i = 0; i + 3 <= base.len && i < MODULE_NAME_SIZE; i++) {
        if (memcmp(base.data + i, ".ko", 3) == 0 && (i + 3 == base.len || base.data[i + 3] == '.')) {
            out[i] = '\0';
            return i > 0;
        }
        out[i] = base.data[i] == '-' ? '_' : (char)base.data[i];
    }
    return false;
}

static bool is_module(struct view path, const char *name)
{
    char own[MODULE_NAME_SIZE];
    return module_name(own, path) && strcmp(own, name) == 0;
}

static bool is_builtin(struct view builtin, const char *name)
{
    for (struct view line; next_line(&builtin, &line);)
        if (is_module(line, name))
            return true;
    return false;
}

/* modules.dep has a line for each module, "PATH: PATH...", of what it needs. */
static bool find_line(struct view dep, const char *name, struct view *found, struct view *needs)
{
    for (struct view line; next_line(&dep, &line);) {
        const uint8_t *colon = memchr(line.data, ':', line.len);
        if (!colon)
            continue;
        *found = (struct view){line.data, (size_t)(colon - line.data)};
        *needs = (struct view){colon + 1, line.len - found->len - 1};
        if (is_module(*found, name))
            return true;
    }
    return false;
}

static int append(struct modules *out, struct view path, const char *whose, struct cofre_err *err)
{
    for (size_t i = 0; i < out->count; i++)
        if (strlen(out->path[i]) == path.len && memcmp(out->path[i], path.data, path.len) == 0)
            return 0;
    if (out->count == MODULES_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "%s: modules.dep has the guest load more than %d modules",
                          whose, MODULES_MAX);
    char *own = strndup((const char *)path.data, path.len);
    if (!own)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", whose);
    out->path[out->count++] = own;
    return 0;
}

/* modules.dep names all that a module needs, direct or not, the deepest last. */
static int append_with_needs(struct modules *out, struct view path, struct view needs, const char *whose,
                             struct cofre_err *err)
{
    struct view need[MODULES_MAX];
    size_t count = 0;
    while (next_word(&needs, &need[count]))
        if (++count == MODULES_MAX)
            return cofre_fail(err, COFRE_MALFORMED, "%s: in modules.dep a module needs more than %d others",
                              whose, MODULES_MAX - 1);
    int rc = 0;
    while (rc == 0 && count)
        rc = append(out, need[--count], whose, err);
    return rc < 0 ? rc : append(out, path, whose, err);
}

static int choose(struct modules *out, const struct wanted *w, struct view dep, struct view builtin,
                  const char *whose, struct cofre_err *err)
{
    struct view path, needs;
    if (find_line(dep, w->name, &path, &needs))
        return append_with_needs(out, path, needs, whose, err);
    if (!w->required || is_builtin(builtin, w->name))
        return 0;
    return cofre_fail(err, COFRE_LACKING,
                      "%s: there is no module %s, nor is it in the kernel itself; the guest needs it", whose,
                      w->name);
}

int modules_choose(struct modules *out, struct view dep, struct view builtin, unsigned for_what,
                   const char *whose, struct cofre_err *err)
{
    *out = (struct modules){0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof wanted / sizeof *wanted; i++)
        if (wanted[i].for_what & for_what)
            rc = choose(out, &wanted[i], dep, builtin, whose, err);
    return rc;
}

void modules_free(struct modules *modules)
{
    for (size_t i = 0; i < modules->count; i++)
        free(modules->path[i]);
    modules->count = 0;
}
