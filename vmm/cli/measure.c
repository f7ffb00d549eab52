/* cofre measure: the launch digest that a guest will have, before it is launched. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "sev/launch/launch.h"
#include "sev/layout.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/cli/verb.h"
#include "vmm/machine/boot.h"

static const char help[] =
    "usage: cofre measure --tee snp --kernel F [OPTION]...\n"
    "       cofre measure --tee snp --vmm qemu|ec2|gce --firmware F [OPTION]...\n"
    "\n"
    "Prints the launch digest that the guest's attestation report will have. It needs no SEV-SNP\n"
    "hardware. `cofre run` with the same options and --expect-measurement starts no other guest.\n"
    "\n"
    "  --tee snp             the kind of guest\n"
    "  --vmm VMM             who launches it: cofre (default), qemu, ec2 or gce\n"
    "  --kernel F            the kernel; with --vmm qemu, as -kernel with kernel-hashes=on takes it\n"
    "  --initrd F            the initial RAM disk\n"
    "  --cmdline S           the kernel's command line\n"
    "  --cpus N              virtual CPUs (default 1)\n"
    "  --memory SIZE         of Cofre's guests, whose digest covers it (default 512M)\n"
    "  --firmware F          of the others' guests: the OVMF image\n"
    "  --cpu-model MODEL     of QEMU's guests: EPYC-v4 (default), EPYC-Milan, ... or CPUID 1's EAX\n"
    "  --guest-features N    of the others' guests: SEV_FEATURES of each VMSA (default 0x1)\n"
    "  --json                the result as one JSON object\n"
    "\n"
    "example: cofre measure --tee snp --kernel vmlinuz --initrd initrd.img --cmdline \"console=ttyS0\" "
    "--cpus 2\n";

/* Whose guests an option is about. */
enum { COFRE = 1, QEMU = 2, EC2 = 4, GCE = 8, OTHERS = QEMU | EC2 | GCE, ANY = COFRE | OTHERS };
static const struct {
    const char *name;
    unsigned bit;
} vmms[] = {{"cofre", COFRE}, {"qemu", QEMU}, {"ec2", EC2}, {"gce", GCE}};

enum {
    TEE,
    VMM,
    KERNEL,
    INITRD,
    CMDLINE,
    CPUS,
    MEMORY,
    FIRMWARE,
    CPU_MODEL,
    GUEST_FEATURES,
    VALUES,
    JSON,
    HELP
};
static const struct option options[] = {
    {"tee", required_argument, NULL, TEE},
    {"vmm", required_argument, NULL, VMM},
    {"kernel", required_argument, NULL, KERNEL},
    {"initrd", required_argument, NULL, INITRD},
    {"cmdline", required_argument, NULL, CMDLINE},
    {"cpus", required_argument, NULL, CPUS},
    {"memory", required_argument, NULL, MEMORY},
    {"firmware", required_argument, NULL, FIRMWARE},
    {"cpu-model", required_argument, NULL, CPU_MODEL},
    {"guest-features", required_argument, NULL, GUEST_FEATURES},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};
static const unsigned about[VALUES] = {
    [TEE] = ANY,
    [VMM] = ANY,
    [KERNEL] = COFRE | QEMU,
    [INITRD] = COFRE | QEMU,
    [CMDLINE] = COFRE | QEMU,
    [CPUS] = ANY,
    [MEMORY] = COFRE,
    [FIRMWARE] = OTHERS,
    [CPU_MODEL] = QEMU,
    [GUEST_FEATURES] = OTHERS,
};

struct request {
    const char *value[VALUES]; /* as given, or the default */
    bool given[VALUES];
    uint64_t cpus;
    struct bytes kernel, initrd, firmware;
};

static void request_free(struct request *r)
{
    bytes_free(&r->kernel);
    bytes_free(&r->initrd);
    bytes_free(&r->firmware);
}

#define ITEM_MAX (2ull << 30)

static int read_item(struct bytes *out, const char *path, struct cofre_err *err)
{
    return path ? file_read(out, path, ITEM_MAX, err) : 0;
}

static struct view cmdline_view(const struct request *r)
{
    const char *text = r->value[CMDLINE];
    return (struct view){(const uint8_t *)text, text ? strlen(text) : 0};
}

/* Cofre's own layout: the image and the measurement that `cofre run` goes through. */
static int measure_own(const struct request *r, struct tee_measurement *out, struct cofre_err *err)
{
    const struct tee_ops *ops = &snp_tee_ops;
    CLEAN_BYTES shim = {0};
    struct boot_config config = {
        .tee = ops->boot_tee,
        .memory = BOOT_MEMORY_DEFAULT,
        .cpus = (unsigned)r->cpus,
        .kernel = bytes_view(&r->kernel),
        .initrd = bytes_view(&r->initrd),
        .cmdline = cmdline_view(r),
    };
    if (!r->given[KERNEL])
        return cofre_fail(err, COFRE_USAGE, "--kernel is missing: Cofre's guests boot one");
    int rc = r->given[MEMORY] ? size_parse(&config.memory, r->value[MEMORY], "--memory", err) : 0;
    if (rc == 0)
        rc = boot_shim_load(ops->boot_tee, &shim, err);
    if (rc < 0)
        return rc;
    config.shim = bytes_view(&shim);
    struct launch_image image = {0};
    struct tee *tee = NULL;
    rc = boot_image_build(&config, &image, err);
    if (rc == 0)
        rc = ops->new (&tee, err);
    if (rc == 0)
        rc = ops->measure(tee, &image, out, err);
    if (tee)
        ops->free(tee);
    launch_image_free(&image);
    return rc;
}

/* Another VMM's layout of an OVMF image. */
static int measure_ovmf(const struct request *r, struct tee_measurement *out, struct cofre_err *err)
{
    const struct snp_kernel_items items = {bytes_view(&r->kernel), bytes_view(&r->initrd), cmdline_view(r)};
    struct snp_layout layout = {.cpus = (unsigned)r->cpus, .kernel = r->given[KERNEL] ? &items : NULL};
    struct snp_ovmf ovmf;
    struct snp_digest digest;
    if (!r->given[FIRMWARE])
        return cofre_fail(err, COFRE_USAGE, "--firmware is missing: the guests of --vmm %s boot one",
                          r->value[VMM]);
    if (!r->given[KERNEL] && (r->given[INITRD] || r->given[CMDLINE]))
        return cofre_fail(err, COFRE_USAGE, "--initrd and --cmdline are measured with a --kernel only");
    int rc = snp_vmm_parse(&layout.vmm, r->value[VMM], err);
    if (rc == 0)
        rc = snp_cpu_signature(&layout.cpu_signature, r->value[CPU_MODEL], err);
    if (rc == 0)
        rc = number_parse(&layout.guest_features, r->value[GUEST_FEATURES], "--guest-features", 0, UINT64_MAX,
                          err);
    if (rc < 0)
        return rc;
    rc = snp_ovmf_parse(&ovmf, bytes_view(&r->firmware), err);
    if (rc == 0)
        rc = snp_layout_digest(&digest, &ovmf, &layout, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", r->value[FIRMWARE]);
    out->name = "launch digest";
    memcpy(out->value, digest.value, sizeof out->value);
    return 0;
}

static int parse_options(struct request *r, int argc, char **argv, bool *json, struct cofre_err *err)
{
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP)
            return 1;
        if (o == '?')
            return cofre_fail(err, COFRE_USAGE, "cofre measure --help lists the options");
        if (o == JSON) {
            *json = true;
            continue;
        }
        r->value[o] = optarg;
        r->given[o] = true;
    }
    if (optind != argc)
        return cofre_fail(err, COFRE_USAGE, "\"%s\" is no option; cofre measure --help lists them",
                          argv[optind]);
    return 0;
}

static int check_options(struct request *r, struct cofre_err *err)
{
    unsigned vmm = 0;
    for (size_t i = 0; i < sizeof vmms / sizeof vmms[0]; i++)
        if (strcmp(r->value[VMM], vmms[i].name) == 0)
            vmm = vmms[i].bit;
    if (!r->given[TEE])
        return cofre_fail(err, COFRE_USAGE, "--tee is missing: --tee snp");
    if (strcmp(r->value[TEE], snp_tee_ops.name) != 0)
        return cofre_fail(err, COFRE_USAGE, "--tee %s: only guests of snp can be measured", r->value[TEE]);
    if (!vmm)
        return cofre_fail(err, COFRE_USAGE, "--vmm %s is not known (cofre, qemu, ec2, gce)", r->value[VMM]);
    for (int i = 0; i < VALUES; i++)
        if (r->given[i] && !(about[i] & vmm))
            return cofre_fail(err, COFRE_USAGE, "--%s has no part in the digest of --vmm %s", options[i].name,
                              r->value[VMM]);
    return number_parse(&r->cpus, r->value[CPUS], "--cpus", 1,
                        vmm == COFRE ? BOOT_CPUS_MAX : SNP_LAYOUT_CPUS_MAX, err);
}

static int measure(struct request *r, struct tee_measurement *out, struct cofre_err *err)
{
    int rc = check_options(r, err);
    if (rc == 0)
        rc = read_item(&r->kernel, r->value[KERNEL], err);
    if (rc == 0)
        rc = read_item(&r->initrd, r->value[INITRD], err);
    if (rc == 0)
        rc = read_item(&r->firmware, r->value[FIRMWARE], err);
    if (rc < 0)
        return rc;
    return strcmp(r->value[VMM], "cofre") == 0 ? measure_own(r, out, err) : measure_ovmf(r, out, err);
}

static void print_result(const struct request *r, const struct tee_measurement *m, bool json)
{
    char hex[2 * sizeof m->value + 1];
    hex_encode(hex, m->value, sizeof m->value);
    if (!json) {
        puts(hex);
        return;
    }
    json_t *all = json_pack("{s:s, s:s, s:s, s:I}", "tee", r->value[TEE], "vmm", r->value[VMM],
                            "launch_digest", hex, "cpus", (json_int_t)r->cpus);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

int verb_measure(int argc, char **argv)
{
    __attribute__((cleanup(request_free))) struct request r = {
        .value = {[VMM] = "cofre", [CPUS] = "1", [CPU_MODEL] = "EPYC-v4", [GUEST_FEATURES] = "0x1"}};
    struct tee_measurement measurement;
    struct cofre_err err;
    bool json = false;
    int rc = parse_options(&r, argc, argv, &json, &err);
    if (rc == 1) {
        fputs(help, stdout);
        return 0;
    }
    if (rc == 0)
        rc = measure(&r, &measurement, &err);
    if (rc < 0) {
        fprintf(stderr, "cofre measure: %s\n", err.text);
        return -rc;
    }
    print_result(&r, &measurement, json);
    return 0;
}
