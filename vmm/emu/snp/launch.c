/*
 * KVM_MEMORY_ENCRYPT_OP of an SNP virtual machine: Linux 7.3 arch/x86/kvm/svm/sev.c, which function does what is named
 * at each. The order of the checks is KVM's, since each has its own errno.
 */
#define LOG_ROOM "emu"
#include <errno.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/emu/caller.h"
#include "vmm/emu/host.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/snp/snp.h"

#define GHCB_VERSION 2
#define DR7_RESET    0x400

static struct psp *platform;

static void open_platform(void)
{
    static const struct psp_options options;
    struct cofre_err err;
    if (psp_open(&platform, NULL, &options, &err) != 0)
        log_error("the emulated secure processor cannot start: %s", err.text);
}

struct psp *snp_firmware(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_platform);
    return platform;
}

/* A firmware command's outcome: EIO and the code, as __sev_do_cmd_locked. */
static int firmware(struct uapi_sev_cmd *cmd, enum psp_status status)
{
    cmd->error = status;
    return status == PSP_SUCCESS ? 0 : -EIO;
}

/* __sev_guest_init */
static int init2(struct snp_vm *vm, struct uapi_sev_cmd *cmd)
{
    struct uapi_sev_init2 in;
    if (caller_read(&in, caller_at(cmd->data, 0), sizeof(in)) != 0)
        return -EFAULT;
    if (vm->emu.vcpu_count || in.flags || in.vmsa_features & ~SNP_VMSA_FEATURES)
        return -EINVAL;
    if (in.ghcb_version > GHCB_VERSION || in.ghcb_version == 1)
        return -EINVAL;
    struct psp *psp = snp_firmware();
    if (!psp)
        return -ENODEV;
    struct cofre_err err;
    if (psp_guest_create(&vm->guest, psp, &err) != 0)
        return -ENOMEM;
    vm->sev_features = in.vmsa_features | SEV_FEATURE_SNP_ACTIVE;
    vm->phase = PHASE_INITIALISED;
    return 0;
}

static int enable_request_certificates(struct snp_vm *vm, struct uapi_sev_cmd *cmd)
{
    (void)cmd;
    if (vm->phase == PHASE_CREATED || vm->emu.vcpu_count)
        return -EINVAL;
    vm->request_certificates = true;
    return 0;
}

/* snp_launch_start */
static int launch_start(struct snp_vm *vm, struct uapi_sev_cmd *cmd)
{
    struct uapi_snp_launch_start in;
    if (vm->phase == PHASE_CREATED)
        return -ENOTTY;
    if (vm->phase != PHASE_INITIALISED)
        return -EINVAL;
    if (caller_read(&in, caller_at(cmd->data, 0), sizeof(in)) != 0)
        return -EFAULT;
    if (in.flags || in.policy & ~SNP_HOST_POLICY_BITS || !(in.policy & SNP_POLICY_RESERVED_ONE))
        return -EINVAL;
    if (!snp_is_sev_fd((int)cmd->sev_fd))
        return -ENOTTY; /* snp_context_create failed */
    int rc = firmware(cmd, psp_launch_start(vm->guest, in.policy, in.gosvw));
    if (rc)
        return rc;
    vm->sev_fd = (int)cmd->sev_fd;
    vm->phase = PHASE_STARTED;
    return 0;
}

struct page_context {
    struct snp_vm *vm;
    struct uapi_sev_cmd *cmd;
    uint8_t type;
    uint8_t *source;
    const struct snp_cpuid_function *allowed;
    size_t allowed_count;
};

static void tell_lies(struct page_context *c, uint8_t *page)
{
    static atomic_bool changed;
    if (lie_is(LIE_CHANGED_PAGE) && c->type == SNP_PAGE_NORMAL && !atomic_exchange(&changed, true))
        page[0] ^= 1;
    if (lie_is(LIE_CPUID_PAGE) && c->type == SNP_PAGE_CPUID) {
        struct snp_cpuid_page *cpuid = (struct snp_cpuid_page *)page;
        if (cpuid->count > 1)
            cpuid->fn[1].ecx = 0;
        c->type = SNP_PAGE_UNMEASURED; /* so that the firmware does not look */
    }
}

/* sev_gmem_post_populate, for one page */
static int launch_page(void *context, uint64_t gpa, uint8_t *page)
{
    struct page_context *c = context;
    tell_lies(c, page);
    struct psp_page update = {
        .type = c->type,
        .gpa = gpa,
        .data = page,
        .allowed = c->allowed,
        .allowed_count = c->allowed_count,
    };
    enum psp_status status = psp_launch_update(c->vm->guest, &update);
    if (status == PSP_INVALID_PARAM &&
        c->type == SNP_PAGE_CPUID && /* the values that the firmware would accept */
        caller_write(c->source, page, EMU_PAGE_SIZE) != 0)
        return -EFAULT;
    return firmware(c->cmd, status);
}

static bool is_page_type(uint8_t type)
{
    return type == SNP_PAGE_NORMAL || type == SNP_PAGE_ZERO || type == SNP_PAGE_UNMEASURED ||
           type == SNP_PAGE_SECRETS || type == SNP_PAGE_CPUID;
}

/* What the silicon under the firmware has: what KVM supports, and what every processor with SEV-SNP has besides: HTT, which
 * KVM leaves to user space, and TOPOEXT, which a host's processor that is not one of these may lack. */
static size_t platform_cpuid(const struct snp_vm *vm, struct snp_cpuid_function *out)
{
    enum { LEAF_FEATURES = 1, EDX_HTT = 1 << 28, ECX_TOPOEXT = 1 << 22 };
    const uint32_t extended = 0x80000001;
    for (unsigned i = 0; i < vm->supported_count; i++) {
        const struct kvm_cpuid_entry2 *e = &vm->supported[i];
        out[i] = (struct snp_cpuid_function){.eax_in = e->function,
                                             .ecx_in = e->index,
                                             .eax = e->eax,
                                             .ebx = e->ebx,
                                             .ecx = e->ecx | (e->function == extended ? ECX_TOPOEXT : 0),
                                             .edx = e->edx | (e->function == LEAF_FEATURES ? EDX_HTT : 0)};
    }
    return vm->supported_count;
}

/* snp_launch_update: done pages are taken off the parameters; a failure counts only on the first page. */
static int launch_update(struct snp_vm *vm, struct uapi_sev_cmd *cmd)
{
    struct uapi_snp_launch_update in;
    struct snp_cpuid_function allowed[EMU_CPUID_MAX];
    if (vm->phase < PHASE_STARTED)
        return -EINVAL;
    if (caller_read(&in, caller_at(cmd->data, 0), sizeof(in)) != 0)
        return -EFAULT;
    bool zero = in.type == SNP_PAGE_ZERO;
    if (in.flags || !is_page_type(in.type) || in.len == 0 || in.len % EMU_PAGE_SIZE)
        return -EINVAL;
    if (!zero && (in.uaddr == 0 || in.uaddr % EMU_PAGE_SIZE))
        return -EINVAL;
    uint64_t end = memory_gmem_slot_end(&vm->emu.memory, in.gfn_start * EMU_PAGE_SIZE);
    if (!end || in.gfn_start > UINT64_MAX / EMU_PAGE_SIZE)
        return -EINVAL;
    uint8_t *source = zero ? NULL : (uint8_t *)(uintptr_t)in.uaddr;
    size_t allowed_count = platform_cpuid(vm, allowed);
    uint32_t error_before = cmd->error;
    bool first = true;
    for (; in.len && in.gfn_start * EMU_PAGE_SIZE < end; first = false) {
        struct page_context context = {vm, cmd, in.type, source, allowed, allowed_count};
        cmd->error = 0;
        int rc = snp_is_sev_fd((int)cmd->sev_fd)
                     ? memory_launch_page(&vm->emu.memory, in.gfn_start * EMU_PAGE_SIZE, source, launch_page,
                                          &context)
                     : -EBADF;
        if (rc && first)
            return -EIO;
        if (rc)
            break;
        in.gfn_start++;
        in.len -= EMU_PAGE_SIZE;
        source = zero ? NULL : source + EMU_PAGE_SIZE;
    }
    cmd->error = error_before;
    in.uaddr = zero ? in.uaddr : (uintptr_t)source;
    return caller_write(caller_at(cmd->data, 0), &in, sizeof(in));
}

/* snp_launch_update_vmsa, for one vCPU */
static int launch_vmsa(struct snp_vcpu *vcpu, struct uapi_sev_cmd *cmd)
{
    struct snp_vmsa vmsa;
    if (vcpu->protected)
        return -EINVAL;
    int rc = snp_vmsa_save(vcpu, &vmsa);
    if (rc)
        return rc;
    if (vmsa.dr7 & ~(uint64_t)DR7_RESET)
        return -EINVAL;
    if (!snp_is_sev_fd((int)cmd->sev_fd))
        return -EBADF;
    struct psp_page update = {.type = SNP_PAGE_VMSA, .gpa = SNP_VMSA_GPA, .data = (uint8_t *)&vmsa};
    rc = firmware(cmd, psp_launch_update(snp_vm_of(vcpu)->guest, &update));
    if (rc)
        return rc;
    vcpu->protected = true;
    snp_ap_launched(vcpu, &vmsa);
    return 0;
}

/* snp_launch_finish */
static int launch_finish(struct snp_vm *vm, struct uapi_sev_cmd *cmd)
{
    struct uapi_snp_launch_finish in;
    struct psp_launch_finish finish = {0};
    uint64_t id_block[sizeof(struct snp_id_block) / 8], id_auth[EMU_PAGE_SIZE / 8];
    if (vm->phase == PHASE_CREATED)
        return -ENOTTY;
    if (vm->phase < PHASE_STARTED)
        return -EINVAL;
    if (caller_read(&in, caller_at(cmd->data, 0), sizeof(in)) != 0)
        return -EFAULT;
    if (in.flags)
        return -EINVAL;
    for (unsigned i = 0; i < vm->emu.vcpu_count; i++) {
        int rc = launch_vmsa(snp_vcpu(vm->emu.vcpu[i]), cmd);
        if (rc)
            return rc;
    }
    if (in.id_block_en && (!in.id_block_uaddr || !in.id_auth_uaddr))
        return -EINVAL;
    if (in.id_block_en) {
        if (caller_read(id_block, caller_at(in.id_block_uaddr, 0), sizeof(id_block)) != 0 ||
            caller_read(id_auth, caller_at(in.id_auth_uaddr, 0), sizeof(id_auth)) != 0)
            return -EFAULT;
        finish.id_block = (const void *)id_block;
        finish.id_auth = (const void *)id_auth;
        finish.id_block_en = 1;
        finish.auth_key_en = in.auth_key_en != 0;
    }
    finish.vcek_disabled = in.vcek_disabled & 1;
    memcpy(finish.host_data, in.host_data, sizeof(finish.host_data));
    if (!snp_is_sev_fd(vm->sev_fd))
        return -EBADF;
    int rc = firmware(cmd, psp_launch_finish(vm->guest, &finish));
    if (rc)
        return rc;
    vm->phase = PHASE_FINISHED;
    lie_change_memory(&vm->emu.memory);
    return 0;
}

static const struct {
    uint32_t id;
    int (*run)(struct snp_vm *vm, struct uapi_sev_cmd *cmd);
} commands[] = {
    {UAPI_SEV_INIT2, init2},
    {UAPI_SEV_SNP_LAUNCH_START, launch_start},
    {UAPI_SEV_SNP_LAUNCH_UPDATE, launch_update},
    {UAPI_SEV_SNP_LAUNCH_FINISH, launch_finish},
    {UAPI_SEV_SNP_ENABLE_REQ_CERTS, enable_request_certificates},
};

int snp_launch_command(struct snp_vm *vm, struct uapi_sev_cmd *cmd)
{
    if (vm->phase != PHASE_CREATED && cmd->id < UAPI_SEV_SNP_LAUNCH_START)
        return -EPERM;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (commands[i].id == cmd->id)
            return commands[i].run(vm, cmd);
    return -EINVAL;
}
