#include "tdx/launch/launch.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/launch/cpuid.h"
#include "tdx/launch/error.h"
#include "tdx/launch/firmware.h"
#include "tdx/launch/igvm.h"
#include "tdx/launch/owner.h"
#include "tdx/launch/quote_client.h"
#include "tdx/mrtd.h"
#include "vmm/base/cleanup.h"
#define LOG_ROOM "tdx"
#include "vmm/base/log.h"
#include "vmm/devices/memory.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/shim/abi.h"

/* The module gives a TD's local APIC timer the frequency that CPUID 0x15 tells: 25 MHz, 40 ns a cycle. */
#define APIC_BUS_CYCLE_NS 40
#define INIT_VM_TRIES     100

struct tee {
    struct tdx_owner owner;

    /* the launch */
    struct kvm_vm *vm;
    struct kvm_vcpu *first; /* pages are given through it */
    uint64_t user_calls;    /* KVM_TDX_CAPABILITIES: GetTdVmCallInfo's bits for what user space answers */
    struct tdx_mrtd *mrtd;  /* of what was really given */

    struct quote_client *quotes;
    struct log_allowance complaints; /* about an interrupt that the guest cannot have */
    _Atomic uint64_t notify;         /* SetupEventNotifyInterrupt: vector, and the vCPU's id << 32; 0: none */
};

static int tdx_new(struct tee **out, struct cofre_err *err)
{
    struct tee *tee = calloc(1, sizeof *tee);
    if (!tee)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    int rc = tdx_mrtd_new(&tee->mrtd, err);
    if (rc) {
        free(tee);
        return rc;
    }
    tdx_owner_init(&tee->owner);
    *out = tee;
    return 0;
}

static void tdx_free(struct tee *tee)
{
    if (!tee)
        return;
    quote_client_free(tee->quotes);
    tdx_mrtd_free(tee->mrtd);
    free(tee);
}

static int tdx_set_option(struct tee *tee, const char *name, const char *value, struct cofre_err *err)
{
    return tdx_owner_set_option(&tee->owner, name, value, err);
}

/* The measurement: of the prediction and of the launch alike */

static const struct {
    bool there, measured;
} kinds[] = {
    [LAUNCH_MEASURED] = {true, true},  [LAUNCH_ZERO] = {true, true},    [LAUNCH_UNMEASURED] = {true, false},
    [LAUNCH_SECRETS] = {false, false}, [LAUNCH_CPUID] = {false, false},
};

static int extend_by_range(struct tdx_mrtd *mrtd, const struct launch_range *range, struct cofre_err *err)
{
    if (!kinds[range->kind].there)
        return cofre_fail(err, COFRE_FAILED, "launch image: a page at %#llx of a kind that TDX does not have",
                          (unsigned long long)range->gpa);
    return tdx_mrtd_pages(mrtd, range->gpa, range->data, range->len, kinds[range->kind].measured, err);
}

static int take_mrtd(const struct tdx_mrtd *mrtd, struct tee_measurement *out, struct cofre_err *err)
{
    *out = (struct tee_measurement){.name = "MRTD"};
    return tdx_mrtd_value(mrtd, out->value, err);
}

static int tdx_measure(struct tee *tee, const struct launch_image *image, struct tee_measurement *out,
                       struct cofre_err *err)
{
    (void)tee;
    struct tdx_mrtd *mrtd;
    int rc = tdx_mrtd_new(&mrtd, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < image->count && rc == 0; i++)
        rc = extend_by_range(mrtd, &image->range[i], err);
    if (rc == 0)
        rc = take_mrtd(mrtd, out, err);
    tdx_mrtd_free(mrtd);
    return rc;
}

static int tdx_registers(struct tee *tee, const struct launch_image *image, struct tee_measurement *out,
                         struct cofre_err *err)
{
    static const char *const names[TDX_RTMRS] = {"RTMR0", "RTMR1", "RTMR2", "RTMR3"};
    if (image->at_reset) /* what a firmware measures is its own */
        return tdx_owner_expects_no_register(&tee->owner, err);
    for (unsigned i = 0; i < TDX_RTMRS; i++)
        out[i] = (struct tee_measurement){.name = names[i]};
    for (size_t i = 0; i < image->events; i++)
        tdx_rtmr_extend(out[image->event[i].measurement_register].value, image->event[i].digest);
    int rc = tdx_owner_check_registers(&tee->owner, out, err);
    return rc ? rc : (int)TDX_RTMRS;
}

static int tdx_adopt(struct tee *tee, const struct launch_image *image, struct cofre_err *err)
{
    return tdx_igvm_adopt(&tee->owner, image, err);
}

static int tdx_expect(struct tee *tee, const struct tee_measurement *expected, struct cofre_err *err)
{
    (void)err;
    tee->owner.has_expected = true;
    memcpy(tee->owner.expected, expected->value, sizeof tee->owner.expected);
    return 0;
}

/* The launch */

static int vm_command(struct tee *tee, uint32_t id, void *data, struct cofre_err *err)
{
    uint64_t hw_error = 0;
    int error = kvm_vm_tdx_command(tee->vm, id, 0, (uintptr_t)data, &hw_error);
    return error ? tdx_launch_failed(err, id, error, hw_error) : 0;
}

/* Every KVM so far has fewer configurable leaves than a CPUID table has entries. */
static int get_capabilities(struct tee *tee, struct uapi_tdx_capabilities **out, struct cofre_err *err)
{
    struct uapi_tdx_capabilities *caps =
        calloc(1, sizeof *caps + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    *out = caps;
    if (!caps)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    caps->cpuid.nent = KVM_CPUID_MAX;
    return vm_command(tee, UAPI_TDX_CAPABILITIES, caps, err);
}

static int init_vm(struct tee *tee, const struct kvm_cpuid2 *cpuid, struct cofre_err *err)
{
    CLEAN_FREE struct uapi_tdx_capabilities *caps = NULL;
    CLEAN_FREE struct uapi_tdx_init_vm *init =
        calloc(1, sizeof *init + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    if (!init)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    int rc = get_capabilities(tee, &caps, err);
    if (rc == 0)
        rc = tdx_owner_fit(&tee->owner, caps->supported_attrs, caps->supported_xfam, err);
    if (rc == 0)
        rc = tdx_cpuid_configure(&init->cpuid, &caps->cpuid, cpuid, err);
    if (rc)
        return rc;
    tee->user_calls = caps->user_tdvmcallinfo_1_r11;
    init->attributes = tee->owner.attributes;
    init->xfam = tee->owner.xfam;
    memcpy(init->mrconfigid, tee->owner.mrconfigid, sizeof init->mrconfigid);
    memcpy(init->mrowner, tee->owner.mrowner, sizeof init->mrowner);
    memcpy(init->mrownerconfig, tee->owner.mrownerconfig, sizeof init->mrownerconfig);
    int error = EAGAIN; /* the processor had no random numbers left */
    uint64_t hw_error = 0;
    for (int i = 0; i < INIT_VM_TRIES && error == EAGAIN; i++)
        error = kvm_vm_tdx_command(tee->vm, UAPI_TDX_INIT_VM, 0, (uintptr_t)init, &hw_error);
    return error ? tdx_launch_failed(err, UAPI_TDX_INIT_VM, error, hw_error) : 0;
}

static int check_cpus(const struct kvm_vm *vm, unsigned cpus, struct cofre_err *err)
{
    int most = kvm_vm_check_extension(vm, KVM_CAP_MAX_VCPUS);
    if (cpus <= (unsigned)most)
        return 0;
    return cofre_fail(err, COFRE_LACKING, "--cpus %u: this host gives a TDX guest at most %d vCPUs", cpus,
                      most);
}

static int tdx_vm_init(struct tee *tee, struct kvm *kvm, struct kvm_vm *vm, const struct kvm_cpuid2 *cpuid,
                       unsigned cpus, struct cofre_err *err)
{
    (void)kvm;
    tee->vm = vm;
    int rc = check_cpus(vm, cpus, err);
    if (rc == 0)
        rc = kvm_vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, 1u << KVM_HC_MAP_GPA_RANGE, err);
    if (rc == 0)
        rc = kvm_vm_enable_cap(vm, KVM_CAP_X86_APIC_BUS_CYCLES_NS, APIC_BUS_CYCLE_NS, err);
    return rc ? rc : init_vm(tee, cpuid, err);
}

static int vcpu_command(struct kvm_vcpu *vcpu, uint32_t id, uint64_t data, struct cofre_err *err)
{
    uint64_t hw_error = 0;
    int error = kvm_vcpu_tdx_command(vcpu, id, 0, data, &hw_error);
    return error ? tdx_launch_failed(err, id, error, hw_error) : 0;
}

/* Every vCPU of a TD starts at the reset vector. */
static int tdx_vcpu_init(struct tee *tee, struct kvm_vcpu *vcpu, unsigned index, struct kvm_cpuid2 *cpuid,
                         const struct launch_image *image, struct cofre_err *err)
{
    CLEAN_FREE struct kvm_cpuid2 *module =
        calloc(1, sizeof *module + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    if (!module)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    module->nent = KVM_CPUID_MAX;
    int rc = vcpu_command(vcpu, UAPI_TDX_GET_CPUID, (uintptr_t)module, err);
    if (rc == 0)
        rc = tdx_cpuid_agree(cpuid, KVM_CPUID_MAX, module, err);
    if (rc == 0)
        rc = kvm_vcpu_set_cpuid(vcpu, cpuid, err);
    if (rc == 0)
        rc = vcpu_command(vcpu, UAPI_TDX_INIT_VCPU, image->start_argument, err);
    if (index == 0)
        tee->first = vcpu;
    return rc;
}

/* KVM may stop before the end: after a signal it says so, and the structure how far it came. */
static int give(struct tee *tee, const void *source, uint64_t gpa, uint64_t len, bool measured,
                struct cofre_err *err)
{
    struct uapi_tdx_init_mem_region region = {
        .source_addr = (uintptr_t)source, .gpa = gpa, .nr_pages = len / TDX_PAGE_SIZE};
    uint32_t flags = measured ? UAPI_TDX_MEASURE_MEMORY_REGION : 0;
    uint64_t hw_error;
    while (region.nr_pages) {
        uint64_t before = region.nr_pages;
        int error =
            kvm_vcpu_tdx_command(tee->first, UAPI_TDX_INIT_MEM_REGION, flags, (uintptr_t)&region, &hw_error);
        if (error == 0 && region.nr_pages)
            error = EIO; /* success is all of it */
        bool again = error == EINTR || ((error == EBUSY || error == EAGAIN) && region.nr_pages < before);
        if (error && !again) {
            int rc = tdx_launch_failed(err, UAPI_TDX_INIT_MEM_REGION, error, hw_error);
            return cofre_within(err, rc, "guest memory at %#llx", (unsigned long long)region.gpa);
        }
    }
    return 0;
}

static int load_range(struct tee *tee, const struct launch_range *range, struct cofre_err *err)
{
    int rc = extend_by_range(tee->mrtd, range, err);
    if (rc)
        return rc;
    /* KVM wants whole pages where they begin; the image's bytes may lie anywhere. */
    CLEAN_FREE uint8_t *pages = aligned_alloc(TDX_PAGE_SIZE, range->len);
    if (!pages)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    if (range->data)
        memcpy(pages, range->data, range->len);
    else
        memset(pages, 0, range->len);
    return give(tee, pages, range->gpa, range->len, kinds[range->kind].measured, err);
}

static int tdx_load(struct tee *tee, const struct launch_image *image, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < image->count && rc == 0; i++)
        rc = load_range(tee, &image->range[i], err);
    return rc;
}

static int tdx_finish(struct tee *tee, struct tee_measurement *out, struct cofre_err *err)
{
    int rc = take_mrtd(tee->mrtd, out, err);
    if (rc)
        return rc;
    if (tee->owner.has_expected && memcmp(tee->owner.expected, out->value, sizeof tee->owner.expected) != 0)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "what was loaded into the guest does not have the expected MRTD; no vCPU ran");
    return vm_command(tee, UAPI_TDX_FINALIZE_VM, NULL, err);
}

/* Exits */

/* A quote has come, or will not: GHCI's event notification, to the vCPU that asked for it. */
static void quote_done(void *context)
{
    struct tee *tee = context;
    uint64_t notify = atomic_load(&tee->notify);
    struct cofre_err err;
    if (!notify)
        return; /* the guest polls the buffer's status */
    uint64_t address = 0xfee00000u | (notify >> 32 & 0xff) << 12;
    const char *rest;
    if (kvm_vm_signal_msi(tee->vm, address, (uint32_t)notify & 0xff, &err) &&
        (rest = log_allow(&tee->complaints)))
        log_warn("the guest is not told that its quote is there: %s%s", err.text, rest);
}

static int tdx_start(struct tee *tee, const struct guest_memory *memory, struct cofre_err *err)
{
    const struct quote_client_config config = {.backend = tee->vm->kvm->backend,
                                               .address = tee->owner.quote_service,
                                               .memory = memory,
                                               .notify = quote_done,
                                               .context = tee};
    return quote_client_new(&tee->quotes, &config, err);
}

static int tdx_connect_service(const struct tee *tee, const struct kvm_backend *backend)
{
    return backend->quote_service(tee->owner.quote_service);
}

static enum tee_exit_action guest_call(struct tee *tee, struct kvm_vcpu *vcpu)
{
    struct uapi_exit_tdx *call = uapi_exit_tdx(vcpu->run);
    switch (call->nr) {
    case TDVMCALL_GET_TD_VM_CALL_INFO:
        call->get_tdvmcall_info.ret = TDVMCALL_SUCCESS;
        call->get_tdvmcall_info.r11 = tee->user_calls & TDVMCALL_INFO_EVENT_NOTIFY;
        return TEE_EXIT_CONTINUE;
    case TDVMCALL_GET_QUOTE:
        call->get_quote.ret = quote_client_request(tee->quotes, call->get_quote.gpa, call->get_quote.size);
        return TEE_EXIT_CONTINUE;
    case TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT:
        atomic_store(&tee->notify, (uint64_t)vcpu->id << 32 | (call->setup_event_notify.vector & 0xff));
        call->setup_event_notify.ret = TDVMCALL_SUCCESS;
        return TEE_EXIT_CONTINUE;
    default:
        return TEE_EXIT_UNKNOWN;
    }
}

static enum tee_exit_action tdx_exit(struct tee *tee, const struct guest_memory *memory,
                                     struct kvm_vcpu *vcpu, int *code, struct cofre_err *err)
{
    struct kvm_run *run = vcpu->run;
    (void)memory;
    if (run->exit_reason == KVM_EXIT_TDX)
        return guest_call(tee, vcpu);
    if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT && run->system_event.type == KVM_SYSTEM_EVENT_TDX_FATAL) {
        *code = tdx_guest_fatal(err, (const uint64_t *)run->system_event.data, run->system_event.ndata);
        return TEE_EXIT_STOP;
    }
    return TEE_EXIT_UNKNOWN;
}

const struct tee_ops tdx_tee_ops = {
    .name = "tdx",
    .title = "Intel TDX",
    .vm_type = KVM_X86_TDX_VM,
    .boot_tee = BOOT_TDX,
    .options = tdx_owner_options,
    .firmware_image = tdx_firmware_image,
    .igvm_image = tdx_igvm_image,
    .adopt = tdx_adopt,
    .new = tdx_new,
    .set_option = tdx_set_option,
    .free = tdx_free,
    .measure = tdx_measure,
    .registers = tdx_registers,
    .expect = tdx_expect,
    .vm_init = tdx_vm_init,
    .vcpu_init = tdx_vcpu_init,
    .load = tdx_load,
    .finish = tdx_finish,
    .start = tdx_start,
    .exit = tdx_exit,
    .connect_service = tdx_connect_service,
};
