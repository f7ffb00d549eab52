/* cofre doctor, Intel TDX: CPU and firmware settings, kernel, module, and what quotes need. */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/cli/doctor.h"
#include "vmm/cli/pccs.h"

#define CPU_INFO_MAX (16u << 20) /* 64 KiB a CPU are plenty, but there are hundreds */

/* A word of the first "flags" line of /proc/cpuinfo: what the kernel found usable. */
static bool cpu_flag(const char *flag)
{
    CLEAN_BYTES file = {0};
    if (file_read(&file, "/proc/cpuinfo", CPU_INFO_MAX, NULL) < 0 || file.len == 0)
        return false;
    file.data[file.len - 1] = 0;
    char *line = strstr((char *)file.data, "\nflags");
    if (!line)
        return false;
    line++;
    line[strcspn(line, "\n")] = 0;
    for (char *word, *rest = line; (word = strsep(&rest, " \t:"));)
        if (strcmp(word, flag) == 0)
            return true;
    return false;
}

static bool look_cpu(char *what, size_t size)
{
    bool there = cpu_flag("tdx_host_platform");
    snprintf(what, size, "%s",
             there ? "the CPU has TDX, and the firmware enabled it" : "the CPU shows no TDX");
    return there;
}

static bool look_memory_encryption(char *what, size_t size)
{
    unsigned eax, ebx, ecx = 0, edx;
    bool there = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && ecx >> 13 & 1;
    snprintf(what, size, "the CPU %s total memory encryption (TME)", there ? "has" : "shows no");
    return there;
}

static bool look_kernel(char *what, size_t size)
{
    return doctor_kernel(what, size, 16);
}

static bool look_parameter(char *what, size_t size)
{
    return doctor_parameter(what, size, "kvm_intel", "tdx");
}

static bool look_vm_type(char *what, size_t size)
{
    return doctor_vm_type(what, size, KVM_X86_TDX_VM);
}

static bool look_module(char *what, size_t size)
{
    char version[32];
    doctor_first_line("/sys/devices/faux/tdx_host/version", version, sizeof version);
    if (version[0])
        snprintf(what, size, "TDX module %s", version);
    else
        snprintf(what, size, "the kernel does not tell the TDX module's version");
    return version[0];
}

static bool look_sgx(char *what, size_t size)
{
    bool there = access("/dev/sgx_enclave", F_OK) == 0;
    snprintf(what, size, "/dev/sgx_enclave is %sthere", there ? "" : "not ");
    return there;
}

static bool look_quote_service(char *what, size_t size)
{
    int fd = kvm_backend_kernel.quote_service(NULL);
    snprintf(what, size, "the quote generation service at %s %s%s", KVM_QUOTE_SERVICE,
             fd < 0 ? "cannot be reached: " : "is there", fd < 0 ? strerror(errno) : "");
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool look_pccs(char *what, size_t size)
{
    CLEAN_BYTES config = {0};
    struct pccs pccs;
    struct cofre_err err;
    if (file_read(&config, PCCS_CONFIG, 65536, &err) < 0) {
        snprintf(what, size, "%s", err.text);
        return false;
    }
    if (pccs_read(&pccs, bytes_view(&config), &err) < 0) {
        snprintf(what, size, "%s: %s", PCCS_CONFIG, err.text);
        return false;
    }
    if (pccs_connect(&pccs, &err) < 0) {
        snprintf(what, size, "the certificate caching service cannot be reached: %s", err.text);
        return false;
    }
    snprintf(what, size, "the certificate caching service is at %s port %s", pccs.host, pccs.port);
    return true;
}

static const struct finding findings[] = {
    {"tdx-cpu", NEEDED_TDX, "no TDX guest on hardware",
     "use a 5th generation Intel Xeon or later; in the firmware settings enable TME, TME-MT (multi-tenant), "
     "TDX and "
     "the SEAM loader, disable memory integrity, and give TDX a part of the TME-MT keys",
     look_cpu},
    {"tdx-memory", NEEDED_TDX, "TDX encrypts memory by TME-MT, which this CPU or its settings lack",
     "in the firmware settings enable total memory encryption (TME) and TME-MT", look_memory_encryption},
    {"tdx-kernel", NEEDED_TDX, "KVM of this kernel cannot launch TDX guests", "boot Linux 6.16 or later",
     look_kernel},
    {"tdx", NEEDED_TDX, "KVM does not use TDX",
     "modprobe -r kvm_intel; modprobe kvm_intel tdx=1; where that does not help, boot with nohibernate",
     look_parameter},
    {"tdx-vm-type", NEEDED_TDX, "KVM offers no TDX virtual machines",
     "see tdx above; dmesg | grep -i tdx says whether the firmware loaded the TDX module", look_vm_type},
    {"tdx-module", 0, "only a quote shows which TDX module runs here",
     "modprobe tdx-host, where the kernel has it (Linux 7.3 does)", look_module},
    {"tdx-sgx", 0, "no quoting enclave: guests run, but can prove nothing to others",
     "enable SGX in the firmware settings", look_sgx},
    {"tdx-quotes", 0, "guests run, but get no quotes",
     "install Intel's tdx-qgs and start qgsd; be allowed to write to its socket", look_quote_service},
    {"tdx-pccs", 0, "the quoting enclave may lack its platform's certificate, and so guests their quotes",
     "start a PCCS, or set \"pccs_url\" in " PCCS_CONFIG, look_pccs},
};

const struct findings doctor_tdx = {"GenuineIntel", findings, sizeof findings / sizeof *findings};
