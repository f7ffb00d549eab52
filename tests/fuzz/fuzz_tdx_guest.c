/*
 * A TD against the emulated platform: TDCALL and TDG.VP.VMCALL with any operands, touches of pages that it may not touch, and
 * a host that answers exits in any way. Records of 50 bytes: what, a choice, six numbers.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/emu/td.h"
#include "vmm/base/bytes.h"
#include "vmm/emu/module/cofre_ud.h"

#define NUMBERS 6
#define RECORD  (2 + 8 * NUMBERS)

enum action { CALL, VMCALL, VMCALL_EXPOSING, RUN_AGAIN, TOUCH, EXIT, HOST_WRITES, ACTIONS };

static void set_up(void)
{
    void *nothing = NULL;
    struct kvm_enable_cap hypercalls = {.cap = KVM_CAP_EXIT_HYPERCALL, .args = {1u << KVM_HC_MAP_GPA_RANGE}};
    FUZZ_CHECK(td_set_up(&nothing) == 0 && vm_ioctl(KVM_ENABLE_CAP, &hypercalls) == 0);
    go_to(TD_RUNS, true);
    FUZZ_CHECK(set_private(TD_RAM / 2, TD_RAM / 2, false) == 0);
}

/* What the caller of KVM_RUN must be able to rely on. */
static void check_exit(void)
{
    const struct kvm_run *run = plain.run;
    const uint64_t *map = (const uint64_t *)run->hypercall.args;
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        FUZZ_CHECK(run->io.count == 1 && (run->io.size == 1 || run->io.size == 2 || run->io.size == 4) &&
                   run->io.data_offset == 4096);
        break;
    case KVM_EXIT_MMIO:
        FUZZ_CHECK(run->mmio.len >= 1 && run->mmio.len <= 8 && !(run->mmio.phys_addr & TDX_SHARED_BIT));
        break;
    case KVM_EXIT_HYPERCALL:
        FUZZ_CHECK(run->hypercall.nr == KVM_HC_MAP_GPA_RANGE && map[0] % 4096 == 0 && map[1] > 0);
        FUZZ_CHECK(map[0] < TDX_SHARED_BIT && map[1] <= (TDX_SHARED_BIT - map[0]) / 4096);
        break;
    default:
        break;
    }
}

/* The host's part in a conversion, as far as it has memory there. */
static void convert(void)
{
    const uint64_t *map = (const uint64_t *)plain.run->hypercall.args;
    const bool here = map[0] < TD_RAM && map[1] <= (TD_RAM - map[0]) / 4096;
    plain.run->hypercall.ret =
        here && set_private(map[0], map[1] * 4096, map[2] & UAPI_MAP_GPA_PRIVATE) == 0 ? 0 : EINVAL;
}

static int set_registers_and_call(const uint64_t n[NUMBERS])
{
    plain.regs.rax = n[0] & 0xffff; /* leaf and version */
    plain.regs.rcx = n[1];
    plain.regs.rdx = n[2];
    plain.regs.r8 = n[3];
    plain.regs.r9 = n[4];
    plain.regs.r10 = n[5];
    return tdcall();
}

static int act(unsigned what, uint8_t choice, const uint64_t n[NUMBERS])
{
    switch (what) {
    case CALL:
        return set_registers_and_call(n);
    case VMCALL:
        return vmcall(n[0], n[1], n[2], n[3], n[4]);
    case VMCALL_EXPOSING:
        plain.regs.r10 = choice & 1;
        plain.regs.r11 = n[0];
        plain.regs.rax = TDG_VP_VMCALL;
        plain.regs.rcx = n[5];
        return tdcall();
    case TOUCH:
        plain.regs.rip = choice & 1 ? TD_CODE : n[0];
        plain.regs.rsp = n[1];
        plain.fault = (struct cofre_ud_fault){.error_code = n[3], .gpa = n[2]};
        plain.sregs.cr3 = n[4];
        plain.run_error = EFAULT;
        return run();
    case EXIT:
        plain.regs.rip = n[0];
        plain.exits = 1;
        plain.exit_reason = choice & 1 ? COFRE_UD_EXIT : choice >> 1;
        plain.run->mmio.phys_addr = n[1];
        plain.run->mmio.len = 4;
        return run();
    case HOST_WRITES:
        if (n[0] <= TD_RAM / 2 - 8)
            put_le64(td.ram + TD_RAM / 2 + n[0], n[1]);
        return 0;
    default: /* whatever the host answers */
        memcpy(plain.run->hypercall.args, n, sizeof plain.run->hypercall.args);
        plain.run->hypercall.ret = choice;
        return run();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *nothing = NULL;
    set_up();
    for (size_t at = 0; at + RECORD <= size && at < 24 * RECORD; at += RECORD) {
        uint64_t n[NUMBERS];
        for (unsigned i = 0; i < NUMBERS; i++)
            n[i] = le64(data + at + 2 + 8 * i);
        plain.run->exit_reason = KVM_EXIT_INTR;
        int rc = act(data[at] % ACTIONS, data[at + 1], n);
        FUZZ_CHECK(rc == 0 || rc == EINTR || rc == EFAULT || rc == EINVAL || rc == EIO || rc == ENOMEM);
        if (rc || data[at] % ACTIONS == EXIT) /* what the plain KVM exits with goes on to the caller */
            continue;
        check_exit();
        if (plain.run->exit_reason == KVM_EXIT_HYPERCALL)
            convert();
    }
    td_tear_down(&nothing);
    return 0;
}

static size_t put(uint8_t *out, size_t n, enum action what, uint8_t choice, const uint64_t number[NUMBERS])
{
    out[n] = (uint8_t)what;
    out[n + 1] = choice;
    for (unsigned i = 0; i < NUMBERS; i++)
        put_le64(out + n + 2 + 8 * i, number[i]);
    return n + RECORD;
}
#define NUMBERS_OF(...) ((const uint64_t[NUMBERS]){__VA_ARGS__})

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint64_t functions[][5] = {
        {TDVMCALL_CPUID, 1},
        {TDVMCALL_HLT},
        {TDVMCALL_IO, 4, 0, 0x3f8},
        {TDVMCALL_RDMSR, 0x10},
        {TDVMCALL_WRMSR, 0x6e0, 5},
        {TDVMCALL_MMIO, 4, 1, 0xe0000000, 7},
        {TDVMCALL_MAP_GPA, TDX_SHARED_BIT | 0x10000, 0x4000},
        {TDVMCALL_MAP_GPA, TD_RAM / 2, 0x200000},
        {TDVMCALL_GET_QUOTE, TDX_SHARED_BIT | TD_RAM / 2, 0x2000},
        {TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT, 0x40},
        {TDVMCALL_GET_TD_VM_CALL_INFO, 1},
        {TDVMCALL_REPORT_FATAL_ERROR, 0x11},
    };
    static const uint64_t leaves[][NUMBERS] = {
        {TDG_VP_INFO},
        {TDG_MR_RTMR_EXTEND, TD_DATA, 2},
        {TDG_VP_VEINFO_GET},
        {TDG_MR_REPORT, TD_DATA, TD_DATA + 0x800},
        {TDG_MR_VERIFYREPORT, TD_DATA},
        {TDG_VP_CPUIDVE_SET, 1},
        {TDG_MEM_PAGE_ACCEPT, 0x3000},
        {TDG_MEM_PAGE_ACCEPT, 0x200001},
        {TDG_VM_RD, 0, 0x9110000300000010},
        {TDG_VM_WR, 0, 0x9110000300000010, 1, 1},
        {TDG_MEM_PAGE_ATTR_RD, TD_DATA},
    };
    size_t n = 0;
    switch (index) {
    case 0:
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
            const uint64_t *f = functions[i];
            n = put(out, n, VMCALL, 0, NUMBERS_OF(f[0], f[1], f[2], f[3], f[4]));
            n = put(out, n, RUN_AGAIN, 0, NUMBERS_OF(0));
        }
        return n;
    case 1:
        for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
            n = put(out, n, CALL, 0, leaves[i]);
        return n;
    case 2:
        n = put(out, n, VMCALL_EXPOSING, 1, NUMBERS_OF(12, 0, 0, 0, 0, ALL_EXPOSED));
        n = put(out, n, TOUCH, 1, NUMBERS_OF(0, 0x5000, 0x6000, TDX_SHARED_BIT | 0x5000, 0x1000));
        n = put(out, n, TOUCH, 0, NUMBERS_OF(TD_RAM / 2, 0x5000));
        n = put(out, n, EXIT, 1, NUMBERS_OF(TD_DATA));
        n = put(out, n, EXIT, KVM_EXIT_MMIO << 1, NUMBERS_OF(0, TDX_SHARED_BIT | 0xe0000000));
        return put(out, n, HOST_WRITES, 0, NUMBERS_OF(16, 1));
    default:
        return 0;
    }
}
