/* cofre doctor: what this host can launch, what is missing, and the command that fixes it. */
#include <cpuid.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/doctor.h"
#include "vmm/cli/verb.h"
#include "vmm/kvm/probe.h"
#include "vmm/machine/jail.h"

static const char help[] =
    "usage: cofre doctor [--json] [--config F]\n"
    "\n"
    "Says what this host can launch: plain guests, SEV-SNP or TDX guests on hardware, and both on\n"
    "the emulated platform. Each line is one thing that was looked at; where it is missing, the\n"
    "lines below it say what that means and what to do. Nothing is changed.\n"
    "Where cofred is configured, what it needs of the host is looked at as well.\n"
    "Exit code: 0 when confidential guests can be launched in one of these ways, else 4.\n"
    "\n"
    "  --json      the findings as one JSON object\n"
    "  --config F  cofred's configuration, where it is not /etc/cofre/cofred.json\n"
    "\n"
    "example: cofre doctor\n";

void doctor_first_line(const char *path, char *line, size_t size)
{
    CLEAN_BYTES file = {0};
    line[0] = 0;
    if (file_read(&file, path, 65536, NULL) < 0 || file.len == 0)
        return;
    size_t len =
        strcspn((const char *)file.data, "\n") < file.len ? strcspn((const char *)file.data, "\n") : file.len;
    snprintf(line, size, "%.*s", (int)(len < size ? len : size - 1), (const char *)file.data);
}

bool doctor_open_kvm(struct kvm *kvm, char *what, size_t size)
{
    struct cofre_err err;
    if (kvm_open(kvm, &kvm_backend_kernel, &err) == 0)
        return true;
    snprintf(what, size, "%s", err.text);
    return false;
}

bool doctor_kernel(char *what, size_t size, unsigned least_minor)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
        return false;
    snprintf(what, size, "Linux %s", u.release);
    return major > 6 || (major == 6 && minor >= least_minor);
}

bool doctor_vm_type(char *what, size_t size, unsigned type)
{
    struct kvm kvm;
    if (!doctor_open_kvm(&kvm, what, size))
        return false;
    int types = kvm_check_extension(&kvm, KVM_CAP_VM_TYPES);
    kvm_close(&kvm);
    snprintf(what, size, "KVM offers the virtual machine types 0x%x", types);
    return types >> type & 1;
}

bool doctor_parameter(char *what, size_t size, const char *module, const char *name)
{
    char path[128], value[16];
    snprintf(path, sizeof path, "/sys/module/%s/parameters/%s", module, name);
    doctor_first_line(path, value, sizeof value);
    if (value[0])
        snprintf(what, size, "%s has %s=%s", module, name, value);
    else
        snprintf(what, size, "%s is not loaded, or has no parameter %s", module, name);
    return value[0] == 'Y' || value[0] == '1';
}

static bool look_kvm(char *what, size_t size)
{
    struct kvm kvm;
    if (!doctor_open_kvm(&kvm, what, size))
        return false;
    struct cofre_err err = {.text = "/dev/kvm runs guests"};
    int rc = kvm_probe(&kvm, &err);
    kvm_close(&kvm);
    snprintf(what, size, "%s", err.text);
    return rc == 0;
}

static bool look_emulation(char *what, size_t size)
{
    static const struct {
        unsigned capability;
        const char *name;
    } needed[] = {{KVM_CAP_XEN_HVM, "KVM_CAP_XEN_HVM"},
                  {KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR"},
                  {KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER"},
                  {KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"}};
    struct kvm kvm;
    if (!doctor_open_kvm(&kvm, what, size))
        return false;
    snprintf(what, size, "KVM has what the emulated platform is made of");
    bool good = true;
    for (size_t i = 0; i < sizeof needed / sizeof *needed && good; i++)
        if (kvm_check_extension(&kvm, needed[i].capability) == 0) {
            snprintf(what, size, "KVM lacks %s", needed[i].name);
            good = false;
        }
    kvm_close(&kvm);
    return good;
}

static bool look_module(char *what, size_t size)
{
    bool there = access("/dev/cofre-ud", R_OK | W_OK) == 0;
    snprintf(what, size,
             there ? "/dev/cofre-ud is there" : "/dev/cofre-ud is not there, or may not be opened");
    return there;
}

/* Has a process go into a jail as a guest's would; it tells what is missing, and ends. */
static void try_jail(char missing[256])
{
    struct jail jail;
    struct cofre_err err;
    int up[2];
    if (pipe2(up, O_CLOEXEC) < 0)
        return;
    CLEAN_FD reader = up[0];
    CLEAN_FD writer = up[1];
    pid_t child = jail_fork(&jail, &err);
    if (child == 0) {
        if (jail_enter(&jail, &err) || jail_limit_memory(&jail, &err))
            _exit(1);
        jail_missing(&jail, missing, 256);
        _exit(write(writer, missing, 256) != 256);
    }
    close(TAKE_FD(writer));
    if (child > 0 && read(reader, missing, 256) == 256)
        missing[255] = 0;
    if (child > 0)
        (void)waitpid(child, NULL, 0);
}

static bool look_jail(char *what, size_t size)
{
    char missing[256] = "all of it";
    try_jail(missing);
    if (missing[0])
        snprintf(what, size, "the process that faces a guest goes without: %s", missing);
    else
        snprintf(what, size, "the process that faces a guest gets all of its jail");
    return !missing[0];
}

static const struct finding here[] = {
    {"kvm", NEEDED_PLAIN | NEEDED_SNP | NEEDED_TDX | NEEDED_EMULATED, "no guest can run here",
     "enable SVM or VT-x in the firmware settings; modprobe kvm-amd (or kvm-intel); be in the group kvm",
     look_kvm},
    {"jail", 0, "a guest that takes its VMM over has fewer walls to break",
     "allow user namespaces (sysctl user.max_user_namespaces; on some hosts "
     "kernel.apparmor_restrict_unprivileged_userns=0) "
     "and Landlock (lsm= on the kernel's command line), or start guests as root",
     look_jail},
};

static const struct finding emulated[] = {
    {"emulation", NEEDED_EMULATED, "no emulated guests on this KVM", "use a kernel with CONFIG_KVM_XEN=y",
     look_emulation},
    {"module", NEEDED_EMULATED, "no emulated guests on this kernel",
     "vmm/quickstart runs them in a software machine; or build vmm/emu/module and insmod cofre_ud.ko",
     look_module},
};

static const struct findings doctor_host = {NULL, here, sizeof here / sizeof *here};
static const struct findings doctor_emulated = {NULL, emulated, sizeof emulated / sizeof *emulated};
static const struct findings *const groups[] = {&doctor_host, &doctor_snp, &doctor_tdx, &doctor_emulated};

static json_t *finding_json(const struct finding *f, bool good, const char *what)
{
    return json_pack("{s:s, s:b, s:s, s:s, s:s}", "id", f->id, "ok", good, "found", what, "consequence",
                     good ? "" : f->consequence, "remedy", good ? "" : f->remedy);
}

static void finding_print(const struct finding *f, bool good, const char *what)
{
    printf("%-8s %-15s %s\n", good ? "ok" : f->needed_for ? "missing" : "without", f->id, what);
    if (!good)
        printf("%24s means: %s\n%24s do:    %s\n", "", f->consequence, "", f->remedy);
}

static bool cpu_is_of(const char *vendor)
{
    unsigned eax, name[3];
    return !vendor ||
           (__get_cpuid(0, &eax, &name[0], &name[2], &name[1]) && memcmp(name, vendor, sizeof name) == 0);
}

/* Looks, and reports to list or, without one, to standard output; what of needed_for is missing. */
static unsigned look(const struct findings *group, json_t *list)
{
    unsigned missing = 0;
    const size_t count = cpu_is_of(group->vendor) ? group->count : 1;
    for (size_t i = 0; i < count; i++) {
        const struct finding *f = &group->finding[i];
        char what[1024] = "";
        bool good = f->look(what, sizeof what);
        if (!good)
            missing |= f->needed_for;
        if (list)
            json_array_append_new(list, finding_json(f, good, what));
        else
            finding_print(f, good, what);
    }
    return missing;
}

/* What cofred needs takes nothing from what can be launched. That it is not configured is no mistake, unless a file was named. */
static int look_at_cofred(const char *config, json_t *list)
{
    struct cofre_err err = {""};
    const bool there = doctor_read_cofred(config ? config : "/etc/cofre/cofred.json", &err);
    if (there)
        (void)look(&doctor_cofred, list);
    else if (config)
        fprintf(stderr, "cofre doctor: %s\n", err.text);
    doctor_forget_cofred();
    return there || !config ? 0 : COFRE_USAGE;
}

static bool has(unsigned can, unsigned what)
{
    return (can & what) != 0;
}

static void print_json(unsigned can, json_t *list)
{
    CLEAN_JSON *all =
        json_pack("{s:{s:b, s:b, s:b, s:b, s:b}, s:O}", "can_launch", "none", has(can, NEEDED_PLAIN), "snp",
                  has(can, NEEDED_SNP), "snp_emulated", has(can, NEEDED_EMULATED), "tdx",
                  has(can, NEEDED_TDX), "tdx_emulated", has(can, NEEDED_EMULATED), "findings", list);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
}

static void print_sentence(unsigned can)
{
    printf("\nThis host can launch: %s%s%s%s%s\n", can & NEEDED_PLAIN ? "plain guests" : "no guests",
           can & NEEDED_SNP ? ", SEV-SNP guests" : "", can & NEEDED_TDX ? ", TDX guests" : "",
           can & NEEDED_EMULATED ? ", emulated SEV-SNP and TDX guests (no confidentiality)" : "",
           can & ~NEEDED_PLAIN ? "" : "; vmm/quickstart needs none of this");
}

int verb_doctor(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *config = NULL;
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'j') {
            json = true;
            continue;
        }
        if (o == 'c') {
            config = optarg;
            continue;
        }
        fputs(help, o == 'h' ? stdout : stderr);
        return o == 'h' ? 0 : COFRE_USAGE;
    }
    if (optind != argc) {
        fputs(help, stderr);
        return COFRE_USAGE;
    }
    unsigned can = NEEDED_PLAIN | NEEDED_SNP | NEEDED_TDX | NEEDED_EMULATED;
    CLEAN_JSON *list = json ? json_array() : NULL;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        can &= ~look(groups[i], list);
    const int rc = look_at_cofred(config, list);
    if (rc)
        return rc;
    if (json)
        print_json(can, list);
    else
        print_sentence(can);
    return can & ~NEEDED_PLAIN ? 0 : COFRE_LACKING;
}
