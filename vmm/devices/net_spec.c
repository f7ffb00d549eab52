#include "vmm/devices/net_spec.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/number.h"

#define DESCRIPTOR_MAX 1048576

static int set_kind(struct net_spec *out, enum net_kind kind, struct cofre_err *err)
{
    if (out->kind)
        return cofre_fail(err, COFRE_USAGE, "one of tap, tap-fd and passt is enough");
    out->kind = kind;
    return 0;
}

static int take_tap(struct net_spec *out, const char *value, struct cofre_err *err)
{
    if (!value || !*value || strlen(value) >= IFNAMSIZ || strchr(value, '/'))
        return cofre_fail(err, COFRE_USAGE, "tap: the name of a network interface is needed, up to %d bytes",
                          IFNAMSIZ - 1);
    strcpy(out->name, value);
    return set_kind(out, NET_KIND_TAP, err);
}

static int take_tap_fd(struct net_spec *out, const char *value, struct cofre_err *err)
{
    CLEAN_FREE char *list = strdup(value ? value : "");
    unsigned n = 0;
    char *rest = list;
    while (rest) {
        const char *one = strsep(&rest, ":");
        uint64_t fd;
        int rc = number_parse(&fd, one, "tap-fd", 3, DESCRIPTOR_MAX, err);
        if (rc)
            return rc;
        for (unsigned i = 0; i < n; i++)
            if (out->fd[i] == (int)fd)
                return cofre_fail(err, COFRE_USAGE, "tap-fd: descriptor %s is named twice", one);
        if (n == NET_PAIRS_MAX)
            return cofre_fail(err, COFRE_USAGE, "tap-fd: at most %d descriptors", NET_PAIRS_MAX);
        out->fd[n++] = (int)fd;
    }
    if (out->pairs && out->pairs != n)
        return cofre_fail(err, COFRE_USAGE, "tap-fd: %u descriptors for %u queues", n, out->pairs);
    out->pairs = n;
    return set_kind(out, NET_KIND_TAP_FD, err);
}

static int take_passt(struct net_spec *out, const char *value, struct cofre_err *err)
{
    if (value && (!*value || strlen(value) >= sizeof((struct sockaddr_un *)0)->sun_path))
        return cofre_fail(err, COFRE_USAGE, "passt: a socket's path has 1 to %zu bytes",
                          sizeof((struct sockaddr_un *)0)->sun_path - 1);
    if (value)
        strcpy(out->name, value);
    return set_kind(out, NET_KIND_PASST, err);
}

int net_mac_parse(uint8_t mac[NET_MAC_LEN], const char *text, struct cofre_err *err)
{
    bool good = text && strlen(text) == 3 * NET_MAC_LEN - 1;
    unsigned any = 0;
    for (unsigned i = 0; i < NET_MAC_LEN && good; i++) {
        const char pair[] = {text[3 * i], text[3 * i + 1], 0};
        good = hex_decode(&mac[i], 1, pair) && (text[3 * i + 2] == ':' || !text[3 * i + 2]);
        any |= mac[i];
    }
    if (!good)
        return cofre_fail(err, COFRE_USAGE,
                          "mac: it is written as six pairs of hexadecimal digits, 02:00:00:00:00:01");
    if ((mac[0] & 1) || !any)
        return cofre_fail(err, COFRE_USAGE, "mac: %s is no address of one machine", text);
    return 0;
}

static int take_mac(struct net_spec *out, const char *value, struct cofre_err *err)
{
    out->has_mac = true;
    return net_mac_parse(out->mac, value, err);
}

static int take_queues(struct net_spec *out, const char *value, struct cofre_err *err)
{
    uint64_t pairs;
    int rc = number_parse(&pairs, value ? value : "", "queues", 1, NET_PAIRS_MAX, err);
    if (rc)
        return rc;
    if (out->pairs && out->pairs != pairs)
        return cofre_fail(err, COFRE_USAGE, "queues: %s, but %u descriptors", value, out->pairs);
    out->pairs = (unsigned)pairs;
    return 0;
}

static int take_vhost(struct net_spec *out, const char *value, struct cofre_err *err)
{
    if (!value || (strcmp(value, "on") && strcmp(value, "off")))
        return cofre_fail(err, COFRE_USAGE, "vhost: on or off");
    out->vhost = strcmp(value, "on") == 0 ? NET_REQUIRED : NET_NEVER;
    return 0;
}

static const struct {
    const char *name;
    int (*take)(struct net_spec *out, const char *value, struct cofre_err *err);
} keys[] = {
    {"tap", take_tap}, {"tap-fd", take_tap_fd}, {"passt", take_passt},
    {"mac", take_mac}, {"queues", take_queues}, {"vhost", take_vhost},
};

static int take(struct net_spec *out, char *part, struct cofre_err *err)
{
    char *value = part;
    const char *name = strsep(&value, "=");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].name, name) == 0)
            return keys[i].take(out, value, err);
    return cofre_fail(err, COFRE_USAGE,
                      "%s: there is no such part; it has tap, tap-fd, passt, mac, queues, vhost", name);
}

int net_spec_parse(struct net_spec *out, const char *spec, struct cofre_err *err)
{
    *out = (struct net_spec){0};
    CLEAN_FREE char *copy = strdup(spec);
    char *rest = copy;
    int rc = copy ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
    while (rest && rc == 0)
        rc = take(out, strsep(&rest, ","), err);
    if (rc)
        return rc;
    if (!out->kind)
        return cofre_fail(err, COFRE_USAGE, "one of tap=NAME, tap-fd=N and passt is needed");
    if (out->kind == NET_KIND_PASST && (out->pairs > 1 || out->vhost == NET_REQUIRED))
        return cofre_fail(err, COFRE_USAGE, "passt: it has one pair of queues and no vhost");
    if (!out->pairs)
        out->pairs = 1;
    return 0;
}
