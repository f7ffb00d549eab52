/*
 * Runs guest.c's payload on the emulated backend and counts its checks: the emulation alone, without our launch code
 * and machine. Output in TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sev/abi.h"
#include "tests/lab/emu/guest.h"
#include "tests/lab/emu/tap.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/kvm/backend.h"
#include "vmm/kvm/uapi.h"

static const struct kvm_backend *kvm = &kvm_backend_emulated;
static int vm, kvm_fd, sev_fd;
static uint8_t *ram;
static bool two_large_pages_in_one_exit;
static unsigned implicit_conversions;

static int sev(uint32_t id, void *data, uint32_t *error)
{
    struct uapi_sev_cmd cmd = {.id = id, .data = (uintptr_t)data, .sev_fd = (uint32_t)sev_fd};
    int rc = kvm->ioctl(vm, KVM_MEMORY_ENCRYPT_OP, &cmd);
    *error = cmd.error;
    return rc;
}

static void must_sev(uint32_t id, void *data, const char *what)
{
    uint32_t error;
    if (sev(id, data, &error) < 0) {
        printf("Bail out! %s: %s, firmware code %#x\n", what, strerror(errno), error);
        exit(1);
    }
}

static void set_private(uint64_t gpa, uint64_t size, bool private)
{
    struct uapi_memory_attributes attributes = {
        .address = gpa, .size = size, .attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0};
    must(kvm->ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes), "memory attributes");
}

static void add_memory(void)
{
    struct uapi_create_guest_memfd create = {.size = GUEST_RAM};
    int gmem = must(kvm->ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create), "guest_memfd");
    ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    memset(ram, 0xee, 4096); /* must survive that the backend takes the memory over */
    struct uapi_memory_region2 region = {
        .flags = KVM_MEM_GUEST_MEMFD,
        .memory_size = GUEST_RAM,
        .userspace_addr = (uintptr_t)ram,
        .guest_memfd = (uint32_t)gmem,
    };
    must(kvm->ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region), "memory region");
    result(ram[0] == 0xee && ram[4095] == 0xee, "the caller's memory keeps its contents");
}

static void load(uint64_t gpa, const void *data, uint64_t len, uint8_t type)
{
    struct uapi_snp_launch_update update = {
        .gfn_start = gpa / 4096, .uaddr = (uintptr_t)data, .len = len, .type = type};
    while (update.len)
        must_sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &update, "launch update");
}

static int make_vcpu(unsigned id)
{
    int fd = must(kvm->ioctl(vm, KVM_CREATE_VCPU, (void *)(uintptr_t)id), "vCPU");
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
    cpuid->nent = 256;
    must(kvm->ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid), "supported CPUID");
    must(kvm->ioctl(fd, KVM_SET_CPUID2, cpuid), "CPUID");
    free(cpuid);
    struct kvm_sregs s;
    must(kvm->ioctl(fd, KVM_GET_SREGS, &s), "sregs");
    s.cs = (struct kvm_segment){
        .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1};
    s.ds = (struct kvm_segment){
        .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
    s.es = s.ss = s.fs = s.gs = s.ds;
    s.cr0 = 0x11;
    must(kvm->ioctl(fd, KVM_SET_SREGS, &s), "sregs");
    struct kvm_regs r = {.rip = GUEST_BASE, .rflags = 2};
    must(kvm->ioctl(fd, KVM_SET_REGS, &r), "regs");
    return fd;
}

static void on_hypercall(struct kvm_run *run)
{
    if (run->hypercall.args[0] == 0x1000000 && run->hypercall.args[1] == 1024)
        two_large_pages_in_one_exit = true;
    set_private(run->hypercall.args[0], run->hypercall.args[1] * 4096,
                run->hypercall.args[2] & UAPI_MAP_GPA_PRIVATE);
    run->hypercall.ret = 0;
}

static void on_certificates(struct kvm_run *run)
{
    struct uapi_exit_snp_req_certs *ask = uapi_exit_snp_req_certs(run);
    if (ask->npages < 2) {
        ask->npages = 2;
        ask->ret = ENOSPC;
        return;
    }
    memset(ram + ask->gpa, GUEST_ECHO, 4096);
    ask->ret = 0;
}

/* A page was touched as what it is not; other faults end the test. */
static bool on_memory_fault(struct kvm_run *run)
{
    const struct uapi_exit_memory_fault *fault = uapi_exit_memory_fault(run);
    if (errno != EFAULT || run->exit_reason != KVM_EXIT_MEMORY_FAULT || fault->flags ||
        fault->gpa != GUEST_IMPLICIT || fault->size != 4096)
        return false;
    set_private(fault->gpa, fault->size, false);
    implicit_conversions++;
    return true;
}

/* Runs until the guest terminates; the MSR value that it gave. */
static uint64_t run_vcpu(int fd, struct kvm_run *run)
{
    for (;;) {
        if (kvm->ioctl(fd, KVM_RUN, NULL) < 0) {
            if (errno == EINTR || on_memory_fault(run))
                continue;
            printf("Bail out! KVM_RUN: %s, exit %u\n", strerror(errno), run->exit_reason);
            exit(1);
        }
        switch (run->exit_reason) {
        case KVM_EXIT_IO:
            on_io(run);
            break;
        case KVM_EXIT_MMIO:
            run->mmio.data[0] = GUEST_ECHO;
            break;
        case KVM_EXIT_HYPERCALL:
            on_hypercall(run);
            break;
        case KVM_EXIT_SNP_REQ_CERTS:
            on_certificates(run);
            break;
        case KVM_EXIT_SYSTEM_EVENT:
            return run->system_event.data[0];
        default:
            printf("Bail out! exit %u\n", run->exit_reason);
            exit(1);
        }
    }
}

static struct kvm_run *map_run(int fd)
{
    size_t size = (size_t)must(kvm->ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL), "mmap size");
    struct kvm_run *run = kvm->mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(run == MAP_FAILED ? -1 : 0, "kvm_run");
    return run;
}

static void *second(void *argument)
{
    int fd = *(int *)argument;
    run_vcpu(fd, map_run(fd));
    return NULL;
}

int main(int argc, char **argv)
{
    static uint8_t payload[GUEST_SIZE] __attribute__((aligned(4096)));
    setvbuf(stdout, NULL, _IOLBF, 0);
    CLEAN_BYTES file = {0};
    struct cofre_err err;
    if (argc != 2 || file_read(&file, argv[1], GUEST_SIZE, &err) != 0) {
        printf("Bail out! usage: emu-run PAYLOAD\n");
        return 1;
    }
    memcpy(payload, file.data, file.len);

    kvm_fd = must(kvm->open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    sev_fd = must(kvm->open("/dev/sev", O_RDWR | O_CLOEXEC), "/dev/sev");
    vm = must(kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_SNP_VM), "virtual machine");
    struct uapi_sev_init2 init2 = {0};
    must_sev(UAPI_SEV_INIT2, &init2, "init2");
    must_sev(UAPI_SEV_SNP_ENABLE_REQ_CERTS, NULL, "certificate requests");
    struct uapi_snp_launch_start start = {.policy = SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT};
    must_sev(UAPI_SEV_SNP_LAUNCH_START, &start, "launch start");
    struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_HYPERCALL, .args = {1u << KVM_HC_MAP_GPA_RANGE}};
    must(kvm->ioctl(vm, KVM_ENABLE_CAP, &cap), "hypercall exits");
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
    must(kvm->ioctl(vm, KVM_ENABLE_CAP, &split), "split irqchip");
    add_memory();
    int vcpu[2] = {make_vcpu(0), make_vcpu(1)};
    set_private(0, GUEST_RAM, true);
    load(GUEST_BASE, payload, GUEST_SIZE, SNP_PAGE_NORMAL);
    load(GUEST_SECRETS, payload, 4096, SNP_PAGE_SECRETS);
    result(kvm->ioctl(vcpu[0], KVM_RUN, NULL) < 0 && errno == EINVAL,
           "no vCPU runs before the launch is finished");
    struct uapi_snp_launch_finish finish = {0};
    must_sev(UAPI_SEV_SNP_LAUNCH_FINISH, &finish, "launch finish");
    struct kvm_regs r;
    result(kvm->ioctl(vcpu[0], KVM_GET_REGS, &r) < 0 && errno == EINVAL, "registers cannot be read after it");

    pthread_t thread;
    pthread_create(&thread, NULL, second, &vcpu[1]);
    uint64_t end = run_vcpu(vcpu[0], map_run(vcpu[0]));
    result(end == (1u << 12 | GUEST_DONE << 16 | 0x100), "the guest came to its end");
    result(implicit_conversions == 1 && ram[GUEST_IMPLICIT + 8] == GUEST_ECHO &&
               ram[GUEST_IMPLICIT + 9] == GUEST_ECHO,
           "a page touched as shared left the guest once, and shows the caller what is written to it");
    result(two_large_pages_in_one_exit, "adjacent conversions come as one exit");
    tap_end();
}
