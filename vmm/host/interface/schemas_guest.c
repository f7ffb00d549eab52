#include "vmm/host/interface/schemas.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/host/interface/schemas_parts.h"

#define MEMORY_LEAST (16ULL << 20)
#define CPUS_MOST    255

const struct schema_shape schema_label_shape = TEXT(0, 128), schema_any_shape = ANY;

static const char *const tees[] = {"none", "snp", "tdx", NULL}, *const restarts[] = {"never", "on-failure",
                                                                                     "always", NULL};
static const char *const modes[] = {"read-only", "copy", NULL}, *const kinds[] = {"passt", "tap", NULL};
static const char *const pages[] = {"2M", "1G", NULL};
static const char *const states[] = {"stopped", "running", "paused", "failed", NULL};

/* Limits */

static const struct schema_member disk_limits[] = {
    {"read_bytes", NUMBER(0, 0), false, "read a second; 0: no limit"},
    {"write_bytes", NUMBER(0, 0), false, "written a second; 0: no limit"},
    {"read_operations", NUMBER(0, 0), false, "reads a second; 0: no limit"},
    {"write_operations", NUMBER(0, 0), false, "writes a second; 0: no limit"},
    {"burst", NUMBER(0, 3600000), false,
     "milliseconds' worth of each of these that may be saved up, and used at once"},
    END,
};
static const struct schema schema_disk_limits = {"DiskLimits", "Of all disks of a guest together.",
                                                 disk_limits, NULL};

static const struct schema_member network_limits[] = {
    {"in", NUMBER(0, 0), false, "bytes a second to the guest; 0: no limit"},
    {"out", NUMBER(0, 0), false, "bytes a second from the guest; 0: no limit"},
    END,
};
static const struct schema schema_network_limits = {"NetworkLimits", "Of each of a guest's networks.",
                                                    network_limits, NULL};

/* A limit that is given as 0 is none: else one that was set could never be taken away. */
static int limits_rule(const json_t *limits, struct cofre_err *err)
{
    static const struct {
        const char *member;
        uint64_t least;
    } bounds[] = {{"cpu_quota", 10}, {"memory", MEMORY_LEAST}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        const uint64_t value = member_unsigned(limits, bounds[i].member, 0);
        if (value && value < bounds[i].least)
            return cofre_fail(err, COFRE_MALFORMED, "%s: it must be 0 for no limit, or at least %" PRIu64,
                              bounds[i].member, bounds[i].least);
    }
    return 0;
}

static const struct schema_member limits[] = {
    {"cpu_weight", NUMBER(1, 10000), false,
     "its part of its tenant's share of the CPUs when they are scarce; others have 100"},
    {"cpu_quota", NUMBER(0, 1000000), false,
     "thousandths of one CPU that it may use, 10 at least; 0: no limit"},
    {"cpus", CHECKED(SCHEMA_IS_CPUS), false, "the host's CPUs that it runs on: \"0-3,6\""},
    {"numa_node", NUMBER(0, 1023), false, "of the host, that its memory is of"},
    {"memory", NUMBER(0, 0), false,
     "bytes that the guest and its monitor may use together, 16 MiB at least; 0: no limit"},
    {"processes", NUMBER(0, 100000), false,
     "processes and threads of the monitor and its helpers; 0: no limit"},
    {"disk", OBJECT(schema_disk_limits), false, NULL},
    {"network", OBJECT(schema_network_limits), false, NULL},
    END,
};
const struct schema schema_limits = {"Limits", "What a guest may use; all of it can change while it runs.",
                                     limits, limits_rule};

/* Devices */

static int disk_rule(const json_t *disk, struct cofre_err *err)
{
    const bool image = member_at(disk, "image"), size = member_at(disk, "size");
    if (image == size)
        return cofre_fail(err, COFRE_MALFORMED, "either image or size must be there, and not both");
    return image || !member_at(disk, "mode") ? 0
                                             : cofre_fail(err, COFRE_MALFORMED, "mode: it goes with image");
}

static const struct schema_member disk[] = {
    {"image", DIGEST, false, "what is on it"},
    {"mode", WORD(modes), false,
     "read-only (without it), or a copy that is the guest's own until it is deleted"},
    {"size", NUMBER(1 << 20, 1ULL << 50), false,
     "bytes of an empty disk of the guest's own, instead of an image"},
    {"serial", NAME, false, "that the guest sees"},
    END,
};
static const struct schema schema_disk = {"Disk", "A disk of a guest: of an image, or empty.", disk,
                                          disk_rule};
static const struct schema_shape disk_shape = OBJECT(schema_disk);

static int network_rule(const json_t *network, struct cofre_err *err)
{
    const bool tap = strcmp(member_text(network, "kind", ""), "tap") == 0;
    if (tap == !!member_at(network, "bridge"))
        return 0;
    return tap ? cofre_fail(err, COFRE_MALFORMED, "bridge: a tap needs one")
               : cofre_fail(err, COFRE_MALFORMED, "bridge: it goes with kind tap");
}

static const struct schema_member network[] = {
    {"kind", WORD(kinds), true,
     "passt: the host's network, by a process of its own; tap: a bridge of the host"},
    {"bridge", NAME, false, "of cofred's configuration"},
    END,
};
static const struct schema schema_network = {"Network", "A network interface of a guest.", network,
                                             network_rule};
static const struct schema_shape network_shape = OBJECT(schema_network);

/* The definition */

uint64_t definition_page(const json_t *definition)
{
    const char *page = member_text(definition, "memory_pages", "");
    return strcmp(page, "2M") == 0 ? 2ULL << 20 : strcmp(page, "1G") == 0 ? 1ULL << 30 : 0;
}

static const struct schema_shape register_shape = HEX(48, 48);

static const struct schema_member expect[] = {
    {"measurement", HEX(48, 48), false,
     "launch digest or MRTD; a guest with another is ended before it runs"},
    {"rtmr", LIST(1, EXPECTED_RTMRS, register_shape), false, "RTMR 0 and on, of a TDX guest"},
    END,
};
static const struct schema schema_expect = {"Expect", "What the guest must be measured as.", expect, NULL};

/* What is of one TEE only. */
static const struct {
    const char *member, *tee;
} belongs[] = {{"policy", "snp"},     {"host_data", "snp"},    {"id_block", "snp"},
               {"id_auth", "snp"},    {"certificates", "snp"}, {"attributes", "tdx"},
               {"mrconfigid", "tdx"}, {"mrowner", "tdx"},      {"mrownerconfig", "tdx"}};

static int pages_rule(const json_t *definition, struct cofre_err *err)
{
    const uint64_t page = definition_page(definition);
    if (!page)
        return 0;
    if (strcmp(member_text(definition, "tee", ""), "none") != 0)
        return cofre_fail(
            err, COFRE_MALFORMED,
            "memory_pages: it is for tee none; the kernel has no huge pages for confidential guests");
    return member_unsigned(definition, "memory", 0) % page == 0
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "memory: it is no whole number of huge pages of %s",
                            member_text(definition, "memory_pages", ""));
}

static int definition_rule(const json_t *definition, struct cofre_err *err)
{
    const char *tee = member_text(definition, "tee", "");
    for (size_t i = 0; i < sizeof belongs / sizeof *belongs; i++)
        if (member_at(definition, belongs[i].member) && strcmp(tee, belongs[i].tee) != 0)
            return cofre_fail(err, COFRE_MALFORMED, "%s: it is for tee %s", belongs[i].member,
                              belongs[i].tee);
    const bool plain = strcmp(tee, "none") == 0;
    if (plain && member_at(definition, "expect"))
        return cofre_fail(err, COFRE_MALFORMED, "expect: a plain guest is not measured");
    if (plain && member_boolean(definition, "emulated", false))
        return cofre_fail(err, COFRE_MALFORMED, "emulated: a plain guest has nothing to emulate");
    if (strcmp(tee, "tdx") != 0 && member_at(member_at(definition, "expect"), "rtmr"))
        return cofre_fail(err, COFRE_MALFORMED, "expect.rtmr: it is for tee tdx");
    if (!member_at(definition, "id_block") != !member_at(definition, "id_auth"))
        return cofre_fail(err, COFRE_MALFORMED, "id_block, id_auth: one needs the other");
    return pages_rule(definition, err);
}

/* clang-format off */
#define DEFINITION                                                                                            \
    {"tee", WORD(tees), true, "none: a plain guest"},                                                         \
    {"emulated", BOOLEAN, false, "whether the TEE is emulated, for tests: nothing is protected then"},        \
    {"cpus", NUMBER(1, CPUS_MOST), true, "virtual CPUs"},                                                     \
    {"memory", NUMBER(MEMORY_LEAST, 1ULL << 46), true, "bytes; a multiple of 2 MiB is best"},                 \
    {"memory_pages", WORD(pages), false, "of the host's huge pages, for plain guests"},                       \
    {"memory_locked", BOOLEAN, false, "whether the start takes all of it, and nothing is ever swapped"},      \
    {"kernel", DIGEST, true, "image of the kernel, a bzImage"},                                               \
    {"initrd", DIGEST, false, "image of the initial RAM disk"},                                               \
    {"cmdline", TEXT(0, 2047), false, "the kernel's command line"},                                           \
    {"policy", BITS, false, "SNP: the guest's policy"},                                                       \
    {"host_data", HEX(32, 32), false, "SNP: bytes that reports repeat"},                                      \
    {"id_block", DIGEST, false, "SNP: image of the ID block"},                                                \
    {"id_auth", DIGEST, false, "SNP: image of the ID authentication information"},                            \
    {"certificates", DIGEST, false, "SNP: image of the table of certificates that the guest is given"},       \
    {"attributes", BITS, false, "TDX: the guest's attributes"},                                               \
    {"mrconfigid", HEX(48, 48), false, "TDX: bytes that quotes repeat"},                                      \
    {"mrowner", HEX(48, 48), false, "TDX: bytes that quotes repeat"},                                         \
    {"mrownerconfig", HEX(48, 48), false, "TDX: bytes that quotes repeat"},                                   \
    {"expect", OBJECT(schema_expect), false, NULL},                                                           \
    {"disks", LIST(0, DISKS_MAX, disk_shape), false, "in the order that the guest sees"},                     \
    {"networks", LIST(0, NETWORKS_MAX, network_shape), false, "in the order that the guest sees"},            \
    {"vsock", BOOLEAN, false, "whether it has a vsock, for evidence through the agent"},                      \
    {"restart", WORD(restarts), false, "what follows an end that nobody asked for; never, where it is not said"}, \
    {"labels", LABELS, false, "for people and for grants"},                                                   \
    {"limits", OBJECT(schema_limits), false, NULL}
/* clang-format on */

static const struct schema_member definition[] = {
    {"name", NAME, true, "of the guest, unique in its tenant"},
    DEFINITION,
    END,
};
const struct schema schema_definition = {"Definition", "A guest to be made.", definition, definition_rule};

static const struct schema_member redefinition[] = {DEFINITION, END};
const struct schema schema_redefinition = {"Redefinition", "A guest's next version, whole.", redefinition,
                                           definition_rule};

/* What else is asked of guests */

static const struct schema_member stop[] = {
    {"seconds", NUMBER(0, 3600), false, "until it is ended; 30 where it is not said"},
    END,
};
const struct schema schema_stop = {"Stop", "How a guest is stopped.", stop, NULL};

static const struct schema_member wait[] = {
    {"state", WORD(states), false, "that is waited for; stopped or failed where it is not said"},
    {"seconds", NUMBER(0, 300), false, "at most; 30 where it is not said"},
    END,
};
const struct schema schema_wait = {"Wait", "What is waited for.", wait, NULL};

static const struct schema_member console[] = {
    {"from", NUMBER(0, 0), false, "byte of all that it wrote since its start"},
    {"follow", BOOLEAN, false, "whether the answer goes on while the guest runs"},
    END,
};
const struct schema schema_console = {"Console", "What of a console is read.", console, NULL};

static const struct schema_member input[] = {
    {"data", BASE64(1, 4096), true, "the bytes"},
    END,
};
const struct schema schema_input = {"Input", "What is typed.", input, NULL};

static const struct schema_member logs[] = {
    {"lines", NUMBER(1, 10000), false, "the last so many; all where it is not said"},
    {"follow", BOOLEAN, false, "whether the answer goes on while the guest runs"},
    END,
};
const struct schema schema_logs = {"Logs", "What of the monitor's lines is read.", logs, NULL};

static const struct schema_member nonce[] = {
    {"nonce", HEX(16, 64), true, "that the evidence is over"},
    END,
};
const struct schema schema_nonce = {"Nonce", "What evidence is made over.", nonce, NULL};

static const struct schema_member guests[] = {
    {"after", NAME, false, "the last name of the page before"},
    {"limit", NUMBER(1, 1000), false, "how many at most; 100 where it is not said"},
    {"state", WORD(states), false, "only those in it"},
    {"label", TEXT(1, 192), false, "only those with it: \"NAME\" or \"NAME=TEXT\""},
    END,
};
const struct schema schema_guests_query = {"GuestsQuery", "Which guests are listed.", guests, NULL};
