/* A guest's definition as hands wants it. What a schema cannot see is refused here. */
#include <stdio.h>
#include <string.h>

#include "vmm/base/number.h"
#include "vmm/host/decide/parts.h"
#include "vmm/host/interface/schemas.h"

static int hex_member(uint8_t *out, size_t size, const json_t *object, const char *name, uint32_t bit,
                      uint32_t *given, struct cofre_err *err)
{
    const char *text = member_text(object, name, NULL);
    if (!text)
        return 0;
    *given |= bit;
    return hex_decode(out, size, text)
               ? 0
               : cofre_fail(err, COFRE_USAGE, "%s: this is not %zu bytes in hexadecimal", name, size);
}

static int set_cpus(struct hands_limits *out, const char *list, struct cofre_err *err)
{
    for (const char *at = list; *at;) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (last >= HANDS_CPUS_MAX)
            return cofre_fail(err, COFRE_USAGE, "cpus: a host has CPUs 0 to %d here, and %lu is none of them",
                              HANDS_CPUS_MAX - 1, last);
        for (; first <= last; first++)
            out->cpus[first / 64] |= UINT64_C(1) << first % 64;
        at = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            return cofre_fail(err, COFRE_USAGE, "cpus: \"%s\" is no list of CPUs", list);
    }
    return 0;
}

int definition_to_limits(struct hands_limits *out, const json_t *limits, struct cofre_err *err)
{
    const json_t *disk = member_at(limits, "disk"), *network = member_at(limits, "network");
    const uint64_t node = member_unsigned(limits, "numa_node", UINT64_MAX);
    *out = (struct hands_limits){
        .cpu_weight = (uint32_t)member_unsigned(limits, "cpu_weight", 0),
        .cpu_quota = (uint32_t)member_unsigned(limits, "cpu_quota", 0),
        .node = node == UINT64_MAX ? 0 : (uint32_t)node + 1,
        .processes = (uint32_t)member_unsigned(limits, "processes", 0),
        .memory = member_unsigned(limits, "memory", 0),
        .read_bytes = member_unsigned(disk, "read_bytes", 0),
        .write_bytes = member_unsigned(disk, "write_bytes", 0),
        .read_operations = member_unsigned(disk, "read_operations", 0),
        .write_operations = member_unsigned(disk, "write_operations", 0),
        .disk_burst = member_unsigned(disk, "burst", 0),
        .network_in = member_unsigned(network, "in", 0),
        .network_out = member_unsigned(network, "out", 0),
    };
    const char *cpus = member_text(limits, "cpus", NULL);
    return cpus ? set_cpus(out, cpus, err) : 0;
}

static int bridge_of(uint32_t *out, const char *name, const struct decider_config *config,
                     struct cofre_err *err)
{
    for (*out = 0; config->bridge[*out]; (*out)++)
        if (strcmp(config->bridge[*out], name) == 0)
            return 0;
    return cofre_fail(err, COFRE_USAGE, "networks: this host has no bridge \"%s\" for guests", name);
}

static int set_networks(struct hands_start *out, const json_t *list, const struct decider_config *config,
                        struct cofre_err *err)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        struct hands_network *network = &out->network[out->networks++];
        const char *bridge = member_text(one, "bridge", NULL);
        network->kind = bridge ? HANDS_TAP : HANDS_PASST;
        int rc = bridge ? bridge_of(&network->bridge, bridge, config, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void set_disks(struct hands_start *out, const json_t *list)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        struct hands_disk *disk = &out->disk[out->disks++];
        disk->read_only =
            member_at(one, "image") && strcmp(member_text(one, "mode", "read-only"), "copy") != 0;
        const char *serial = member_text(one, "serial", "");
        memcpy(disk->serial, serial, strnlen(serial, sizeof disk->serial - 1));
    }
}

static int set_expected(struct hands_start *out, const json_t *expect, struct cofre_err *err)
{
    const json_t *registers = member_at(expect, "rtmr");
    int rc =
        hex_member(out->expect, sizeof out->expect, expect, "measurement", HANDS_EXPECT, &out->given, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(registers); i++) {
        out->given |= HANDS_RTMR0 << i;
        if (!hex_decode(out->rtmr[i], sizeof out->rtmr[i], json_string_value(json_array_get(registers, i))))
            rc = cofre_fail(err, COFRE_USAGE, "expect.rtmr[%zu]: this is not 48 bytes in hexadecimal", i);
    }
    return rc;
}

static uint32_t pages_of(uint64_t page)
{
    for (uint32_t pages = HANDS_PAGES_2M; pages <= HANDS_PAGES_1G; pages++)
        if (page == hands_page_size(pages))
            return pages;
    return HANDS_PAGES_USUAL;
}

int definition_to_start(struct hands_start *out, const json_t *definition,
                        const struct decider_config *config, struct cofre_err *err)
{
    const char *tee = member_text(definition, "tee", "none");
    *out = (struct hands_start){
        .tee = strcmp(tee, "snp") == 0   ? HANDS_TEE_SNP
               : strcmp(tee, "tdx") == 0 ? HANDS_TEE_TDX
                                         : HANDS_TEE_NONE,
        .emulated = member_boolean(definition, "emulated", false),
        .cpus = (uint32_t)member_unsigned(definition, "cpus", 1),
        .vsock = member_boolean(definition, "vsock", false),
        .memory = member_unsigned(definition, "memory", 0),
        .pages = pages_of(definition_page(definition)),
        .locked = member_boolean(definition, "memory_locked", false),
        .given = HANDS_KERNEL,
    };
    (void)snprintf(out->cmdline, sizeof out->cmdline, "%s", member_text(definition, "cmdline", ""));
    if (member_at(definition, "policy")) {
        out->given |= HANDS_POLICY;
        out->policy = strtoull(member_text(definition, "policy", "0"), NULL, 16);
    }
    if (member_at(definition, "attributes")) {
        out->given |= HANDS_ATTRIBUTES;
        out->attributes = strtoull(member_text(definition, "attributes", "0"), NULL, 16);
    }
    const struct {
        uint8_t *out;
        size_t size;
        const char *name;
        uint32_t bit;
    } bytes[] = {{out->host_data, sizeof out->host_data, "host_data", HANDS_HOST_DATA},
                 {out->mrconfigid, sizeof out->mrconfigid, "mrconfigid", HANDS_MRCONFIGID},
                 {out->mrowner, sizeof out->mrowner, "mrowner", HANDS_MROWNER},
                 {out->mrownerconfig, sizeof out->mrownerconfig, "mrownerconfig", HANDS_MROWNERCONFIG}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof bytes / sizeof *bytes; i++)
        rc = hex_member(bytes[i].out, bytes[i].size, definition, bytes[i].name, bytes[i].bit, &out->given,
                        err);
    if (rc == 0)
        rc = set_expected(out, member_at(definition, "expect"), err);
    if (rc == 0)
        rc = set_networks(out, member_at(definition, "networks"), config, err);
    set_disks(out, member_at(definition, "disks"));
    return rc < 0 ? rc : definition_to_limits(&out->limits, member_at(definition, "limits"), err);
}

int definition_images(struct image_digest out[static DEFINITION_IMAGES], const json_t *definition,
                      struct cofre_err *err)
{
    static const char *const names[] = {"kernel", "initrd", "id_block", "id_auth", "certificates"};
    const json_t *disk;
    size_t i;
    int count = 0, rc = 0;
    for (i = 0; rc == 0 && i < sizeof names / sizeof *names; i++)
        if (member_at(definition, names[i]))
            rc = image_digest_parse(&out[count++], member_text(definition, names[i], ""), err);
    json_array_foreach(member_at(definition, "disks"), i, disk) if (rc == 0 && member_at(disk, "image")) rc =
        image_digest_parse(&out[count++], member_text(disk, "image", ""), err);
    return rc < 0 ? rc : count;
}

json_t *definition_unnamed(const json_t *definition)
{
    json_t *copy = json_deep_copy(definition);
    if (copy)
        json_object_del(copy, "name");
    return copy;
}
