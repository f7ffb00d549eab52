#include <stdlib.h>
#include <string.h>

#include "vmm/base/number.h"
#include "vmm/devices/net_spec.h"
#include "vmm/devices/vhost_user_device.h"

#define REQUEST_QUEUES_MAX 8 /* of one device */

static bool allowed(const struct vhost_user_kind *kind, const char *name)
{
    bool found = strcmp(name, "socket") == 0;
    for (const char *const *word = kind->allows; *word && !found; word++)
        found = strcmp(name, *word) == 0;
    return found;
}

static int take_word(struct vhost_user_spec *spec, const char *name, char *value, struct cofre_err *err)
{
    uint64_t queues;
    int rc = 0;
    if (strcmp(name, "socket") == 0) {
        spec->path = value;
    } else if (strcmp(name, "mac") == 0) {
        spec->has_mac = true;
        rc = net_mac_parse(spec->mac, value, err);
    } else if (strcmp(name, "queues") == 0) {
        rc = number_parse(&queues, value, "queues", 1, REQUEST_QUEUES_MAX, err);
        spec->queues = (unsigned)queues;
    } else if (strlen(value) > VHOST_USER_TAG_SIZE || !*value) {
        rc = cofre_fail(err, COFRE_USAGE, "tag=%s: a tag has 1 to %d bytes", value, VHOST_USER_TAG_SIZE);
    } else {
        spec->tag = value;
    }
    return rc;
}

static int parse_words(struct vhost_user_spec *spec, char *words, struct cofre_err *err)
{
    char *name = strsep(&words, ",");
    for (spec->kind = vhost_user_kinds; spec->kind->name && strcmp(name, spec->kind->name); spec->kind++)
        continue;
    if (!spec->kind->name)
        return cofre_fail(err, COFRE_USAGE, "%s: there is no such kind; it is block, net or fs", name);
    for (int rc = 0; words;) {
        char *value = strsep(&words, ",");
        name = strsep(&value, "=");
        if (!allowed(spec->kind, name) || !value)
            return cofre_fail(err, COFRE_USAGE, "%s: %s has no such option", name, spec->kind->name);
        rc = take_word(spec, name, value, err);
        if (rc)
            return rc;
    }
    return spec->path ? 0 : cofre_fail(err, COFRE_USAGE, "socket=PATH is needed, where its back end listens");
}

int vhost_user_spec_parse(struct vhost_user_spec *spec, const char *text, struct cofre_err *err)
{
    *spec = (struct vhost_user_spec){.queues = 1, .text = strdup(text)};
    if (!spec->text)
        return cofre_fail(err, COFRE_FAILED, "--vhost-user %s: out of memory", text);
    int rc = parse_words(spec, spec->text, err);
    return rc ? cofre_within(err, rc, "--vhost-user %s", text) : 0;
}
