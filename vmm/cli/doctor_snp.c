/* cofre doctor, AMD SEV-SNP: CPU, IOMMU, kernel, firmware. */
#include <dirent.h>
#include <stdio.h>

#include "sev/launch/platform.h"
#include "vmm/cli/doctor.h"

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

static bool look_kernel(char *what, size_t size)
{
    return doctor_kernel(what, size, 11);
}

static bool look_parameter(char *what, size_t size)
{
    return doctor_parameter(what, size, "kvm_amd", "sev_snp");
}

static bool look_vm_type(char *what, size_t size)
{
    return doctor_vm_type(what, size, KVM_X86_SNP_VM);
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
    if (!doctor_open_kvm(&kvm, what, size))
        return false;
    uint64_t value = 0;
    bool there = kvm_device_attr(&kvm, UAPI_X86_GRP_SEV, UAPI_X86_SEV_REQ_CERTS, &value) && value;
    kvm_close(&kvm);
    snprintf(what, size, there ? "KVM asks us for certificates" : "KVM does not ask us for certificates");
    return there;
}

static const struct finding findings[] = {
    {"cpu", NEEDED_SNP, "no SEV-SNP guest on hardware",
     "use an AMD EPYC 7003 or later, with SME, SEV-ES and SEV-SNP enabled "
     "in the firmware settings",
     look_cpu},
    {"asids", NEEDED_SNP, "no encrypted guest can be given a key",
     "in the firmware settings raise \"SEV-ES ASID space limit\"", look_asids},
    {"iommu", NEEDED_SNP, "Linux does not initialise SEV-SNP without an IOMMU",
     "enable the IOMMU in the firmware settings; do not boot with iommu=off or iommu=pt", look_iommu},
    {"kernel", NEEDED_SNP, "KVM of this kernel cannot launch SEV-SNP guests", "boot Linux 6.11 or later",
     look_kernel},
    {"sev_snp", NEEDED_SNP, "KVM does not use SEV-SNP", "modprobe -r kvm_amd; modprobe kvm_amd sev_snp=1",
     look_parameter},
    {"vm-type", NEEDED_SNP, "KVM offers no SEV-SNP virtual machines",
     "see sev_snp above; dmesg | grep -i sev says more", look_vm_type},
    {"firmware", NEEDED_SNP, "the security processor cannot launch a guest",
     "enable SNP memory coverage (RMP) in the firmware settings and restart", look_firmware},
    {"certificates", 0, "reports come without certificates; verifiers need \"cofre verify --cert\"",
     "boot Linux 7.0 or later", look_certificates},
};

const struct findings doctor_snp = {"AuthenticAMD", findings, sizeof findings / sizeof *findings};
