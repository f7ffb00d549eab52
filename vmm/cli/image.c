/* cofre image: from a root file system to what `cofre run` boots, and what a policy names. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/launch/launch.h"
#include "tdx/launch/launch.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/number.h"
#include "vmm/cli/host.h"
#include "vmm/cli/measure_corim.h"
#include "vmm/cli/measured.h"
#include "vmm/cli/verb.h"
#include "vmm/image/image.h"

static const char help[] =
    "usage: cofre image --rootfs F --root verity --out DIR [OPTION]...\n"
    "       cofre image --rootfs F --root luks --key F --trust URL --ca F --policy NAME --key-name NAME "
    "--out DIR\n"
    "                   [OPTION]...\n"
    "       cofre image add|list|show|delete|tag ...\n"
    "\n"
    "Builds an image of a root file system: DIR gets the files kernel, initrd, cmdline, disk.img and\n"
    "policy.json, a policy that guests of this image satisfy and no others. Prints what the launch\n"
    "measures, and how `cofre run` boots it. The same input gives the same bytes. It needs no privileges.\n"
    "\n"
    "  --rootfs F            a folder or a tar archive with boot/vmlinuz-VERSION and lib/modules/VERSION\n"
    "  --root KIND           verity: read-only; its hash is on the measured command line\n"
    "                        luks: encrypted; a service releases the key to the guest that it has judged\n"
    "  --out DIR             where the files go; is made where it is not there\n"
    "  --key F               of luks: the 32 bytes that open the root; drawn where there is no such file\n"
    "  --trust URL           the service that the guest asks for it, https://HOST[:PORT]\n"
    "  --relay ADDRESS       how the guest reaches it: vsock:2:PORT, which the host passes on "
    "(docs/vsock.md)\n"
    "  --integrity           of luks: a sector that was changed is not read, but an error (writes cost "
    "more)\n"
    "  --ca F                who vouches for the service's certificate, PEM\n"
    "  --policy NAME         the service's policy that is to judge the guest\n"
    "  --key-name NAME       what the service calls the key\n"
    "  --cmdline S           of the kernel, before what says where the root is (default console=hvc0)\n"
    "  --size SIZE           of the file system (default what is in it and a little more)\n"
    "  --cpus N              virtual CPUs of the guest that is measured (default 1)\n"
    "  --memory SIZE         its memory (default 512M)\n"
    "  --corim-name NAME     writes snp.corim and tdx.corim besides: reference values of this name\n"
    "  --corim-version N     the values' version (default 1)\n"
    "  --corim-until TIME    until when they are valid (RFC 3339, UTC; without it, there is no end)\n"
    "  --corim-key PEM       signs them: an EC key of P-256 or P-384\n"
    "  --corim-issuer TEXT   with --corim-key: who signs\n"
    "  --json                the result as one JSON object\n"
    "\n"
    "The images that a host stores which runs cofred (each action explains itself: cofre image add "
    "--help):\n"
    "\n"
    "  add          stores a file; its digest is what definitions name it by\n"
    "  list         lists the tenant's images and tags\n"
    "  show         shows an image by its digest or a tag\n"
    "  delete       deletes an image that no guest needs, or a tag\n"
    "  tag          gives an image a name\n"
    "\n"
    "No file of the image is newer than SOURCE_DATE_EPOCH (environment; seconds since 1970), where it is "
    "set.\n"
    "\n"
    "example: cofre image --rootfs rootfs.tar --root verity --out web --corim-name web\n";

enum {
    ROOTFS,
    ROOT,
    OUT,
    KEY,
    TRUST,
    RELAY,
    CA,
    POLICY,
    KEY_NAME,
    CMDLINE,
    SIZE,
    CPUS,
    MEMORY,
    CORIM_NAME,
    CORIM_VERSION,
    CORIM_UNTIL,
    CORIM_KEY,
    CORIM_ISSUER,
    VALUES,
    JSON = VALUES,
    INTEGRITY,
    HELP
};

static const struct option options[] = {
    {"rootfs", required_argument, NULL, ROOTFS},
    {"root", required_argument, NULL, ROOT},
    {"out", required_argument, NULL, OUT},
    {"key", required_argument, NULL, KEY},
    {"trust", required_argument, NULL, TRUST},
    {"relay", required_argument, NULL, RELAY},
    {"ca", required_argument, NULL, CA},
    {"policy", required_argument, NULL, POLICY},
    {"key-name", required_argument, NULL, KEY_NAME},
    {"cmdline", required_argument, NULL, CMDLINE},
    {"size", required_argument, NULL, SIZE},
    {"cpus", required_argument, NULL, CPUS},
    {"memory", required_argument, NULL, MEMORY},
    {"corim-name", required_argument, NULL, CORIM_NAME},
    {"corim-version", required_argument, NULL, CORIM_VERSION},
    {"corim-until", required_argument, NULL, CORIM_UNTIL},
    {"corim-key", required_argument, NULL, CORIM_KEY},
    {"corim-issuer", required_argument, NULL, CORIM_ISSUER},
    {"integrity", no_argument, NULL, INTEGRITY},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {0},
};

static const struct tee_ops *const tees[] = {&snp_tee_ops, &tdx_tee_ops};
#define TEES (sizeof tees / sizeof *tees)

struct request {
    const char *value[VALUES];
    char *cmdline; /* with what a guest of luks asks for */
    struct image_spec spec;
    uint64_t cpus, memory;
    bool json;
};

struct result {
    struct image image;
    char *disk; /* as --disk takes it */
    struct measured measured[TEES];
};

static void request_free(struct request *r)
{
    free(r->cmdline);
}

static void result_free(struct result *result)
{
    image_free(&result->image);
    free(result->disk);
}

/* 1 where the help was asked for. */
static int parse_options(struct request *r, int argc, char **argv, struct cofre_err *err)
{
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == HELP)
            return 1;
        if (o == '?')
            return cofre_fail(err, COFRE_USAGE, "cofre image --help lists the options");
        if (o == JSON)
            r->json = true;
        else if (o == INTEGRITY)
            r->spec.integrity = true;
        else
            r->value[o] = optarg;
    }
    if (optind != argc)
        return cofre_fail(err, COFRE_USAGE, "\"%s\" is no option; cofre image --help lists them",
                          argv[optind]);
    return 0;
}

static int check_kind(struct request *r, struct cofre_err *err)
{
    unsigned kind = 0;
    while (kind < ROOT_KINDS && strcmp(r->value[ROOT], root_kind_names[kind]) != 0)
        kind++;
    if (kind == ROOT_KINDS)
        return cofre_fail(err, COFRE_USAGE, "--root %s is not known (verity, luks)", r->value[ROOT]);
    r->spec.root = (enum root_kind)kind;
    if (kind != ROOT_LUKS && r->spec.integrity)
        return cofre_fail(err, COFRE_USAGE, "--integrity goes with --root luks");
    for (int i = KEY; i <= KEY_NAME; i++) {
        if (kind == ROOT_LUKS && !r->value[i] && i != RELAY)
            return cofre_fail(err, COFRE_USAGE, "--%s is missing: --root luks needs it", options[i].name);
        if (kind != ROOT_LUKS && r->value[i])
            return cofre_fail(err, COFRE_USAGE, "--%s goes with --root luks", options[i].name);
        if (i != KEY && i != CA && r->value[i] && (!*r->value[i] || strpbrk(r->value[i], " \t\n\"")))
            return cofre_fail(err, COFRE_USAGE, "--%s: \"%s\" cannot be a word of a command line",
                              options[i].name, r->value[i]);
    }
    return 0;
}

/* What the guest asks for stands on the command line: who changes it has another guest. */
static int make_cmdline(struct request *r, struct cofre_err *err)
{
    const char *relay = r->value[RELAY];
    int n =
        r->spec.root == ROOT_LUKS
            ? asprintf(&r->cmdline, "%s%scofre.trust=%s%s%s cofre.policy=%s cofre.key=%s", r->value[CMDLINE],
                       *r->value[CMDLINE] ? " " : "", r->value[TRUST], relay ? " cofre.relay=" : "",
                       relay ? relay : "", r->value[POLICY], r->value[KEY_NAME])
            : asprintf(&r->cmdline, "%s", r->value[CMDLINE]);
    if (n < 0)
        r->cmdline = NULL;
    r->spec.cmdline = r->cmdline;
    return n < 0 ? cofre_fail(err, COFRE_FAILED, "the command line: out of memory") : 0;
}

static struct measure_corim corim_of(const struct request *r, const char *file)
{
    return (struct measure_corim){.file = r->value[CORIM_NAME] ? file : NULL,
                                  .name = r->value[CORIM_NAME],
                                  .version = r->value[CORIM_VERSION],
                                  .until = r->value[CORIM_UNTIL],
                                  .key = r->value[CORIM_KEY],
                                  .issuer = r->value[CORIM_ISSUER]};
}

static int check_corim(const struct request *r, struct cofre_err *err)
{
    for (int i = CORIM_VERSION; i < VALUES; i++)
        if (r->value[i] && !r->value[CORIM_NAME])
            return cofre_fail(err, COFRE_USAGE, "--%s goes with --corim-name", options[i].name);
    const struct measure_corim corim = corim_of(r, "snp.corim");
    return measure_corim_check(&corim, err);
}

static int check(struct request *r, struct cofre_err *err)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    uint64_t time = INT64_MAX;
    for (int i = ROOTFS; i <= OUT; i++)
        if (!r->value[i])
            return cofre_fail(err, COFRE_USAGE, "--%s is missing", options[i].name);
    r->spec.rootfs = r->value[ROOTFS];
    r->spec.folder = r->value[OUT];
    r->spec.key = r->value[KEY];
    r->spec.ca = r->value[CA];
    int rc = check_kind(r, err);
    if (rc == 0)
        rc = make_cmdline(r, err);
    if (rc == 0 && r->value[SIZE])
        rc = size_parse(&r->spec.size, r->value[SIZE], "--size", err);
    if (rc == 0)
        rc = number_parse(&r->cpus, r->value[CPUS], "--cpus", 1, BOOT_CPUS_MAX, err);
    if (rc == 0 && r->value[MEMORY])
        rc = size_parse(&r->memory, r->value[MEMORY], "--memory", err);
    if (rc == 0 && epoch && *epoch)
        rc = number_parse(&time, epoch, "SOURCE_DATE_EPOCH", 0, UINT32_MAX, err);
    r->spec.time = (int64_t)time;
    return rc < 0 ? rc : check_corim(r, err);
}

static const struct device_kind *disk_kind(void)
{
    const struct device_kind *kind = device_kinds;
    while (strcmp(kind->option, "disk") != 0)
        kind++;
    return kind;
}

static int measure(struct result *out, const struct request *r, struct cofre_err *err)
{
    if (asprintf(&out->disk, "%s%s", out->image.disk, r->spec.root == ROOT_VERITY ? ",ro" : "") < 0) {
        out->disk = NULL;
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    const struct device_request disk = {disk_kind(), out->disk};
    const struct guest_spec spec = {.kernel = out->image.kernel,
                                    .initrd = out->image.initrd,
                                    .cmdline = out->image.cmdline,
                                    .cpus = (unsigned)r->cpus,
                                    .memory = r->memory,
                                    .device = &disk,
                                    .devices = 1};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < TEES; i++)
        rc = measured_guest(&out->measured[i], tees[i], &spec, NULL, err);
    return rc;
}

/* What a policy calls a measurement; RTMR3 is the running guest's own. */
static json_t *policy_of(const struct measured *m)
{
    static const struct {
        const char *name, *member;
    } members[] = {{"launch digest", "measurement"},
                   {"MRTD", "mrtd"},
                   {"RTMR0", "rtmr0"},
                   {"RTMR1", "rtmr1"},
                   {"RTMR2", "rtmr2"}};
    json_t *policy = json_object();
    for (int i = 0; i < m->count; i++)
        for (size_t k = 0; k < sizeof members / sizeof *members; k++)
            if (strcmp(m->value[i].name, members[k].name) == 0) {
                char hex[2 * sizeof m->value[i].value + 1];
                hex_encode(hex, m->value[i].value, sizeof m->value[i].value);
                json_object_set_new(policy, members[k].member, json_pack("[s]", hex));
            }
    return policy;
}

static int write_policy(const struct result *result, const struct request *r, struct cofre_err *err)
{
    CLEAN_JSON *policy = json_object();
    CLEAN_FREE char *path = NULL;
    for (size_t i = 0; i < TEES; i++)
        json_object_set_new(policy, tees[i]->name, policy_of(&result->measured[i]));
    CLEAN_FREE char *text = json_dumps(policy, JSON_INDENT(2));
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "the policy: out of memory");
    int rc = image_path(&path, r->spec.folder, "policy.json", err);
    return rc < 0 ? rc : file_write(path, (struct view){(const uint8_t *)text, strlen(text)}, 0644, err);
}

static int write_corims(const struct result *result, const struct request *r, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && r->value[CORIM_NAME] && i < TEES; i++) {
        CLEAN_FREE char *path = NULL;
        char name[16];
        (void)snprintf(name, sizeof name, "%s.corim", tees[i]->name);
        rc = image_path(&path, r->spec.folder, name, err);
        const struct measure_corim corim = corim_of(r, path);
        if (rc == 0)
            rc = measure_corim_write(&corim, tees[i]->name, result->measured[i].value,
                                     result->measured[i].count, err);
    }
    return rc;
}

static void print_json(const struct result *result, const struct request *r)
{
    CLEAN_JSON *all = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "kernel", result->image.kernel, "initrd",
                                result->image.initrd, "cmdline", result->image.cmdline, "disk", result->disk,
                                "cpus", (json_int_t)r->cpus, "memory", (json_int_t)r->memory);
    for (size_t i = 0; i < TEES; i++) {
        json_t *one = json_object();
        measured_json(one, &result->measured[i]);
        json_object_set_new(all, tees[i]->name, one);
    }
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
}

static void print_text(const struct result *result, const struct request *r)
{
    for (size_t i = 0; i < TEES; i++)
        for (int k = 0; k < result->measured[i].count; k++) {
            const struct tee_measurement *m = &result->measured[i].value[k];
            char hex[2 * sizeof m->value + 1];
            hex_encode(hex, m->value, sizeof m->value);
            printf("%s %s %s\n", tees[i]->name, m->name, hex);
        }
    printf(
        "\ncofre run --tee snp --kernel %s --initrd %s --cmdline \"$(cat %s/cmdline)\" --disk %s --cpus %llu "
        "--memory %llu\n",
        result->image.kernel, result->image.initrd, r->spec.folder, result->disk, (unsigned long long)r->cpus,
        (unsigned long long)r->memory);
}

static int build(struct result *result, struct request *r, struct cofre_err *err)
{
    int rc = check(r, err);
    if (rc == 0)
        rc = image_build(&result->image, &r->spec, err);
    if (rc == 0)
        rc = measure(result, r, err);
    if (rc == 0)
        rc = write_policy(result, r, err);
    return rc < 0 ? rc : write_corims(result, r, err);
}

int verb_image(int argc, char **argv)
{
    __attribute__((cleanup(request_free))) struct request r = {
        .value = {[CMDLINE] = "console=hvc0", [CPUS] = "1"}, .memory = BOOT_MEMORY_DEFAULT};
    __attribute__((cleanup(result_free))) struct result result = {0};
    struct cofre_err err;
    if (argc > 1 && host_has_action(argv[0], argv[1]))
        return verb_host(argc, argv);
    int rc = parse_options(&r, argc, argv, &err);
    if (rc == 1) {
        fputs(help, stdout);
        return 0;
    }
    if (rc == 0)
        rc = build(&result, &r, &err);
    if (rc < 0) {
        fprintf(stderr, "cofre image: %s\n", err.text);
        return -rc;
    }
    (r.json ? print_json : print_text)(&result, &r);
    return 0;
}
