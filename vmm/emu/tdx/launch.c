/*
 * KVM_MEMORY_ENCRYPT_OP of a TD: Linux 7.3 arch/x86/kvm/vmx/tdx.c, which function does what is named at each. The order
 * of the checks is KVM's, since each has its own errno.
 */
#define LOG_ROOM "emu"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/model/platform.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/emu/caller.h"
#include "vmm/emu/host.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/tdx/tdx.h"

/* KVM_SUPPORTED_TDX_TD_ATTRS: what KVM allows of what the module does */
#define KVM_ATTRIBUTES TDX_ATTR_SEPT_VE_DISABLE

#define TDVMCALLINFO_SETUP_EVENT_NOTIFY_INTERRUPT (1ull << 1)

#define LEAF_XSAVE 0xdu

static struct tdx_platform *platform;

static void open_platform(void)
{
    struct cofre_err err;
    if (tdx_platform_open(&platform, NULL, NULL, &err) != 0)
        log_error("the emulated TDX module cannot start: %s", err.text);
}

/* Opened at first use; NULL with the reason logged. */
static const struct tdx_platform *host_platform(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_platform);
    return platform;
}

static uint64_t supported_attributes(void)
{
    struct tdx_capabilities module;
    tdx_module_capabilities(&module);
    return KVM_ATTRIBUTES & module.attributes_fixed0;
}

/* tdx_get_supported_xfam: KVM's XCR0 and XSS, as the module allows them */
static uint64_t supported_xfam(struct tdx_vm *vm)
{
    struct tdx_capabilities module;
    CLEAN_FREE struct kvm_cpuid_entry2 *entry = calloc(EMU_CPUID_MAX, sizeof(*entry));
    unsigned n;
    tdx_module_capabilities(&module);
    if (!entry || emu_cpuid_supported(vm->emu.kvm_fd, entry, &n) != 0)
        return module.xfam_fixed1;
    uint64_t host = 0;
    const struct kvm_cpuid_entry2 *e = emu_cpuid_find(entry, n, LEAF_XSAVE, 0);
    if (e)
        host |= e->eax | (uint64_t)e->edx << 32;
    e = emu_cpuid_find(entry, n, LEAF_XSAVE, 1);
    if (e)
        host |= e->ecx | (uint64_t)e->edx << 32;
    return (host & module.xfam_fixed0) | module.xfam_fixed1;
}

/* tdx_get_capabilities */
static int get_capabilities(struct tdx_vm *vm, struct uapi_tdx_cmd *cmd)
{
    struct uapi_tdx_capabilities *theirs = (void *)(uintptr_t)cmd->data, out;
    struct kvm_cpuid_entry2 entry[TDX_CPUID_MAX];
    unsigned n = tdx_cpuid_caps(entry);
    if (cmd->flags)
        return -EINVAL;
    if (caller_read(&out, theirs, sizeof(out)) != 0)
        return -EFAULT;
    if (out.cpuid.nent < n)
        return -E2BIG;
    out = (struct uapi_tdx_capabilities){
        .supported_attrs = supported_attributes(),
        .supported_xfam = supported_xfam(vm),
        .user_tdvmcallinfo_1_r11 = TDVMCALLINFO_SETUP_EVENT_NOTIFY_INTERRUPT,
        .cpuid.nent = n,
    };
    int rc = caller_write(theirs, &out, sizeof(out));
    return rc ? rc : caller_write(CALLER_AT(theirs, cpuid.entries), entry, n * sizeof(entry[0]));
}

/* A command that the module refused: OPERAND_INVALID is the caller's fault and is told. */
static int refused(struct uapi_tdx_cmd *cmd, tdx_status status)
{
    if (TDX_STATUS_CODE(status) != TDX_OPERAND_INVALID)
        return -EIO;
    cmd->hw_error = status;
    return -EINVAL;
}

/* setup_tdparams, __tdx_td_init */
static int init_td(struct tdx_vm *vm, struct uapi_tdx_cmd *cmd, const struct uapi_tdx_init_vm *in)
{
    struct tdx_td_params params = {
        .attributes = in->attributes, .xfam = in->xfam, .max_vcpus = TDX_HOST_CPUS, .gpaw = TDX_GPAW};
    struct cofre_err err;
    tdx_status status = TDX_SUCCESS;
    struct tdx_td *td;
    if (in->attributes & ~supported_attributes() || in->xfam & ~supported_xfam(vm))
        return -EINVAL;
    params.xfam |= TDX_XFAM_FIXED1;
    vm->attributes = params.attributes;
    memcpy(params.mrconfigid, in->mrconfigid, sizeof(params.mrconfigid));
    memcpy(params.mrowner, in->mrowner, sizeof(params.mrowner));
    memcpy(params.mrownerconfig, in->mrownerconfig, sizeof(params.mrownerconfig));
    int rc = tdx_cpuid_init(vm, &in->cpuid, params.xfam, &status);
    if (rc)
        return status == TDX_SUCCESS ? rc : refused(cmd, status);
    if (!host_platform())
        return -EIO;
    if (tdx_td_new(&td, host_platform(), &err) != 0)
        return -ENOMEM;
    status = tdh_mng_init(td, &params);
    if (status != TDX_SUCCESS) {
        tdx_td_free(td);
        return refused(cmd, status);
    }
    vm->td = td;
    return 0;
}

/* tdx_td_init */
static int init_vm(struct tdx_vm *vm, struct uapi_tdx_cmd *cmd)
{
    static const uint64_t nothing[12];
    const struct uapi_tdx_init_vm *user = caller_at(cmd->data, 0);
    if (vm->state != TD_UNINITIALISED || cmd->flags)
        return -EINVAL;
    uint32_t nent;
    if (caller_read(&nent, CALLER_AT(user, cpuid.nent), sizeof(nent)) != 0)
        return -EFAULT;
    if (nent > EMU_CPUID_MAX)
        return -E2BIG;
    size_t len = sizeof(*user) + nent * sizeof(user->cpuid.entries[0]);
    CLEAN_FREE struct uapi_tdx_init_vm *in = malloc(len);
    if (!in)
        return -ENOMEM;
    if (caller_read(in, user, len) != 0)
        return -EFAULT;
    if (memcmp(in->reserved, nothing, sizeof(nothing)) != 0 || in->cpuid.padding || in->cpuid.nent != nent)
        return -EINVAL;
    int rc = init_td(vm, cmd, in);
    if (!rc)
        vm->state = TD_INITIALISED;
    return rc;
}

/* tdx_td_finalize */
static int finalize(struct tdx_vm *vm, struct uapi_tdx_cmd *cmd)
{
    if (vm->state != TD_INITIALISED)
        return -EINVAL;
    cmd->hw_error = tdh_mr_finalize(vm->td);
    if (cmd->hw_error != TDX_SUCCESS) {
        vm->dead = true; /* TDX_BUG_ON */
        return -EIO;
    }
    vm->state = TD_RUNNABLE;
    uint8_t mrtd[TDX_DIGEST_SIZE];
    tdx_td_mrtd(vm->td, mrtd);
    tdx_say("mrtd", mrtd);
    lie_change_memory(&vm->emu.memory);
    return 0;
}

/* tdx_vm_ioctl */
int tdx_vm_command(struct tdx_vm *vm, struct uapi_tdx_cmd *cmd)
{
    if (cmd->hw_error)
        return -EINVAL;
    switch (cmd->id) {
    case UAPI_TDX_CAPABILITIES:
        return get_capabilities(vm, cmd);
    case UAPI_TDX_INIT_VM:
        return init_vm(vm, cmd);
    case UAPI_TDX_FINALIZE_VM:
        return finalize(vm, cmd);
    default:
        return -EINVAL;
    }
}

/* tdx_vcpu_init */
static int init_vcpu(struct tdx_vcpu *vcpu, struct uapi_tdx_cmd *cmd)
{
    if (cmd->flags || vcpu->initialised)
        return -EINVAL;
    struct kvm_cpuid_entry2 features = emu_vcpu_cpuid(&vcpu->emu, 1, 0);
    if (!(features.ecx & 1u << 21)) /* x2APIC: kvm_apic_set_base refuses */
        return -EINVAL;
    struct tdx_vm *vm = tdx_vm_of(vcpu);
    if (tdh_vp_init(vm->td, &vcpu->index) != TDX_SUCCESS) {
        vm->dead = true;
        return -EIO;
    }
    int rc = tdx_vcpu_reset(vcpu, cmd->data);
    vcpu->initialised = rc == 0;
    return rc;
}

struct page_context {
    struct tdx_vm *vm;
    bool measure;
};

/* The first measured page, or the one that the test names. */
static void change_page(uint64_t gpa, uint8_t *page)
{
    static atomic_bool changed;
    bool here = lie_address() == 0 || lie_address() - gpa < EMU_PAGE_SIZE;
    if (lie_is(LIE_CHANGED_PAGE) && here && !atomic_exchange(&changed, true))
        page[lie_address() % EMU_PAGE_SIZE] ^= 1;
}

/* tdx_gmem_post_populate, for one page: TDH.MEM.PAGE.ADD, then TDH.MR.EXTEND chunk by chunk */
static int launch_page(void *context, uint64_t gpa, uint8_t *page)
{
    const struct page_context *c = context;
    change_page(gpa, page);
    tdx_status status = tdh_mem_page_add(c->vm->td, gpa);
    for (unsigned i = 0; status == TDX_SUCCESS && c->measure && i < EMU_PAGE_SIZE; i += TDX_EXTEND_CHUNK)
        status = tdh_mr_extend(c->vm->td, gpa + i, page + i);
    return status == TDX_SUCCESS ? 0 : -EIO;
}

static bool is_region(const struct uapi_tdx_init_mem_region *r)
{
    uint64_t end = r->gpa + r->nr_pages * EMU_PAGE_SIZE;
    return r->source_addr && r->source_addr % EMU_PAGE_SIZE == 0 && r->gpa % EMU_PAGE_SIZE == 0 &&
           r->nr_pages && end > r->gpa && end <= TDX_SHARED_BIT;
}

/* tdx_vcpu_init_mem_region: done pages are taken off the parameters, before an error too */
static int init_mem_region(struct tdx_vcpu *vcpu, struct uapi_tdx_cmd *cmd)
{
    struct uapi_tdx_init_mem_region region;
    struct tdx_vm *vm = tdx_vm_of(vcpu);
    struct page_context context = {vm, cmd->flags & UAPI_TDX_MEASURE_MEMORY_REGION};
    int rc = 0;
    if (!vcpu->initialised || cmd->flags & ~UAPI_TDX_MEASURE_MEMORY_REGION)
        return -EINVAL;
    if (caller_read(&region, caller_at(cmd->data, 0), sizeof(region)) != 0)
        return -EFAULT;
    if (!is_region(&region))
        return -EINVAL;
    while (region.nr_pages) {
        rc = memory_launch_page(&vm->emu.memory, region.gpa, (const void *)(uintptr_t)region.source_addr,
                                launch_page, &context);
        if (rc)
            break;
        region.source_addr += EMU_PAGE_SIZE;
        region.gpa += EMU_PAGE_SIZE;
        region.nr_pages--;
    }
    return caller_write(caller_at(cmd->data, 0), &region, sizeof(region)) != 0 ? -EFAULT : rc;
}

/* tdx_vcpu_get_cpuid */
static int get_cpuid(struct tdx_vcpu *vcpu, struct uapi_tdx_cmd *cmd)
{
    struct kvm_cpuid2 *out = (void *)(uintptr_t)cmd->data;
    struct kvm_cpuid_entry2 entry[TDX_CPUID_MAX];
    uint32_t room, n = tdx_cpuid_get(tdx_vm_of(vcpu), entry);
    if (caller_read(&room, CALLER_AT(out, nent), sizeof(room)) != 0 ||
        caller_write(CALLER_AT(out, nent), &n, sizeof(n)) != 0)
        return -EFAULT;
    return room < n ? -E2BIG : caller_write(CALLER_AT(out, entries), entry, n * sizeof(entry[0]));
}

/* tdx_vcpu_unlocked_ioctl, tdx_vcpu_ioctl */
int tdx_vcpu_command(struct tdx_vcpu *vcpu, struct uapi_tdx_cmd *cmd)
{
    if (cmd->hw_error || tdx_vm_of(vcpu)->state != TD_INITIALISED)
        return -EINVAL;
    switch (cmd->id) {
    case UAPI_TDX_INIT_VCPU:
        return init_vcpu(vcpu, cmd);
    case UAPI_TDX_INIT_MEM_REGION:
        return init_mem_region(vcpu, cmd);
    case UAPI_TDX_GET_CPUID:
        return get_cpuid(vcpu, cmd);
    default:
        return -EINVAL;
    }
}
