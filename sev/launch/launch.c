#include "sev/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "sev/cpuid_page.h"
#include "sev/digest.h"
#include "sev/fw_status.h"
#include "sev/id_block.h"
#include "sev/launch/cpuid.h"
#include "sev/launch/entry.h"
#include "sev/launch/error.h"
#include "sev/launch/firmware.h"
#include "sev/launch/igvm.h"
#include "sev/launch/owner.h"
#include "sev/policy.h"
#include "sev/vmsa.h"
#include "vmm/base/cleanup.h"
#define LOG_ROOM "snp"
#include "vmm/base/log.h"
#include "vmm/devices/memory.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/shim/abi.h"

struct tee {
    struct snp_owner owner;

    /* the launch */
    struct kvm_vm *vm;
    int sev_fd;
    uint64_t vmsa_features;
    struct snp_cpuid_page *cpuid_page; /* from vCPU 0's table; one page */
    const struct launch_image *image;  /* what vCPUs started by */
    unsigned cpus;
    struct snp_digest digest; /* of what was really given */
};

static int snp_new(struct tee **out, struct cofre_err *err)
{
    struct tee *tee = calloc(1, sizeof *tee);
    if (tee)
        tee->cpuid_page = aligned_alloc(SNP_PAGE_SIZE, sizeof *tee->cpuid_page);
    if (!tee || !tee->cpuid_page) {
        free(tee);
        return cofre_fail(err, COFRE_FAILED, "no memory");
    }
    snp_owner_init(&tee->owner);
    tee->vmsa_features = SNP_FEATURE_ACTIVE;
    tee->sev_fd = -1;
    *out = tee;
    return 0;
}

static void snp_free(struct tee *tee)
{
    if (!tee)
        return;
    if (tee->sev_fd >= 0)
        tee->vm->kvm->backend->close(tee->sev_fd);
    snp_owner_free(&tee->owner);
    free(tee->cpuid_page);
    free(tee);
}

/* The digest: of the prediction and of the launch alike */

static const enum snp_page_type page_types[] = {
    [LAUNCH_MEASURED] = SNP_PAGE_NORMAL,       [LAUNCH_ZERO] = SNP_PAGE_ZERO,
    [LAUNCH_UNMEASURED] = SNP_PAGE_UNMEASURED, [LAUNCH_SECRETS] = SNP_PAGE_SECRETS,
    [LAUNCH_CPUID] = SNP_PAGE_CPUID,
};

static int extend_by_range(struct snp_digest *digest, const struct launch_range *range, struct cofre_err *err)
{
    enum snp_page_type type = page_types[range->kind];
    return snp_digest_pages(digest, type, range->gpa, snp_page_has_contents(type) ? range->data : NULL,
                            range->len, err);
}

/* In firmware a vCPU starts as QEMU's, or as a file says, in our own image in its entry state. */
static void vmsa_of(struct snp_vmsa *out, const struct tee *tee, const struct launch_image *image,
                    unsigned index)
{
    const struct snp_igvm_own *own = snp_igvm_own(image);
    if (own && index < own->vmsas)
        *out = own->vmsa[index];
    else if (image->at_reset)
        snp_vmsa_of_reset(out, SNP_VMM_QEMU, index, image->entry, tee->owner.cpu_signature,
                          tee->vmsa_features);
    else
        snp_vmsa_of_entry(out, image->entry, tee->vmsa_features);
}

/* KVM gives the firmware every vCPU's VMSA when the launch is finished, in the order of their creation. */
static int extend_by_vmsas(struct snp_digest *digest, const struct tee *tee, const struct launch_image *image,
                           unsigned cpus, struct cofre_err *err)
{
    struct snp_vmsa vmsa;
    int rc = 0;
    for (unsigned i = 0; i < cpus && rc == 0; i++) {
        vmsa_of(&vmsa, tee, image, i);
        rc = snp_digest_page(digest, SNP_PAGE_VMSA, SNP_VMSA_GPA, &vmsa, err);
    }
    return rc;
}

static int snp_measure(struct tee *tee, const struct launch_image *image, struct tee_measurement *out,
                       struct cofre_err *err)
{
    struct snp_digest digest;
    snp_digest_init(&digest);
    int rc = snp_owner_check_image(&tee->owner, image, err);
    for (size_t i = 0; i < image->count && rc == 0; i++)
        rc = extend_by_range(&digest, &image->range[i], err);
    if (rc == 0)
        rc = extend_by_vmsas(&digest, tee, image, image->cpus, err);
    if (rc < 0)
        return rc;
    out->name = "launch digest";
    memcpy(out->value, digest.value, sizeof out->value);
    return snp_igvm_check_digest(image, &digest, err);
}

static int snp_adopt(struct tee *tee, const struct launch_image *image, struct cofre_err *err)
{
    return snp_igvm_adopt(&tee->owner, image, err);
}

static int snp_set_option(struct tee *tee, const char *name, const char *value, struct cofre_err *err)
{
    return snp_owner_set_option(&tee->owner, name, value, err);
}

static int snp_expect(struct tee *tee, const struct tee_measurement *expected, struct cofre_err *err)
{
    return snp_owner_expect(&tee->owner, expected->value, err);
}

/* The launch */

static int command(struct tee *tee, uint32_t id, void *data, struct cofre_err *err)
{
    uint32_t fw_status = 0;
    int error = kvm_vm_sev_command(tee->vm, id, data, tee->sev_fd, &fw_status);
    return error ? snp_launch_failed(err, id, error, fw_status) : 0;
}

static int enable_certificate_requests(struct tee *tee, const struct kvm *kvm, struct cofre_err *err)
{
    uint64_t supported;
    if (tee->owner.certificates.len == 0)
        return 0;
    if (!kvm_device_attr(kvm, UAPI_X86_GRP_SEV, UAPI_X86_SEV_REQ_CERTS, &supported) || !supported) {
        log_warn("--certificates: this kernel cannot hand them to the guest (Linux 7.0 can); its reports "
                 "come without, "
                 "and whoever verifies them needs \"cofre verify --cert\"");
        return 0;
    }
    return command(tee, UAPI_SEV_SNP_ENABLE_REQ_CERTS, NULL, err);
}

static int snp_vm_init(struct tee *tee, struct kvm *kvm, struct kvm_vm *vm, const struct kvm_cpuid2 *cpuid,
                       unsigned cpus, struct cofre_err *err)
{
    (void)cpuid, (void)cpus;
    tee->vm = vm;
    int rc = snp_owner_check(&tee->owner, err);
    if (rc == 0)
        rc = snp_owner_check_kvm(&tee->owner, kvm, err);
    if (rc < 0)
        return rc;
    tee->sev_fd = kvm->backend->open("/dev/sev", O_RDWR | O_CLOEXEC);
    if (tee->sev_fd < 0)
        return cofre_fail(err, COFRE_LACKING, "/dev/sev cannot be opened: %s; see \"cofre doctor\"",
                          strerror(errno));
    rc = kvm_vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, 1u << KVM_HC_MAP_GPA_RANGE, err);
    struct uapi_sev_init2 init = {.vmsa_features = tee->vmsa_features & ~SNP_FEATURE_ACTIVE,
                                  .ghcb_version = 2};
    if (rc == 0)
        rc = command(tee, UAPI_SEV_INIT2, &init, err);
    if (rc == 0)
        rc = enable_certificate_requests(tee, kvm, err);
    struct uapi_snp_launch_start start = {.policy = tee->owner.policy};
    if (rc == 0)
        rc = command(tee, UAPI_SEV_SNP_LAUNCH_START, &start, err);
    snp_digest_init(&tee->digest);
    return rc;
}

static int snp_vcpu_init(struct tee *tee, struct kvm_vcpu *vcpu, unsigned index, struct kvm_cpuid2 *cpuid,
                         const struct launch_image *image, struct cofre_err *err)
{
    int rc = snp_cpuid_correct(cpuid, err);
    if (rc == 0)
        rc = kvm_vcpu_set_cpuid(vcpu, cpuid, err);
    if (rc == 0 && index == 0)
        rc = snp_cpuid_page_fill(tee->cpuid_page, cpuid, err);
    struct snp_vmsa vmsa;
    vmsa_of(&vmsa, tee, image, index);
    if (rc == 0)
        rc = snp_entry_set(vcpu, &vmsa, err);
    tee->image = image;
    tee->cpus = index + 1;
    return rc;
}

/* KVM may stop before the end and says how far it came. */
static int update(struct tee *tee, enum snp_page_type type, uint64_t gpa, const void *data, uint64_t len,
                  int *error, uint32_t *fw_status)
{
    struct uapi_snp_launch_update call = {
        .gfn_start = gpa / SNP_PAGE_SIZE,
        .uaddr = type == SNP_PAGE_ZERO ? 0 : (uintptr_t)data,
        .len = len,
        .type = (uint8_t)type,
    };
    while (call.len) {
        uint64_t before = call.len;
        *error = kvm_vm_sev_command(tee->vm, UAPI_SEV_SNP_LAUNCH_UPDATE, &call, tee->sev_fd, fw_status);
        if (*error == 0 && call.len >= before)
            *error = EIO; /* no progress: never loop on it */
        if (*error)
            return -1;
    }
    return 0;
}

/* The firmware may correct the page, which it then hands back (Linux 7.0 and later): given again it is accepted, and
 * the guest sees what the firmware vouches for. */
static int load_cpuid(struct tee *tee, uint64_t gpa, struct cofre_err *err)
{
    CLEAN_FREE struct snp_cpuid_page *given = malloc(sizeof *given);
    if (!given)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    *given = *tee->cpuid_page;
    int error;
    uint32_t fw_status = 0;
    if (update(tee, SNP_PAGE_CPUID, gpa, tee->cpuid_page, SNP_PAGE_SIZE, &error, &fw_status) == 0)
        return 0;
    char difference[128];
    if (fw_status != SNP_FW_INVALID_PARAM ||
        snp_cpuid_page_difference(given, tee->cpuid_page, difference, sizeof difference) == 0) {
        int rc = snp_launch_failed(err, UAPI_SEV_SNP_LAUNCH_UPDATE, error, fw_status);
        return cofre_within(err, rc, "CPUID page");
    }
    log_warn("the firmware corrected the guest's CPUID table (%s); the guest gets the corrected one",
             difference);
    fw_status = 0;
    if (update(tee, SNP_PAGE_CPUID, gpa, tee->cpuid_page, SNP_PAGE_SIZE, &error, &fw_status) == 0)
        return 0;
    int rc = snp_launch_failed(err, UAPI_SEV_SNP_LAUNCH_UPDATE, error, fw_status);
    return cofre_within(err, rc, "CPUID page, as the firmware corrected it");
}

static int load_range(struct tee *tee, const struct launch_range *range, struct cofre_err *err)
{
    if (range->kind == LAUNCH_CPUID)
        return load_cpuid(tee, range->gpa, err);
    /* KVM reads the source of a secrets page too, though the firmware fills it. */
    static const uint8_t blank[SNP_PAGE_SIZE] __attribute__((aligned(SNP_PAGE_SIZE)));
    /* It wants whole pages where they begin (7.2); the image's bytes may lie anywhere. */
    CLEAN_FREE uint8_t *pages = range->data ? aligned_alloc(SNP_PAGE_SIZE, range->len) : NULL;
    if (range->data && !pages)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    if (pages)
        memcpy(pages, range->data, range->len);
    const void *data = range->kind == LAUNCH_SECRETS ? blank : pages;
    int error;
    uint32_t fw_status = 0;
    if (update(tee, page_types[range->kind], range->gpa, data, range->len, &error, &fw_status) == 0)
        return 0;
    int rc = snp_launch_failed(err, UAPI_SEV_SNP_LAUNCH_UPDATE, error, fw_status);
    return cofre_within(err, rc, "guest memory at 0x%llx", (unsigned long long)range->gpa);
}

static int snp_load(struct tee *tee, const struct launch_image *image, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < image->count && rc == 0; i++) {
        rc = load_range(tee, &image->range[i], err);
        if (rc == 0)
            rc = extend_by_range(&tee->digest, &image->range[i], err);
    }
    return rc;
}

static int snp_finish(struct tee *tee, struct tee_measurement *out, struct cofre_err *err)
{
    int rc = extend_by_vmsas(&tee->digest, tee, tee->image, tee->cpus, err);
    if (rc < 0)
        return rc;
    *out = (struct tee_measurement){.name = "launch digest"};
    memcpy(out->value, tee->digest.value, sizeof out->value);
    if (tee->owner.has_expected &&
        memcmp(tee->owner.expected, tee->digest.value, sizeof tee->owner.expected) != 0)
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "what was loaded into the guest does not have the expected launch digest; no vCPU ran");
    if (tee->owner.has_expected && !tee->owner.has_id_block)
        rc = snp_owner_vouch(&tee->owner, err);
    if (rc < 0)
        return rc;
    struct uapi_snp_launch_finish finish = {
        .id_block_uaddr = (uintptr_t)&tee->owner.id_block,
        .id_auth_uaddr = (uintptr_t)&tee->owner.id_auth,
        .id_block_en = tee->owner.has_id_block,
        .auth_key_en = tee->owner.has_id_block && snp_id_auth_has_author(&tee->owner.id_auth),
    };
    memcpy(finish.host_data, tee->owner.host_data, sizeof finish.host_data);
    return command(tee, UAPI_SEV_SNP_LAUNCH_FINISH, &finish, err);
}

/* Exits */

static void serve_certificates(struct tee *tee, const struct guest_memory *memory, struct kvm_run *run)
{
    struct uapi_exit_snp_req_certs *request = uapi_exit_snp_req_certs(run);
    uint64_t needed = (tee->owner.certificates.len + SNP_PAGE_SIZE - 1) / SNP_PAGE_SIZE;
    if (request->npages < needed) {
        request->npages = needed;
        request->ret = ENOSPC;
    } else {
        bool written = guest_memory_write(memory, request->gpa, tee->owner.certificates.data,
                                          tee->owner.certificates.len);
        request->ret = written ? 0 : EIO;
    }
}

static enum tee_exit_action snp_exit(struct tee *tee, const struct guest_memory *memory,
                                     struct kvm_vcpu *vcpu, int *code, struct cofre_err *err)
{
    struct kvm_run *run = vcpu->run;
    if (run->exit_reason == KVM_EXIT_SNP_REQ_CERTS) {
        serve_certificates(tee, memory, run);
        return TEE_EXIT_CONTINUE;
    }
    if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT && run->system_event.type == KVM_SYSTEM_EVENT_SEV_TERM) {
        *code = snp_guest_terminated(err, run->system_event.ndata ? run->system_event.data[0] : 0);
        return TEE_EXIT_STOP;
    }
    return TEE_EXIT_UNKNOWN;
}

const struct tee_ops snp_tee_ops = {
    .name = "snp",
    .title = "AMD SEV-SNP",
    .vm_type = KVM_X86_SNP_VM,
    .boot_tee = BOOT_SNP,
    .options = snp_owner_options,
    .firmware_image = snp_firmware_image,
    .igvm_image = snp_igvm_image,
    .adopt = snp_adopt,
    .new = snp_new,
    .set_option = snp_set_option,
    .free = snp_free,
    .measure = snp_measure,
    .expect = snp_expect,
    .vm_init = snp_vm_init,
    .vcpu_init = snp_vcpu_init,
    .load = snp_load,
    .finish = snp_finish,
    .exit = snp_exit,
};
