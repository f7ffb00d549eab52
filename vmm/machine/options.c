#include "vmm/machine/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/number.h"

#define LONG_MAX_COUNT 64

enum option_id {
    OPTION_TEE = 1,
    OPTION_EMULATED,
    OPTION_FIRMWARE,
    OPTION_IGVM,
    OPTION_KERNEL,
    OPTION_INITRD,
    OPTION_CMDLINE,
    OPTION_CPUS,
    OPTION_MEMORY,
    OPTION_NUMA_NODE,
    OPTION_VSOCK_CID,
    OPTION_EXPECT,
    OPTION_NAME,
    OPTION_CONSOLE,
    OPTION_CONSOLE_INPUT,
    OPTION_LAUNCHES,
    OPTION_RATES,
    OPTION_NO_REBOOT,
    OPTION_WATCHDOG,
    OPTION_JSON,
    OPTION_HELP,
    OPTION_OF_DEVICES,                                  /* from here on, the index in device_kinds */
    OPTION_OF_TEE = OPTION_OF_DEVICES + LONG_MAX_COUNT, /* this one and those above it are the TEEs' own */
};

static const struct {
    const char *name, *argument, *help;
    enum option_id id;
} own[] = {
    {"tee", "TEE", "what protects the guest from this host (required)", OPTION_TEE},
    {"emulated", NULL, "the TEE emulated on a plain KVM: every step, and no confidentiality",
     OPTION_EMULATED},
    {"firmware", "F", "OVMF, which the guest starts in instead of Cofre's shim", OPTION_FIRMWARE},
    {"igvm", "F", "an IGVM file, which describes the guest, instead of --firmware; not with --tee none",
     OPTION_IGVM},
    {"kernel", "F", "Linux, a bzImage (required without --firmware or --igvm)", OPTION_KERNEL},
    {"initrd", "F", "its initial RAM disk", OPTION_INITRD},
    {"cmdline", "S", "its command line; console=hvc0 is the fast console, console=ttyS0 the early one",
     OPTION_CMDLINE},
    {"cpus", "N", "virtual CPUs; default 1", OPTION_CPUS},
    {"memory", "SIZE[,...]",
     "RAM, in steps of 2M; default 512M. pages=2M or pages=1G: of the host's huge pages;\n"
     "                             locked: never swapped",
     OPTION_MEMORY},
    {"numa-node", "N", "the host's NUMA node for the guest's memory and threads; default any",
     OPTION_NUMA_NODE},
    {"vsock-cid", "N", "virtio sockets, on unix sockets in the guest's run directory", OPTION_VSOCK_CID},
    {"expect-measurement", "HEX", "do not start a guest with another launch digest or MRTD", OPTION_EXPECT},
    {"name", "NAME", "names the run directory; default guest-PID", OPTION_NAME},
    {"console", "F",
     "the guest's output: a file, or none; default standard output (input: standard input),\n"
     "                             with --json standard error",
     OPTION_CONSOLE},
    {"console-input", "F", "the guest's input, beside --console: a file or pipe", OPTION_CONSOLE_INPUT},
    {"launches", "F", "a line of JSON for each launch, when it is final, at the end of a file",
     OPTION_LAUNCHES},
    {"rates", "F", "what disks and passt networks may move in a second, in a file that may change",
     OPTION_RATES},
    {"no-reboot", NULL, "end with the guest when it restarts; else that is a new launch", OPTION_NO_REBOOT},
    {"watchdog", "ACTION",
     "a watchdog (i6300esb) for the guest; when it expires: reset (a new launch) or stop", OPTION_WATCHDOG},
    {"json", NULL, "one JSON object on standard output at the end", OPTION_JSON},
    {"help", NULL, "this text", OPTION_HELP},
};

/* "snp, tdx": the TEEs that there are. */
static const char *tee_names(char *out, size_t size, const char *between, const struct tee_ops *const *tees)
{
    size_t used = 0;
    out[0] = 0;
    for (; *tees && used < size; tees++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? between : "", (*tees)->name);
    return out;
}
#define TEE_NAMES_SIZE 64

#define OWN (sizeof own / sizeof own[0])

static void help_line(const char *name, const char *argument, const char *help)
{
    printf("  --%s%s%-*s %s\n", name, argument ? " " : "", (int)(24 - strlen(name)), argument ? argument : "",
           help);
}

void run_options_help(const struct tee_ops *const *tees)
{
    char names[TEE_NAMES_SIZE];
    printf("usage: cofre run --tee %s|none --kernel F [OPTION]...\n\n"
           "Boots one guest, again if it restarts, and ends with it.\n\n",
           tee_names(names, sizeof names, "|", tees));
    for (size_t i = 0; i < OWN; i++)
        help_line(own[i].name, own[i].argument, own[i].help);
    puts("\nDevices, in the order of their PCI slots; each may be repeated:");
    for (const struct device_kind *kind = device_kinds; kind->option; kind++)
        help_line(kind->option, kind->argument, kind->help);
    for (; *tees; tees++) {
        printf("\nOf %s guests:\n", (*tees)->title);
        for (const struct tee_option *o = (*tees)->options; o->name; o++)
            help_line(o->name, o->argument, o->help);
    }
    puts("\nCtrl-C and SIGTERM ask the guest's agent to power it off; a second one, or 20 seconds, stops the "
         "guest\n"
         "as if its power was cut. What it had written to its disks is flushed in any case.\n"
         "A guest that restarts is launched anew: its files are read, and its measurement is compared, "
         "again. After "
         "a second\n"
         "restart within a minute it waits, from 1 second up to 60.\n"
         "A file F may be fd=N: the open descriptor N of who starts this program.\n"
         "Exit codes: 0 the guest ended itself or was stopped; 1 its measurement or its files are not those "
         "expected; 2 wrong\n"
         "usage; 3 malformed input; 4 the host lacks something; 5 other failure. COFRE_LOG=kvm=debug shows "
         "every KVM call.\n\n"
         "Example:\n"
         "  cofre run --tee snp --kernel vmlinuz --initrd initrd.img --cmdline console=hvc0 --cpus 2 "
         "--memory 1G");
}

/* getopt's table: ours, then every device's, then every TEE's. val is the index of the TEE's option beyond OPTION_OF_TEE. */
static int long_options(struct option *table, const struct tee_ops *const *tees)
{
    int n = 0;
    for (size_t i = 0; i < OWN; i++)
        table[n++] = (struct option){own[i].name, own[i].argument ? required_argument : no_argument, NULL,
                                     (int)own[i].id};
    for (int i = 0; device_kinds[i].option; i++)
        table[n++] = (struct option){device_kinds[i].option, required_argument, NULL, OPTION_OF_DEVICES + i};
    for (int id = OPTION_OF_TEE; *tees; tees++)
        for (const struct tee_option *o = (*tees)->options; o->name && n < LONG_MAX_COUNT - 1; o++)
            table[n++] = (struct option){o->name, required_argument, NULL, id++};
    table[n] = (struct option){0};
    return n;
}

static int pick_tee(struct run_options *out, const char *name, const struct tee_ops *const *tees,
                    struct cofre_err *err)
{
    out->tee = NULL;
    if (strcmp(name, "none") == 0)
        return 0;
    for (size_t i = 0; tees[i]; i++)
        if (strcmp(tees[i]->name, name) == 0) {
            out->tee = tees[i];
            return 0;
        }
    char names[TEE_NAMES_SIZE];
    return cofre_fail(err, COFRE_USAGE, "--tee %s: there is no such TEE; it is %s or none", name,
                      tee_names(names, sizeof names, ", ", tees));
}

static int take_number(uint32_t *out, const char *text, const char *what, uint64_t min, uint64_t max,
                       struct cofre_err *err)
{
    uint64_t value;
    int rc = number_parse(&value, text, what, min, max, err);
    if (rc == 0)
        *out = (uint32_t)value;
    return rc;
}

static int take_memory_word(struct memory_kind *out, const char *word, struct cofre_err *err)
{
    static const struct {
        const char *word;
        struct memory_kind kind;
    } words[] = {
        {"pages=2M", {.huge = MEMORY_HUGE_2M}},
        {"pages=1G", {.huge = MEMORY_HUGE_1G}},
        {"locked", {.locked = true}},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i].word) == 0) {
            out->huge = words[i].kind.huge ? words[i].kind.huge : out->huge;
            out->locked |= words[i].kind.locked;
            return 0;
        }
    return cofre_fail(err, COFRE_USAGE, "--memory: \"%s\" is none of pages=2M, pages=1G and locked", word);
}

static int take_memory(struct run_options *out, const char *value, struct cofre_err *err)
{
    char text[64];
    if (strlen(value) >= sizeof text)
        return cofre_fail(err, COFRE_USAGE, "--memory: \"%s\" is too long", value);
    strcpy(text, value);
    char *rest = text;
    out->memory = (struct memory_kind){0};
    int rc = size_parse(&out->guest.memory, strsep(&rest, ","), "--memory", err);
    while (rc == 0 && rest)
        rc = take_memory_word(&out->memory, strsep(&rest, ","), err);
    return rc;
}

static int take_device(struct run_options *out, const struct device_kind *kind, const char *spec,
                       struct cofre_err *err)
{
    if (out->devices == MACHINE_DEVICES_MAX)
        return cofre_fail(err, COFRE_USAGE, "--%s %s: a guest has at most %d devices", kind->option, spec,
                          MACHINE_DEVICES_MAX);
    out->device[out->devices++] = (struct device_request){kind, spec};
    return 0;
}

static int take_expected(struct run_options *out, const char *text, struct cofre_err *err)
{
    if (!hex_decode(out->expected, sizeof out->expected, text))
        return cofre_fail(err, COFRE_USAGE, "--expect-measurement: must be %zu hexadecimal digits",
                          2 * sizeof out->expected);
    out->expects = true;
    return 0;
}

static int take_watchdog(struct run_options *out, const char *action, struct cofre_err *err)
{
    out->watchdog = strcmp(action, "reset") == 0  ? WATCHDOG_RESET
                    : strcmp(action, "stop") == 0 ? WATCHDOG_STOP
                                                  : WATCHDOG_NONE;
    return out->watchdog
               ? 0
               : cofre_fail(err, COFRE_USAGE, "--watchdog %s: what follows is reset or stop", action);
}

static int take_tee_option(struct run_options *out, const char *name, const char *value,
                           struct cofre_err *err)
{
    if (out->tee_options == OPTIONS_TEE_MAX)
        return cofre_fail(err, COFRE_USAGE, "--%s: too many options", name);
    out->tee_option[out->tee_options].name = name;
    out->tee_option[out->tee_options++].value = value;
    return 0;
}

static int take(struct run_options *out, const struct option *option, const char *value,
                const struct tee_ops *const *tees, bool *has_tee, struct cofre_err *err)
{
    switch (option->val) {
    case OPTION_TEE:
        *has_tee = true;
        return pick_tee(out, value, tees, err);
    case OPTION_EMULATED:
        out->emulated = true;
        return 0;
    case OPTION_FIRMWARE:
        out->guest.firmware = value;
        return 0;
    case OPTION_IGVM:
        out->guest.igvm = value;
        return 0;
    case OPTION_KERNEL:
        out->guest.kernel = value;
        return 0;
    case OPTION_INITRD:
        out->guest.initrd = value;
        return 0;
    case OPTION_CMDLINE:
        out->guest.cmdline = value;
        return 0;
    case OPTION_CPUS:
        return take_number(&out->guest.cpus, value, "--cpus", 1, BOOT_CPUS_MAX, err);
    case OPTION_MEMORY:
        return take_memory(out, value, err);
    case OPTION_NUMA_NODE:
        out->numa.given = true;
        return take_number(&out->numa.node, value, "--numa-node", 0, NUMA_NODES_MAX - 1, err);
    case OPTION_VSOCK_CID:
        return take_number(&out->vsock_cid, value, "--vsock-cid", 3, UINT32_MAX - 1, err);
    case OPTION_EXPECT:
        return take_expected(out, value, err);
    case OPTION_NAME:
        out->name = value;
        return 0;
    case OPTION_CONSOLE:
        out->console = value;
        return 0;
    case OPTION_CONSOLE_INPUT:
        out->console_input = value;
        return 0;
    case OPTION_LAUNCHES:
        out->launches = value;
        return 0;
    case OPTION_RATES:
        out->rates = value;
        return 0;
    case OPTION_NO_REBOOT:
        out->no_reboot = true;
        return 0;
    case OPTION_WATCHDOG:
        return take_watchdog(out, value, err);
    case OPTION_JSON:
        out->json = true;
        return 0;
    case OPTION_HELP:
        out->help = true;
        return 0;
    default:
        if (option->val < OPTION_OF_TEE)
            return take_device(out, &device_kinds[option->val - OPTION_OF_DEVICES], value, err);
        return take_tee_option(out, option->name, value, err);
    }
}

static int check_together(const struct run_options *o, bool has_tee, const struct tee_ops *const *tees,
                          struct cofre_err *err)
{
    char names[TEE_NAMES_SIZE];
    tee_names(names, sizeof names, " or ", tees);
    if (!has_tee)
        return cofre_fail(err, COFRE_USAGE,
                          "--tee is needed: %s for a confidential guest, none for a plain one", names);
    if (o->guest.firmware && o->guest.igvm)
        return cofre_fail(err, COFRE_USAGE, "--firmware and --igvm: a guest starts in one of them");
    if (!o->guest.kernel && !o->guest.firmware && !o->guest.igvm)
        return cofre_fail(err, COFRE_USAGE, "--kernel is needed: a Linux bzImage");
    if (o->memory.huge && o->tee)
        return cofre_fail(
            err, COFRE_USAGE,
            "--memory: huge pages are for plain guests; a confidential guest's memory is Linux' guest_memfd, "
            "which has none");
    if (o->memory.huge && o->guest.memory % o->memory.huge)
        return cofre_fail(err, COFRE_USAGE, "--memory: %llu bytes are no whole number of huge pages",
                          (unsigned long long)o->guest.memory);
    if (!o->tee && o->tee_options)
        return cofre_fail(err, COFRE_USAGE, "--%s: a plain guest has no such option; it is for --tee %s",
                          o->tee_option[0].name, names);
    if (!o->tee && o->expects)
        return cofre_fail(err, COFRE_USAGE,
                          "--expect-measurement: a plain guest is not measured; use --tee %s", names);
    if (!o->tee && o->emulated)
        return cofre_fail(err, COFRE_USAGE, "--emulated: a plain guest needs no emulation; use --tee %s",
                          names);
    return 0;
}

int run_options_parse(struct run_options *out, int argc, char **argv, const struct tee_ops *const *tees,
                      struct cofre_err *err)
{
    *out = (struct run_options){.guest = {.cpus = GUEST_CPUS_DEFAULT, .memory = BOOT_MEMORY_DEFAULT}};
    struct option table[LONG_MAX_COUNT];
    long_options(table, tees);
    bool has_tee = false;
    opterr = 0;
    optind = 0;
    for (;;) {
        int index = -1, at = optind ? optind : 1;
        int val = getopt_long(argc, argv, ":", table, &index);
        if (val == -1)
            break;
        if (val == ':')
            return cofre_fail(err, COFRE_USAGE, "%s: its value is missing", argv[at]);
        if (val == '?' || index < 0)
            return cofre_fail(err, COFRE_USAGE, "%s: there is no such option; --help lists them", argv[at]);
        int rc = take(out, &table[index], optarg, tees, &has_tee, err);
        if (rc)
            return rc;
    }
    if (out->help)
        return 0;
    if (optind < argc)
        return cofre_fail(err, COFRE_USAGE, "%s: not an option; --help lists them", argv[optind]);
    return check_together(out, has_tee, tees, err);
}
