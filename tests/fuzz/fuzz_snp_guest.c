/*
 * An SNP guest against the emulated platform, through KVM_RUN: VMGEXIT with any GHCB, by page and by MSR, PVALIDATE and
 * RMPADJUST, touches of pages that it may not touch, and a host that answers exits in any way. Records of 50 bytes: what, a
 * choice, six numbers. The machine is made once; page states, vCPU and firmware context are set back for each input.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sev/model/guest.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/emu/host.h"
#include "vmm/emu/module/cofre_ud.h"
#include "vmm/emu/snp/ghcb.h"
#include "vmm/emu/snp/snp.h"

#define NUMBERS   6
#define RECORD    (2 + 8 * NUMBERS)
#define PAGES     16
#define RAM       (PAGES * EMU_PAGE_SIZE)
#define GHCB      (8 * EMU_PAGE_SIZE) /* shared from here on */
#define VMGEXIT   0                   /* where code has these instructions, in page 0 */
#define PVALIDATE 16
#define ADJUST    32

enum action {
    PAGE_REQUEST,
    MSR_REQUEST,
    RAW_REQUEST,
    WRITE,
    ANSWER,
    INSTRUCTION,
    MSR_ACCESS,
    TOUCH,
    SECOND,
    ACTIONS
};

static struct psp platform = {.options = {.report_version = 3}, .api_major = 1, .api_minor = 55, .build = 21};
static struct psp_guest launched;
static struct snp_vm *vm;
static struct snp_vcpu *vcpu, *second;
static struct snp_vcpu fresh, fresh_second;
static uint8_t *ram;
static struct emu_gmem *gmem;

/* The plain KVM: registers are variables, a run ends as the next record says, then it is interrupted. */
static struct {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct cofre_ud_fault fault; /* what the module has seen before an error */
    int error;
    bool leaves; /* the next run, with this reason */
    uint32_t reason;
} plain;
static uint8_t run_page[2][3 * 4096];

static int plain_open(const char *path, int flags)
{
    (void)path;
    return open("/dev/null", flags);
}

static int fail_with(int error)
{
    errno = error;
    return -1;
}

static int plain_run(void)
{
    int error = plain.error;
    plain.error = 0;
    *emu_vcpu_fault(&vcpu->emu) = plain.fault;
    if (error || !plain.leaves)
        return fail_with(error ? error : EINTR);
    plain.leaves = false;
    vcpu->emu.run->exit_reason = plain.reason;
    return 0;
}

static int plain_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    switch (request) {
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case KVM_GET_VCPU_MMAP_SIZE:
        return sizeof run_page[0];
    case KVM_GET_SUPPORTED_CPUID:
        ((struct kvm_cpuid2 *)argument)->nent = 1;
        ((struct kvm_cpuid2 *)argument)->entries[0] =
            (struct kvm_cpuid_entry2){.function = 1, .eax = 0xa00f11};
        return 0;
    case KVM_TRANSLATE: /* page tables map every address to itself */
        *(struct kvm_translation *)argument = (struct kvm_translation){
            .physical_address = ((struct kvm_translation *)argument)->linear_address, .valid = 1};
        return 0;
    case KVM_GET_REGS:
        memcpy(argument, &plain.regs, sizeof plain.regs);
        return 0;
    case KVM_SET_REGS:
        memcpy(&plain.regs, argument, sizeof plain.regs);
        return 0;
    case KVM_GET_SREGS:
        memcpy(argument, &plain.sregs, sizeof plain.sregs);
        return 0;
    case KVM_SET_SREGS:
        memcpy(&plain.sregs, argument, sizeof plain.sregs);
        return 0;
    case KVM_GET_VCPU_EVENTS:
        memset(argument, 0, sizeof(struct kvm_vcpu_events));
        return 0;
    case KVM_GET_LAPIC:
        memset(argument, 0, sizeof(struct kvm_lapic_state));
        return 0;
    case KVM_GET_DEBUGREGS:
        memset(argument, 0, sizeof(struct kvm_debugregs));
        return 0;
    case KVM_GET_FPU:
        memset(argument, 0, sizeof(struct kvm_fpu));
        return 0;
    case KVM_GET_XSAVE:
        memset(argument, 0, sizeof(struct kvm_xsave));
        return 0;
    case KVM_GET_XCRS:
        memset(argument, 0, sizeof(struct kvm_xcrs));
        return 0;
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return ((struct kvm_msrs *)argument)->entries[0].index % 7 ? 1 : 0;
    case KVM_RUN:
        return plain_run();
    default:
        return 0;
    }
}

static void *plain_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    static unsigned next;
    (void)address, (void)length, (void)protection, (void)flags, (void)fd, (void)offset;
    return run_page[next++];
}

static int plain_munmap(void *address, size_t length)
{
    (void)address, (void)length;
    return 0;
}

static int plain_close(int fd)
{
    (void)fd;
    return 0;
}

static const struct kvm_backend plain_kvm = {"plain",    false,        plain_open,  plain_ioctl,
                                             plain_mmap, plain_munmap, plain_close, NULL};

static void launch_firmware(void)
{
    static const struct psp_launch_finish finish;
    static const uint8_t gosvw[16];
    platform.chain.chip = psp_product(SNP_PRODUCT_MILAN);
    FUZZ_CHECK(psp_guest_create(&vm->guest, &platform, NULL) == 0 &&
               psp_launch_start(vm->guest, SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT, gosvw) == PSP_SUCCESS &&
               psp_launch_finish(vm->guest, &finish) == PSP_SUCCESS);
    launched = *vm->guest;
}

static struct snp_vcpu *add_vcpu(unsigned id)
{
    static const struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[2];
    } table = {.head.nent = 2,
               .entry = {{.function = 1, .eax = 0xa00f11}, {.function = 0x8000001f, .eax = 0x12}}};
    struct emu_vcpu *emu;
    FUZZ_CHECK(emu_vm_ioctl(&vm->emu, KVM_CREATE_VCPU, (void *)(uintptr_t)id) >= 0);
    emu = vm->emu.vcpu[id];
    FUZZ_CHECK(snp_vcpu_ioctl(emu, KVM_SET_CPUID2, (void *)&table) == 0);
    snp_vcpu(emu)->protected = true;
    return snp_vcpu(emu);
}

static void prepare(void)
{
    struct emu_vm *made;
    int fd, memory;
    emu_host = &plain_kvm;
    FUZZ_CHECK(emu_vm_create(&made, &snp_type, 999, &fd) == 0 &&
               gmem_create(&gmem, &(struct uapi_create_guest_memfd){.size = RAM}, false, &memory) == 0);
    vm = snp_vm(made);
    ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct uapi_memory_region2 region = {
        .flags = KVM_MEM_GUEST_MEMFD, .memory_size = RAM, .userspace_addr = (uintptr_t)ram};
    FUZZ_CHECK(ram != MAP_FAILED && memory_set_region(&made->memory, &region, gmem) == 0);
    launch_firmware();
    vm->phase = PHASE_FINISHED;
    vm->sev_features = SEV_FEATURE_SNP_ACTIVE;
    made->hypercall_exits = EMU_HYPERCALL_EXITS;
    vcpu = add_vcpu(0);
    second = add_vcpu(1);
    fresh = *vcpu;
    fresh_second = *second;
}

static void set_attributes(uint64_t gpa, uint64_t len, bool private)
{
    const struct uapi_memory_attributes in = {
        .address = gpa, .size = len, .attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0};
    FUZZ_CHECK(memory_set_attributes(&vm->emu.memory, &in) == 0);
}

static void set_back(void)
{
    static const uint8_t code[48] = {[VMGEXIT] = 0xf3, 0x0f, 0x01, 0xd9, [PVALIDATE] = 0xf2, 0x0f, 0x01, 0xff,
                                     [ADJUST] = 0xf3,  0x0f, 0x01, 0xfe};
    rmp_free(&vm->rmp);
    memset(&vm->rmp, 0, sizeof vm->rmp);
    set_attributes(0, RAM, false);
    set_attributes(0, GHCB, true);
    memset(gmem->map, 0, GHCB);
    memset(ram, 0, RAM);
    memcpy(gmem->map, code, sizeof code);
    FUZZ_CHECK(rmp_launch(&vm->rmp, 0) == 0 && rmp_launch(&vm->rmp, 1) == 0 &&
               memory_refresh_locked(&vm->emu.memory, 0, PAGES) == 0);
    *vcpu = fresh;
    *second = fresh_second;
    *vm->guest = launched;
    vm->request_certificates = false;
    memset(run_page, 0, sizeof run_page);
    memset(&plain, 0, sizeof plain);
    plain.sregs.efer = 1u << 10 | 1u << 12;
    plain.sregs.cs.l = 1;
    vcpu->ghcb.registered = GHCB;
}

static int run(void)
{
    vcpu->emu.run->immediate_exit = 1; /* nobody would wake a vCPU that waits */
    return snp_vcpu_ioctl(&vcpu->emu, KVM_RUN, NULL);
}

/* The other one, as far as AP creation lets it. */
static int run_second(void)
{
    second->emu.run->immediate_exit = 1;
    return snp_vcpu_ioctl(&second->emu, KVM_RUN, NULL);
}

static int leave_with(uint32_t reason)
{
    plain.leaves = true;
    plain.reason = reason;
    return run();
}

static int vmgexit(uint64_t msr)
{
    vcpu->ghcb.value = msr;
    plain.regs.rip = VMGEXIT;
    return leave_with(KVM_EXIT_XEN);
}

static void put_ghcb(uint8_t choice, const uint64_t n[NUMBERS])
{
    struct ghcb *page = (struct ghcb *)(ram + GHCB);
    page->exit_code = n[0] & 0x8000ffff;
    page->exit_info_1 = n[1];
    page->exit_info_2 = n[2];
    page->rax = n[3];
    page->rbx = page->rcx = n[4];
    page->rdx = n[5];
    page->scratch = choice & 1 ? n[5] : GHCB + GHCB_SHARED_BUFFER;
    page->xcr0 = 7;
    page->cpl = 0;
    page->protocol = GHCB_PROTOCOL_MAX;
    page->usage = 0;
    memset(page->valid, choice & 2 ? choice : 0xff, sizeof page->valid);
    vm->request_certificates = choice & 4;
}

static int act(unsigned what, uint8_t choice, const uint64_t n[NUMBERS])
{
    struct kvm_run *run_ = vcpu->emu.run;
    plain.leaves = false;
    switch (what) {
    case PAGE_REQUEST:
        if (gfn_set_has(&vm->rmp.private, GHCB / EMU_PAGE_SIZE))
            return -EINTR; /* the guest could not write it, and has not run */
        put_ghcb(choice, n);
        return vmgexit(GHCB);
    case MSR_REQUEST:
        return vmgexit(n[0]);
    case RAW_REQUEST: /* the page as it is */
        return vmgexit(choice & 1 ? n[0] & ~0xfffull : GHCB);
    case WRITE: /* shared memory, or the guest's own */
        if (choice & 1)
            memcpy(gmem->map + n[0] % (RAM - 40), n + 1, 40);
        else
            memcpy(ram + GHCB + n[0] % (RAM - GHCB - 40), n + 1, 40);
        return -EINTR;
    case SECOND:
        return run_second();
    case ANSWER:
        memcpy(run_->padding, n, 8 * NUMBERS); /* the exit's union */
        memcpy(emu_vcpu_port_data(&vcpu->emu), n, 8 * NUMBERS);
        if (choice & 1)
            run_->hypercall.ret = choice >> 1;
        return run();
    case INSTRUCTION:
        plain.regs.rip = choice & 1 ? PVALIDATE : choice & 2 ? ADJUST : n[3];
        plain.regs.rax = n[0];
        plain.regs.rcx = n[1];
        plain.regs.rdx = n[2];
        plain.sregs.ss.dpl = choice >> 2 & 3;
        return leave_with(COFRE_UD_EXIT);
    case MSR_ACCESS:
        run_->msr.index = choice & 1 ? SNP_MSR_GHCB : choice & 2 ? SNP_MSR_SEV_STATUS : (uint32_t)n[0];
        run_->msr.data = n[1];
        return leave_with(choice & 4 ? KVM_EXIT_X86_RDMSR : KVM_EXIT_X86_WRMSR);
    default:
        plain.regs.rip = choice & 1 ? 0 : n[0];
        plain.regs.rsp = n[1];
        plain.fault = (struct cofre_ud_fault){.error_code = n[3], .gpa = n[2]};
        plain.sregs.cr4 = n[4];
        plain.sregs.idt.base = n[5];
        plain.sregs.idt.limit = choice & 2 ? 0xfff : 0;
        plain.error = choice & 4 ? EAGAIN : EFAULT;
        return run();
    }
}

/* What the caller of KVM_RUN must be able to rely on; and its part in a conversion, as far as it has memory there. */
static void check_exit(void)
{
    struct kvm_run *r = vcpu->emu.run;
    const uint64_t *map = (const uint64_t *)r->hypercall.args;
    if (r->exit_reason == KVM_EXIT_IO)
        FUZZ_CHECK(r->io.count > 0 && (uint64_t)r->io.size * r->io.count <= 4096 &&
                   r->io.data_offset == 4096);
    if (r->exit_reason == KVM_EXIT_MMIO)
        FUZZ_CHECK(r->mmio.len >= 1 && r->mmio.len <= 8);
    if (r->exit_reason != KVM_EXIT_HYPERCALL)
        return;
    FUZZ_CHECK(r->hypercall.nr == KVM_HC_MAP_GPA_RANGE && map[0] % EMU_PAGE_SIZE == 0 && map[1] > 0);
    const bool here = map[0] < RAM && map[1] <= (RAM - map[0]) / EMU_PAGE_SIZE;
    if (here)
        set_attributes(map[0], map[1] * EMU_PAGE_SIZE, map[2] & UAPI_MAP_GPA_PRIVATE);
    r->hypercall.ret = here ? 0 : EINVAL;
}

static void check_pages(void)
{
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        FUZZ_CHECK(!gfn_set_has(&vm->rmp.validated, gfn) || gfn_set_has(&vm->rmp.private, gfn));
        FUZZ_CHECK(!gfn_set_has(&vm->rmp.vmsa, gfn) || gfn_set_has(&vm->rmp.private, gfn));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!vm)
        prepare();
    set_back();
    for (size_t at = 0; at + RECORD <= size && at < 24 * RECORD; at += RECORD) {
        uint64_t n[NUMBERS];
        memcpy(n, data + at + 2, sizeof n);
        const unsigned what = data[at] % ACTIONS;
        int rc = act(what, data[at + 1], n);
        FUZZ_CHECK(rc == 0 || rc == -EINTR || rc == -EFAULT || rc == -EINVAL || rc == -EIO || rc == -EAGAIN);
        if (rc == 0 && (what <= RAW_REQUEST || what == ANSWER))
            check_exit();
        check_pages();
    }
    return 0;
}

static size_t put(uint8_t *out, size_t n, enum action what, uint8_t choice, const uint64_t number[NUMBERS])
{
    out[n] = (uint8_t)what;
    out[n + 1] = choice;
    memcpy(out + n + 2, number, 8 * NUMBERS);
    return n + RECORD;
}
#define NUMBERS_OF(...) ((const uint64_t[NUMBERS]){__VA_ARGS__})

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint64_t page_requests[][NUMBERS] = {
        {GHCB_CPUID, 0, 0, 1, 0, 0},
        {GHCB_IOIO, 0x3f8 << 16 | 1 << 4, 0, 'x'},
        {GHCB_IOIO, 0x3f8 << 16 | 1 << 4 | 5, 4},
        {GHCB_MSR, 0, 0, 0, 0x10},
        {GHCB_MSR, 1, 0, 0, 0x10, 0},
        {GHCB_MMIO_READ, 0xe0000000, 4},
        {GHCB_MMIO_WRITE, 0xe0000000, 8},
        {GHCB_GUEST_REQUEST, 0x9000, 0xa000},
        {GHCB_EXT_GUEST_REQUEST, 0x9000, 0xa000, 0xb000, 2},
        {GHCB_HV_FEATURES},
    };
    static const uint64_t msr_requests[] = {0x002,
                                            0x004 | 1ull << 32,
                                            0x010,
                                            0x012 | GHCB,
                                            0x080,
                                            0x014 | 9ull << 12 | 1ull << 52,
                                            0x014 | 3ull << 12 | 2ull << 52,
                                            0x100};
    size_t n = 0;
    switch (index) {
    case 0:
        for (size_t i = 0; i < sizeof page_requests / sizeof *page_requests; i++) {
            n = put(out, n, PAGE_REQUEST, i == 8 ? 4 : 0, page_requests[i]);
            n = put(out, n, ANSWER, 0, NUMBERS_OF(0));
        }
        return n;
    case 1:
        for (size_t i = 0; i < sizeof msr_requests / sizeof *msr_requests; i++) {
            n = put(out, n, MSR_REQUEST, 0, NUMBERS_OF(msr_requests[i]));
            n = put(out, n, ANSWER, 1, NUMBERS_OF(0));
        }
        return n;
    case 2: /* pages 2 and 3 become shared, 9 private; then 9 is validated and made a VMSA, of which the second vCPU is made */
        n = put(out, n, WRITE, 0,
                NUMBERS_OF(GHCB_SHARED_BUFFER, 2ull << 16, 2ull << 12 | 2ull << 52, 3ull << 12 | 2ull << 52,
                           9ull << 12 | 1ull << 52));
        n = put(out, n, PAGE_REQUEST, 0, NUMBERS_OF(GHCB_PSC));
        n = put(out, n, ANSWER, 1, NUMBERS_OF(0));
        n = put(out, n, ANSWER, 1, NUMBERS_OF(0));
        n = put(out, n, INSTRUCTION, 1, NUMBERS_OF(9 << 12, 0, 1));
        n = put(out, n, INSTRUCTION, 2, NUMBERS_OF(9 << 12, 0, 1 << 16 | 1));
        n = put(out, n, WRITE, 1, NUMBERS_OF((9 << 12) + offsetof(struct snp_vmsa, efer), 1 << 12));
        n = put(out, n, WRITE, 1,
                NUMBERS_OF((9 << 12) + offsetof(struct snp_vmsa, sev_features), SEV_FEATURE_SNP_ACTIVE));
        n = put(out, n, PAGE_REQUEST, 0, NUMBERS_OF(GHCB_AP_CREATION, 1ull << 32 | 1, 9 << 12, 1));
        n = put(out, n, SECOND, 0, NUMBERS_OF(0));
        return put(out, n, PAGE_REQUEST, 0, NUMBERS_OF(GHCB_AP_CREATION, 1ull << 32 | 2));
    case 3:
        n = put(out, n, MSR_ACCESS, 4 | 1, NUMBERS_OF(0));
        n = put(out, n, MSR_ACCESS, 4 | 2, NUMBERS_OF(0));
        n = put(out, n, MSR_ACCESS, 0, NUMBERS_OF(0x1b, 1));
        n = put(out, n, TOUCH, 3, NUMBERS_OF(0, 0x5000, 0x6000, 0x2000, 0, 0x1000));
        n = put(out, n, RAW_REQUEST, 0, NUMBERS_OF(0));
        return put(out, n, INSTRUCTION, 0, NUMBERS_OF(0, 0, 0, 64));
    case 4: /* extended requests for a report: with certificates, too little room, neither */
        for (uint8_t i = 0; i < 3; i++) {
            n = put(out, n, WRITE, 0,
                    NUMBERS_OF(EMU_PAGE_SIZE + offsetof(struct snp_guest_msg_header, msg_type),
                               SNP_MSG_REPORT_REQ));
            n = put(out, n, PAGE_REQUEST, i < 2 ? 4 : 0,
                    NUMBERS_OF(GHCB_EXT_GUEST_REQUEST, 0x9000, 0xa000, 0xb000, 2));
            n = put(out, n, ANSWER, 0, NUMBERS_OF(0, 2, i ? ENOSPC : 0, i ? ENOSPC : 0));
        }
        return n;
    default:
        return 0;
    }
}
