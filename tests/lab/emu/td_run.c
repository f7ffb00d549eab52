/*
 * Runs td.c's payload on the emulated backend and counts its checks: the emulation alone, without our launch code and
 * machine. Output in TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tdx/abi.h"
#include "tests/lab/emu/guest.h"
#include "tests/lab/emu/tap.h"
#include "tests/lab/emu/td.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/kvm/backend.h"
#include "vmm/kvm/uapi.h"

static const struct kvm_backend *kvm = &kvm_backend_emulated;
static int vm, kvm_fd, vcpu;
static uint8_t *ram;
static unsigned conversions;

static void must_tdx(int fd, uint32_t id, uint32_t flags, uint64_t data, const char *what)
{
    struct uapi_tdx_cmd cmd = {.id = id, .flags = flags, .data = data};
    if (kvm->ioctl(fd, KVM_MEMORY_ENCRYPT_OP, &cmd) < 0) {
        printf("# module status %#llx\n", (unsigned long long)cmd.hw_error);
        give_up(what);
    }
}

static void enable(uint32_t cap, uint64_t argument)
{
    struct kvm_enable_cap enable = {.cap = cap, .args = {argument}};
    must(kvm->ioctl(vm, KVM_ENABLE_CAP, &enable), "capability");
}

static void set_private(uint64_t gpa, uint64_t size, bool private)
{
    struct uapi_memory_attributes attributes = {
        .address = gpa, .size = size, .attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0};
    must(kvm->ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes), "memory attributes");
}

static uint8_t *add_memory(uint32_t slot, uint64_t gpa, uint64_t size)
{
    struct uapi_create_guest_memfd create = {.size = size};
    int gmem = must(kvm->ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create), "guest_memfd");
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct uapi_memory_region2 region = {
        .slot = slot,
        .flags = KVM_MEM_GUEST_MEMFD,
        .guest_phys_addr = gpa,
        .memory_size = size,
        .userspace_addr = (uintptr_t)p,
        .guest_memfd = (uint32_t)gmem,
    };
    must(kvm->ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region), "memory region");
    set_private(gpa, size, true);
    return p;
}

static void load(uint64_t gpa, const void *data, uint64_t len)
{
    struct uapi_tdx_init_mem_region region = {(uintptr_t)data, gpa, len / 4096};
    must_tdx(vcpu, UAPI_TDX_INIT_MEM_REGION, UAPI_TDX_MEASURE_MEMORY_REGION, (uintptr_t)&region, "memory");
}

static void init_vm(void)
{
    struct {
        struct uapi_tdx_init_vm head;
        struct kvm_cpuid_entry2 entry[1];
    } init = {.head = {.attributes = TDX_ATTR_SEPT_VE_DISABLE, .xfam = 3, .cpuid.nent = 1},
              .entry = {{.function = 0x80000008, .eax = TDX_GPAW << 16}}};
    must_tdx(vm, UAPI_TDX_INIT_VM, 0, (uintptr_t)&init, "INIT_VM");
}

static void make_vcpu(void)
{
    vcpu = must(kvm->ioctl(vm, KVM_CREATE_VCPU, NULL), "vCPU");
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
    cpuid->nent = 256;
    must(kvm->ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid), "supported CPUID");
    must(kvm->ioctl(vcpu, KVM_SET_CPUID2, cpuid), "CPUID");
    free(cpuid);
    must_tdx(vcpu, UAPI_TDX_INIT_VCPU, 0, 0, "INIT_VCPU");
}

static void on_hypercall(struct kvm_run *run)
{
    conversions++;
    set_private(run->hypercall.args[0], run->hypercall.args[1] * 4096,
                run->hypercall.args[2] & UAPI_MAP_GPA_PRIVATE);
    run->hypercall.ret = 0;
}

static void on_tdx(struct kvm_run *run)
{
    struct uapi_exit_tdx *exit = uapi_exit_tdx(run);
    exit->unknown.ret = TDVMCALL_SUCCESS;
    if (exit->nr == TDVMCALL_GET_TD_VM_CALL_INFO)
        exit->get_tdvmcall_info.r11 = 2;
    if (exit->nr == TDVMCALL_GET_QUOTE)
        memset(ram + exit->get_quote.gpa, GUEST_ECHO, exit->get_quote.size);
}

static void on_mmio(struct kvm_run *run)
{
    memset(run->mmio.data, 0, sizeof(run->mmio.data));
    if (run->mmio.phys_addr == TD_MMIO)
        run->mmio.data[0] = GUEST_ECHO;
}

/* Runs until the guest reports its end, or KVM_RUN fails: 0 or errno. */
static int run_vcpu(struct kvm_run *run)
{
    for (;;) {
        if (kvm->ioctl(vcpu, KVM_RUN, NULL) < 0) {
            if (errno != EINTR)
                return errno;
            continue;
        }
        switch (run->exit_reason) {
        case KVM_EXIT_IO:
            on_io(run);
            break;
        case KVM_EXIT_MMIO:
            on_mmio(run);
            break;
        case KVM_EXIT_HYPERCALL:
            on_hypercall(run);
            break;
        case KVM_EXIT_TDX:
            on_tdx(run);
            break;
        case KVM_EXIT_SYSTEM_EVENT:
            return 0;
        default:
            printf("Bail out! exit %u\n", run->exit_reason);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    static uint8_t payload[GUEST_SIZE] __attribute__((aligned(4096)));
    static uint8_t reset[4096] __attribute__((aligned(4096)));
    setvbuf(stdout, NULL, _IOLBF, 0);
    CLEAN_BYTES file = {0};
    struct cofre_err err;
    if (argc != 2 || file_read(&file, argv[1], GUEST_SIZE, &err) != 0) {
        printf("Bail out! usage: emu-td-run PAYLOAD\n");
        return 1;
    }
    memcpy(payload, file.data, file.len);
    const uint32_t jump = GUEST_BASE - (TDX_RESET_VECTOR + 5);
    reset[TDX_RESET_VECTOR - GUEST_RESET] = 0xe9;
    memcpy(reset + (TDX_RESET_VECTOR - GUEST_RESET) + 1, &jump, sizeof(jump));

    kvm_fd = must(kvm->open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    vm = must(kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_TDX_VM), "virtual machine");
    enable(KVM_CAP_EXIT_HYPERCALL, 1u << KVM_HC_MAP_GPA_RANGE);
    enable(KVM_CAP_SPLIT_IRQCHIP, 24);
    init_vm();
    make_vcpu();
    ram = add_memory(0, 0, GUEST_RAM);
    add_memory(1, GUEST_RESET, 4096);
    load(GUEST_BASE, payload, GUEST_SIZE);
    load(GUEST_RESET, reset, 4096);
    result(kvm->ioctl(vcpu, KVM_RUN, NULL) < 0 && errno == EINVAL, "no vCPU runs before the TD is finalised");
    must_tdx(vm, UAPI_TDX_FINALIZE_VM, 0, 0, "FINALIZE_VM");
    size_t size = (size_t)must(kvm->ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL), "mmap size");
    struct kvm_run *run = kvm->mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    must(run == MAP_FAILED ? -1 : 0, "kvm_run");

    int rc = run_vcpu(run);
    result(rc == 0 && run->system_event.type == KVM_SYSTEM_EVENT_TDX_FATAL &&
               run->system_event.data[12] == GUEST_DONE,
           "the guest came to its end");
    result(conversions == 3, "conversions come 2 MiB an exit");
    result(run_vcpu(run) == EIO, "a page that is not accepted ends the TD");
    result(kvm->ioctl(vm, KVM_CHECK_EXTENSION, (void *)KVM_CAP_MAX_VCPUS) < 0 && errno == EIO,
           "and the machine with it");
    tap_end();
}
