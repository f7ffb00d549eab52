/* cofre doctor: what this host can launch, what is missing, and the command that fixes it. */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sev/launch/platform.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/cli/verb.h"
#include "vmm/kvm/probe.h"

static const char help[] =
    "usage: cofre doctor [--json]\n"
    "\n"
    "Says what this host can launch: plain guests, SEV-SNP guests on hardware, SEV-SNP guests on\n"
    "the emulated platform. Each line is one thing that was looked at; where it is missing, the\n"
    "lines below it say what that means and what to do. Nothing is changed.\n"
    "Exit code: 0 when SEV-SNP guests can be launched in one of the two ways, else 4.\n"
    "\n"
    "  --json   the findings as one JSON object\n"
    "\n"
    "example: cofre doctor\n";

/* What a line is needed for; a platform can launch when all of its lines are good. */
enum { PLAIN = 1, HARDWARE = 2, EMULATED = 4 };

struct finding {
    const char *id;
    unsigned needed_for;                   /* 0: good to know */
    const char *consequence, *remedy;      /* where it is missing */
    bool (*look)(char *what, size_t size); /* writes what was seen; true: good */
};

/* Reads the first line of a small file; empty where it cannot be read. */
static void first_line(const char *path, char *line, size_t size)
{
    CLEAN_BYTES file = {0};
    line[0] = 0;
    if (file_read(&file, path, 65536, NULL) < 0 || file.len == 0)
        return;
    size_t len =
        strcspn((const char *)file.data, "\n") < file.len ? strcspn((const char *)file.data, "\n") : file.len;
    snprintf(line, size, "%.*s", (int)(len < size ? len : size - 1), (const char *)file.data);
}

static bool open_kvm(struct kvm *kvm, char *what, size_t size)
{
    struct cofre_err err;
    if (kvm_open(kvm, &kvm_backend_kernel, &err) == 0)
        return true;
    snprintf(what, size, "%s", err.text);
    return false;
}

static bool look_kvm(char *what, size_t size)
{
    struct kvm kvm;
    if (!open_kvm(&kvm, what, size))
        return false;
    struct cofre_err err = {.text = "/dev/kvm runs guests"};
    int rc = kvm_probe(&kvm, &err);
    kvm_close(&kvm);
    snprintf(what, size, "%s", err.text);
    return rc == 0;
}

static bool look_kernel(char *what, size_t size)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
        return false;
    snprintf(what, size, "Linux %s", u.release);
    return major > 6 || (major == 6 && minor >= 11);
}

static bool look_cpu(char *what, size_t size)
{
    struct snp_cpu cpu;
    snp_cpu_read(&cpu);
    if (cpu.snp)
        snprintf(what, size, "the CPU has SEV-SNP, C-bit %u", cpu.c_bit);
    else
        snprintf(what, size, "the CPU shows no SEV-SNP");
    return cpu.snp;
}

static bool look_asids(char *what, size_t size)
{
    struct snp_cpu cpu;
    snp_cpu_read(&cpu);
    snprintf(what, size, "%u address space identifiers (ASIDs), %u of them for SEV-ES and SEV-SNP",
             cpu.guests_max, cpu.snp_asids);
    return cpu.snp_asids > 0;
}

static bool look_iommu(char *what, size_t size)
{
    DIR *d = opendir("/sys/class/iommu");
    unsigned count = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        count += e->d_name[0] != '.';
    if (d)
        closedir(d);
    snprintf(what, size, "%u IOMMUs in /sys/class/iommu", count);
    return count > 0;
}

static bool look_parameter(char *what, size_t size)
{
    char value[16];
    first_line("/sys/module/kvm_amd/parameters/sev_snp", value, sizeof value);
    if (value[0])
        snprintf(what, size, "kvm_amd has sev_snp=%s", value);
    else
        snprintf(what, size, "kvm_amd is not loaded, or has no parameter sev_snp");
    return value[0] == 'Y' || value[0] == '1';
}

static bool look_vm_type(char *what, size_t size)
{
    struct kvm kvm;
    if (!open_kvm(&kvm, what, size))
        return false;
    int types = kvm_check_extension(&kvm, KVM_CAP_VM_TYPES);
    kvm_close(&kvm);
    snprintf(what, size, "KVM offers the virtual machine types 0x%x", types);
    return types >> KVM_X86_SNP_VM & 1;
}

static bool look_firmware(char *what, size_t size)
{
    struct snp_platform_status s;
    struct cofre_err err;
    if (snp_platform_status(&s, &err) < 0) {
        snprintf(what, size, "%s", err.text);
        return false;
    }
    snprintf(what, size, "SEV-SNP firmware %u.%u build %u, %s, RMP %s, reported TCB %016llx%s", s.api_major,
             s.api_minor, s.build, s.state == 1 ? "initialised" : "not initialised",
             s.rmp_initialised ? "initialised" : "not initialised", (unsigned long long)s.reported_tcb,
             s.vlek ? ", VLEK installed" : "");
    return s.state == 1 && s.rmp_initialised;
}

static bool look_certificates(char *what, size_t size)
{
    struct kvm kvm;
    if (!open_kvm(&kvm, what, size))
        return false;
    uint64_t value = 0;
    bool there = kvm_device_attr(&kvm, UAPI_X86_GRP_SEV, UAPI_X86_SEV_REQ_CERTS, &value) && value;
    kvm_close(&kvm);
    snprintf(what, size, there ? "KVM asks us for certificates" : "KVM does not ask us for certificates");
    return there;
}

static bool look_emulation(char *what, size_t size)
{
    static const struct {
        unsigned capability;
        const char *name;
    } needed[] = {{KVM_CAP_XEN_HVM, "KVM_CAP_XEN_HVM"},
                  {KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR"},
                  {KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER"}};
    struct kvm kvm;
    if (!open_kvm(&kvm, what, size))
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

static const struct finding findings[] = {
    {"kvm", PLAIN | HARDWARE | EMULATED, "no guest can run here",
     "enable SVM or VT-x in the firmware settings; modprobe kvm-amd (or kvm-intel); be in the group kvm",
     look_kvm},
    {"cpu", HARDWARE, "no SEV-SNP guest on hardware",
     "use an AMD EPYC 7003 or later, with SME, SEV-ES and SEV-SNP enabled "
     "in the firmware settings",
     look_cpu},
    {"asids", HARDWARE, "no encrypted guest can be given a key",
     "in the firmware settings raise \"SEV-ES ASID space limit\"", look_asids},
    {"iommu", HARDWARE, "Linux does not initialise SEV-SNP without an IOMMU",
     "enable the IOMMU in the firmware settings; do not boot with iommu=off or iommu=pt", look_iommu},
    {"kernel", HARDWARE, "KVM of this kernel cannot launch SEV-SNP guests", "boot Linux 6.11 or later",
     look_kernel},
    {"sev_snp", HARDWARE, "KVM does not use SEV-SNP", "modprobe -r kvm_amd; modprobe kvm_amd sev_snp=1",
     look_parameter},
    {"vm-type", HARDWARE, "KVM offers no SEV-SNP virtual machines",
     "see sev_snp above; dmesg | grep -i sev says more", look_vm_type},
    {"firmware", HARDWARE, "the security processor cannot launch a guest",
     "enable SNP memory coverage (RMP) in the firmware settings and restart", look_firmware},
    {"certificates", 0, "reports come without certificates; verifiers need \"cofre verify --cert\"",
     "boot Linux 7.0 or later", look_certificates},
    {"emulation", EMULATED, "no emulated SEV-SNP guests on this KVM", "use a kernel with CONFIG_KVM_XEN=y",
     look_emulation},
    {"module", EMULATED, "no emulated SEV-SNP guests on this kernel",
     "vmm/quickstart runs them in a software machine; or build vmm/emu/module and insmod cofre_ud.ko",
     look_module},
};

static json_t *finding_json(const struct finding *f, bool good, const char *what)
{
    return json_pack("{s:s, s:b, s:s, s:s, s:s}", "id", f->id, "ok", good, "found", what, "consequence",
                     good ? "" : f->consequence, "remedy", good ? "" : f->remedy);
}

static void finding_print(const struct finding *f, bool good, const char *what)
{
    printf("%-8s %-13s %s\n", good ? "ok" : f->needed_for ? "missing" : "without", f->id, what);
    if (!good)
        printf("%22s means: %s\n%22s do:    %s\n", "", f->consequence, "", f->remedy);
}

int verb_doctor(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'j') {
            json = true;
            continue;
        }
        fputs(help, o == 'h' ? stdout : stderr);
        return o == 'h' ? 0 : COFRE_USAGE;
    }
    if (optind != argc) {
        fputs(help, stderr);
        return COFRE_USAGE;
    }
    unsigned can = PLAIN | HARDWARE | EMULATED;
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof findings / sizeof *findings; i++) {
        char what[1024] = "";
        bool good = findings[i].look(what, sizeof what);
        if (!good)
            can &= ~findings[i].needed_for;
        if (json)
            json_array_append_new(list, finding_json(&findings[i], good, what));
        else
            finding_print(&findings[i], good, what);
    }
    const bool plain = can & PLAIN, hardware = can & HARDWARE, emulated = can & EMULATED;
    if (json) {
        json_t *all = json_pack("{s:{s:b, s:b, s:b}, s:O}", "can_launch", "none", plain, "snp", hardware,
                                "snp_emulated", emulated, "findings", list);
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    } else {
        printf("\nThis host can launch: %s%s%s%s\n", plain ? "plain guests" : "no guests",
               hardware ? ", SEV-SNP guests" : "",
               emulated ? ", emulated SEV-SNP guests (no confidentiality)" : "",
               hardware || emulated ? "" : "; vmm/quickstart needs none of this");
    }
    json_decref(list);
    return hardware || emulated ? 0 : COFRE_LACKING;
}
