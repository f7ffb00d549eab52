/* cofre measure: what a guest's launch will measure, before it is launched. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "sev/igvm.h"
#include "sev/launch/launch.h"
#include "sev/layout.h"
#include "tdx/launch/launch.h"
#include "tdx/layout.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/cli/measure_corim.h"
#include "vmm/cli/measured.h"
#include "vmm/cli/verb.h"
#include "vmm/machine/machine.h"

static const char help[] =
    "usage: cofre measure --tee snp|tdx --kernel F [OPTION]...\n"
    "       cofre measure --tee snp|tdx --firmware F [--kernel F] [OPTION]...\n"
    "       cofre measure --tee snp|tdx --igvm F [--vmm qemu] [--kernel F] [OPTION]...\n"
    "       cofre measure --tee snp --vmm qemu|ec2|gce --firmware F [OPTION]...\n"
    "       cofre measure --tee tdx --vmm qemu|gce --firmware F [--json]\n"
    "\n"
    "Prints what the guest's attestation will have: the launch digest of SEV-SNP; MRTD of TDX and, of\n"
    "Cofre's guests without --firmware or --igvm, the RTMRs that Linux begins with. It needs no such\n"
    "hardware. `cofre run` with the same options and --expect-measurement starts no guest of another\n"
    "launch digest or MRTD.\n"
    "\n"
    "  --tee TEE             the kind of guest: snp or tdx\n"
    "  --vmm VMM             who launches it: cofre (default), qemu, ec2 or gce\n"
    "  --kernel F            the kernel; with --vmm qemu, as -kernel with kernel-hashes=on takes it\n"
    "  --initrd F            the initial RAM disk\n"
    "  --cmdline S           the kernel's command line\n"
    "  --cpus N              virtual CPUs (default 1)\n"
    "  --memory SIZE         of Cofre's guests, whose launch covers it (default 512M)\n"
    "  --disk SPEC           of Cofre's guests, as cofre run gets it; only number and queues of the devices "
    "count,\n"
    "                        for the size of bounce buffers, which goes on the command line as swiotlb=\n"
    "  --net SPEC            the same\n"
    "  --vhost-user SPEC     the same\n"
    "  --firmware F          the OVMF (SNP) or TDVF (TDX) image\n"
    "  --igvm F              an IGVM file instead, of guests of Cofre and SNP guests of QEMU; the hashes\n"
    "                        of an SNP guest's --kernel must then be in a measured page of it\n"
    "  --cpu-model MODEL     with --firmware or --igvm, of SNP guests of Cofre and QEMU: EPYC-v4 (default), "
    "EPYC-Milan, ...\n"
    "                        or CPUID 1's EAX\n"
    "  --guest-features N    of the others' SNP guests: SEV_FEATURES of each VMSA (default 0x1)\n"
    "  --corim F             writes it as a reference value besides, in a CoRIM; of TDX MRTD and RTMR0 to "
    "RTMR2\n"
    "  --corim-name NAME     the value's name, by which policies know it\n"
    "  --corim-version N     the value's version (default 1)\n"
    "  --corim-until TIME    until when it is valid (RFC 3339, UTC; without it, there is no end)\n"
    "  --corim-key PEM       signs it: an EC key of P-256 or P-384\n"
    "  --corim-issuer TEXT   with --corim-key: who signs\n"
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
    IGVM,
    CPU_MODEL,
    GUEST_FEATURES,
    CORIM,
    CORIM_NAME,
    CORIM_VERSION,
    CORIM_UNTIL,
    CORIM_KEY,
    CORIM_ISSUER,
    VALUES,
    JSON,
    HELP,
    DEVICE /* from here on, the index in device_kinds */
};
#define OPTIONS_MAX 40
static const struct option options[] = {
    {"tee", required_argument, NULL, TEE},
    {"vmm", required_argument, NULL, VMM},
    {"kernel", required_argument, NULL, KERNEL},
    {"initrd", required_argument, NULL, INITRD},
    {"cmdline", required_argument, NULL, CMDLINE},
    {"cpus", required_argument, NULL, CPUS},
    {"memory", required_argument, NULL, MEMORY},
    {"firmware", required_argument, NULL, FIRMWARE},
    {"igvm", required_argument, NULL, IGVM},
    {"cpu-model", required_argument, NULL, CPU_MODEL},
    {"guest-features", required_argument, NULL, GUEST_FEATURES},
    {"corim", required_argument, NULL, CORIM},
    {"corim-name", required_argument, NULL, CORIM_NAME},
    {"corim-version", required_argument, NULL, CORIM_VERSION},
    {"corim-until", required_argument, NULL, CORIM_UNTIL},
    {"corim-key", required_argument, NULL, CORIM_KEY},
    {"corim-issuer", required_argument, NULL, CORIM_ISSUER},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};

struct request {
    const char *value[VALUES]; /* as given, or the default */
    bool given[VALUES];
    const struct kind *kind;
    uint64_t cpus;
    struct device_request device[MACHINE_DEVICES_MAX];
    unsigned devices;
    struct bytes kernel, initrd, firmware; /* or IGVM file */
};

/* A kind of guest. */
struct kind {
    const struct tee_ops *ops;
    unsigned about[VALUES]; /* whose guests of this kind an option is about; VMM: who has any */
    int (*measure_firmware)(const struct request *r, struct tee_measurement *out, struct cofre_err *err);
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

/* Cofre's own layout. */
static int measure_own(const struct request *r, struct measured *out, struct cofre_err *err)
{
    struct guest_spec spec = {
        .firmware = r->value[FIRMWARE],
        .igvm = r->value[IGVM],
        .kernel = r->value[KERNEL],
        .initrd = r->value[INITRD],
        .cmdline = r->value[CMDLINE],
        .cpus = (unsigned)r->cpus,
        .memory = BOOT_MEMORY_DEFAULT,
        .device = r->device,
        .devices = r->devices,
    };
    if (!r->given[KERNEL] && !r->given[FIRMWARE] && !r->given[IGVM])
        return cofre_fail(err, COFRE_USAGE, "--kernel is missing: Cofre's guests boot one");
    int rc = r->given[MEMORY] ? size_parse(&spec.memory, r->value[MEMORY], "--memory", err) : 0;
    return rc < 0 ? rc
                  : measured_guest(out, r->kind->ops, &spec, r->given[CPU_MODEL] ? r->value[CPU_MODEL] : NULL,
                                   err);
}

/* QEMU's launch of an IGVM file. */
static int measure_igvm(const struct request *r, const struct snp_igvm_layout *layout,
                        struct tee_measurement *out, struct cofre_err *err)
{
    struct igvm_file file;
    struct snp_igvm igvm = {0};
    struct snp_digest digest;
    int rc = igvm_file_parse(&file, bytes_view(&r->firmware), err);
    if (rc == 0)
        rc = snp_igvm_build(&igvm, &file, NULL, layout, err);
    if (rc == 0)
        rc = snp_igvm_digest(&digest, &igvm, err);
    snp_igvm_free(&igvm);
    if (rc < 0)
        return cofre_within(err, rc, "%s", r->value[IGVM]);
    out->name = "launch digest";
    memcpy(out->value, digest.value, sizeof out->value);
    return 0;
}

/* Another VMM's layout of an OVMF image, or an IGVM file, as an SNP guest. */
static int measure_ovmf(const struct request *r, struct tee_measurement *out, struct cofre_err *err)
{
    const struct snp_kernel_items items = {bytes_view(&r->kernel), bytes_view(&r->initrd), cmdline_view(r)};
    struct snp_layout layout = {.cpus = (unsigned)r->cpus, .kernel = r->given[KERNEL] ? &items : NULL};
    struct snp_ovmf ovmf;
    struct snp_digest digest;
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
    if (r->given[IGVM])
        return measure_igvm(r,
                            &(struct snp_igvm_layout){.as_qemu = true,
                                                      .cpus = layout.cpus,
                                                      .cpu_signature = layout.cpu_signature,
                                                      .guest_features = layout.guest_features,
                                                      .kernel = layout.kernel},
                            out, err);
    rc = snp_ovmf_parse(&ovmf, bytes_view(&r->firmware), err);
    if (rc == 0)
        rc = snp_layout_digest(&digest, &ovmf, &layout, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", r->value[FIRMWARE]);
    out->name = "launch digest";
    memcpy(out->value, digest.value, sizeof out->value);
    return 0;
}

/* Another VMM's layout of a TDVF image as a TD; what it measures when it runs is the firmware's own. */
static int measure_tdvf(const struct request *r, struct tee_measurement *out, struct cofre_err *err)
{
    struct tdx_tdvf tdvf;
    int rc = tdx_tdvf_parse(&tdvf, bytes_view(&r->firmware), err);
    if (rc == 0)
        rc = tdx_layout_mrtd(out->value, &tdvf, err);
    out->name = "MRTD";
    return rc < 0 ? cofre_within(err, rc, "%s", r->value[FIRMWARE]) : 0;
}

static const struct kind kinds[] = {
    {&snp_tee_ops,
     {
         [TEE] = ANY,
         [VMM] = ANY,
         [KERNEL] = COFRE | QEMU,
         [INITRD] = COFRE | QEMU,
         [CMDLINE] = COFRE | QEMU,
         [CPUS] = ANY,
         [MEMORY] = COFRE,
         [FIRMWARE] = ANY,
         [IGVM] = COFRE | QEMU,
         [CPU_MODEL] = COFRE | QEMU,
         [GUEST_FEATURES] = OTHERS,
     },
     measure_ovmf},
    {&tdx_tee_ops,
     {
         [TEE] = COFRE | QEMU | GCE,
         [VMM] = COFRE | QEMU | GCE,
         [KERNEL] = COFRE,
         [INITRD] = COFRE,
         [CMDLINE] = COFRE,
         [CPUS] = COFRE,
         [MEMORY] = COFRE,
         [FIRMWARE] = COFRE | QEMU | GCE,
         [IGVM] = COFRE,
     },
     measure_tdvf},
};

static int add_device(struct request *r, const struct device_kind *kind, struct cofre_err *err)
{
    if (r->devices == MACHINE_DEVICES_MAX)
        return cofre_fail(err, COFRE_USAGE, "--%s: a guest has at most %d devices", kind->option,
                          MACHINE_DEVICES_MAX);
    r->device[r->devices++] = (struct device_request){kind, optarg};
    return 0;
}

static int parse_options(struct request *r, int argc, char **argv, bool *json, struct cofre_err *err)
{
    struct option table[OPTIONS_MAX] = {0};
    int n = sizeof options / sizeof options[0] - 1;
    memcpy(table, options, sizeof options);
    for (int i = 0; device_kinds[i].option && n < OPTIONS_MAX - 1; i++)
        table[n++] = (struct option){device_kinds[i].option, required_argument, NULL, DEVICE + i};
    for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (o >= DEVICE && o != '?') {
            int rc = add_device(r, &device_kinds[o - DEVICE], err);
            if (rc)
                return rc;
            continue;
        }
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

static int find_kind(struct request *r, struct cofre_err *err)
{
    if (!r->given[TEE])
        return cofre_fail(err, COFRE_USAGE, "--tee is missing: --tee snp or --tee tdx");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(r->value[TEE], kinds[i].ops->name) == 0)
            r->kind = &kinds[i];
    return r->kind ? 0
                   : cofre_fail(err, COFRE_USAGE, "--tee %s: only guests of snp and tdx can be measured",
                                r->value[TEE]);
}

static int check_options(struct request *r, struct cofre_err *err)
{
    unsigned vmm = 0;
    int rc = find_kind(r, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof vmms / sizeof vmms[0]; i++)
        if (strcmp(r->value[VMM], vmms[i].name) == 0)
            vmm = vmms[i].bit;
    if (!vmm)
        return cofre_fail(err, COFRE_USAGE, "--vmm %s is not known (cofre, qemu, ec2, gce)", r->value[VMM]);
    if (!(r->kind->about[VMM] & vmm))
        return cofre_fail(err, COFRE_USAGE, "--vmm %s has no guests of %s", r->value[VMM],
                          r->kind->ops->title);
    for (int i = 0; i < VALUES; i++)
        if (r->given[i] && i < CORIM && !(r->kind->about[i] & vmm))
            return cofre_fail(err, COFRE_USAGE, "--%s has no part in what --vmm %s launches as a guest of %s",
                              options[i].name, r->value[VMM], r->kind->ops->title);
    if (vmm != COFRE && r->devices)
        return cofre_fail(err, COFRE_USAGE, "--%s has no part in what --vmm %s launches as a guest of %s",
                          r->device[0].kind->option, r->value[VMM], r->kind->ops->title);
    if (r->given[FIRMWARE] && r->given[IGVM])
        return cofre_fail(err, COFRE_USAGE, "--firmware and --igvm: a guest starts in one of them");
    if (vmm != COFRE && !r->given[FIRMWARE] && !r->given[IGVM])
        return cofre_fail(err, COFRE_USAGE, "--firmware is missing: the guests of --vmm %s boot one",
                          r->value[VMM]);
    return number_parse(&r->cpus, r->value[CPUS], "--cpus", 1,
                        vmm == COFRE ? BOOT_CPUS_MAX : SNP_LAYOUT_CPUS_MAX, err);
}

static struct measure_corim corim_of(const struct request *r)
{
    return (struct measure_corim){.file = r->value[CORIM],
                                  .name = r->value[CORIM_NAME],
                                  .version = r->value[CORIM_VERSION],
                                  .until = r->value[CORIM_UNTIL],
                                  .key = r->value[CORIM_KEY],
                                  .issuer = r->value[CORIM_ISSUER]};
}

static int measure(struct request *r, struct measured *out, struct cofre_err *err)
{
    const struct measure_corim corim = corim_of(r);
    int rc = check_options(r, err);
    if (rc == 0)
        rc = measure_corim_check(&corim, err);
    if (rc < 0)
        return rc;
    if (strcmp(r->value[VMM], "cofre") == 0)
        return measure_own(r, out, err);
    rc = read_item(&r->kernel, r->value[KERNEL], err);
    if (rc == 0)
        rc = read_item(&r->initrd, r->value[INITRD], err);
    if (rc == 0)
        rc = read_item(&r->firmware, r->given[IGVM] ? r->value[IGVM] : r->value[FIRMWARE], err);
    if (rc < 0)
        return rc;
    out->count = 1;
    return r->kind->measure_firmware(r, &out->value[0], err);
}

/* A digest that is the only one that its kind of guest has stands alone. */
static void print_result(const struct request *r, const struct measured *result, bool json)
{
    json_t *all = json_pack("{s:s, s:s}", "tee", r->value[TEE], "vmm", r->value[VMM]);
    for (int i = 0; !json && i < result->count; i++) {
        const struct tee_measurement *m = &result->value[i];
        char hex[2 * sizeof m->value + 1];
        hex_encode(hex, m->value, sizeof m->value);
        if (r->kind->ops->registers)
            printf("%s %s\n", m->name, hex);
        else
            puts(hex);
    }
    if (json) {
        measured_json(all, result);
        if (r->kind->about[CPUS] & (r->given[FIRMWARE] || r->given[IGVM] ? OTHERS : COFRE))
            json_object_set_new(all, "cpus", json_integer((json_int_t)r->cpus));
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(all);
}

int verb_measure(int argc, char **argv)
{
    __attribute__((cleanup(request_free))) struct request r = {
        .value = {[VMM] = "cofre", [CPUS] = "1", [CPU_MODEL] = "EPYC-v4", [GUEST_FEATURES] = "0x1"}};
    struct measured result = {0};
    struct cofre_err err;
    bool json = false;
    int rc = parse_options(&r, argc, argv, &json, &err);
    if (rc == 1) {
        fputs(help, stdout);
        return 0;
    }
    if (rc == 0)
        rc = measure(&r, &result, &err);
    if (rc == 0 && r.given[CORIM]) {
        const struct measure_corim corim = corim_of(&r);
        rc = measure_corim_write(&corim, r.value[TEE], result.value, result.count, &err);
    }
    if (rc < 0) {
        fprintf(stderr, "cofre measure: %s\n", err.text);
        return -rc;
    }
    print_result(&r, &result, json);
    return 0;
}
