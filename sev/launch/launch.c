#include "sev/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "sev/cpuid_page.h"
#include "sev/digest.h"
#include "sev/fw_status.h"
#include "sev/id_block.h"
#include "sev/launch/certificates.h"
#include "sev/launch/cpuid.h"
#include "sev/launch/error.h"
#include "sev/policy.h"
#include "sev/vmsa.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#define LOG_ROOM "snp"
#include "vmm/base/log.h"
#include "vmm/devices/memory.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/shim/abi.h"

#define CERTIFICATES_MAX (64u << 10)

struct tee {
    /* what the guest's owner wants */
    uint64_t policy;
    bool policy_given;
    uint8_t host_data[32];
    bool has_id_block, has_id_auth;
    struct snp_id_block id_block;
    struct snp_id_auth id_auth;
    struct bytes certificates; /* table for extended guest requests; empty: none */
    bool has_expected;
    uint8_t expected[SNP_DIGEST_SIZE];

    /* the launch */
    struct kvm_vm *vm;
    int sev_fd;
    uint64_t vmsa_features;
    struct snp_cpuid_page *cpuid_page; /* from vCPU 0's table; one page */
    struct snp_vmsa vmsa;              /* every vCPU's: all start alike */
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
    tee->policy = SNP_POLICY_DEFAULT;
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
    bytes_free(&tee->certificates);
    free(tee->cpuid_page);
    free(tee);
}

/* Options */

static int option_policy(struct tee *tee, const char *value, struct cofre_err *err)
{
    tee->policy_given = true;
    return snp_policy_parse(&tee->policy, value, err);
}

static int option_host_data(struct tee *tee, const char *value, struct cofre_err *err)
{
    if (!hex_decode(tee->host_data, sizeof tee->host_data, value))
        return cofre_fail(err, COFRE_USAGE, "must be %zu hexadecimal digits", 2 * sizeof tee->host_data);
    return 0;
}

static int option_id_block(struct tee *tee, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, sizeof tee->id_block, err);
    if (rc == 0)
        rc = snp_id_block_parse(&tee->id_block, bytes_view(&file), err);
    tee->has_id_block = rc == 0;
    return rc;
}

static int option_id_auth(struct tee *tee, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, sizeof tee->id_auth, err);
    if (rc == 0)
        rc = snp_id_auth_parse(&tee->id_auth, bytes_view(&file), err);
    tee->has_id_auth = rc == 0;
    return rc;
}

static int option_certificates(struct tee *tee, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, CERTIFICATES_MAX, err);
    bytes_free(&tee->certificates);
    return rc < 0 ? rc : snp_certificates_load(&tee->certificates, bytes_view(&file), err);
}

static const struct tee_option options[] = {
    {"policy", "FLAGS", "guest policy: names (smt,debug,single-socket,...) or a number; default smt"},
    {"host-data", "HEX", "32 bytes that the report carries"},
    {"id-block", "F", "the owner's ID block, with --id-auth"},
    {"id-auth", "F", "its signatures and keys"},
    {"certificates", "F",
     "VCEK or VLEK with its chain (PEM, DER or a table), which the guest gets with its report"},
    {0},
};

static int (*const option_setters[])(struct tee *, const char *, struct cofre_err *) = {
    option_policy, option_host_data, option_id_block, option_id_auth, option_certificates,
};

static int snp_set_option(struct tee *tee, const char *name, const char *value, struct cofre_err *err)
{
    for (size_t i = 0; options[i].name; i++)
        if (strcmp(options[i].name, name) == 0) {
            int rc = option_setters[i](tee, value, err);
            return rc < 0 ? cofre_within(err, rc, "--%s %s", name, value) : 0;
        }
    return cofre_fail(err, COFRE_USAGE, "--%s is no option of an SNP guest", name);
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

/* KVM gives the firmware every vCPU's VMSA when the launch is finished, in the order of their creation. */
static int extend_by_vmsas(struct snp_digest *digest, const struct snp_vmsa *vmsa, unsigned cpus,
                           struct cofre_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < cpus && rc == 0; i++)
        rc = snp_digest_page(digest, SNP_PAGE_VMSA, SNP_VMSA_GPA, vmsa, err);
    return rc;
}

static int snp_measure(struct tee *tee, const struct launch_image *image, struct tee_measurement *out,
                       struct cofre_err *err)
{
    struct snp_digest digest;
    snp_digest_init(&digest);
    int rc = 0;
    for (size_t i = 0; i < image->count && rc == 0; i++)
        rc = extend_by_range(&digest, &image->range[i], err);
    struct snp_vmsa vmsa;
    snp_vmsa_of_entry(&vmsa, image->entry, tee->vmsa_features);
    if (rc == 0)
        rc = extend_by_vmsas(&digest, &vmsa, image->cpus, err);
    if (rc < 0)
        return rc;
    out->name = "launch digest";
    memcpy(out->value, digest.value, sizeof out->value);
    return 0;
}

static int snp_expect(struct tee *tee, const struct tee_measurement *expected, struct cofre_err *err)
{
    if (tee->has_id_block && memcmp(tee->id_block.launch_digest, expected->value, SNP_DIGEST_SIZE) != 0)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the ID block vouches for another launch digest than --expect-measurement");
    tee->has_expected = true;
    memcpy(tee->expected, expected->value, sizeof tee->expected);
    return 0;
}

/* The launch */

static int command(struct tee *tee, uint32_t id, void *data, struct cofre_err *err)
{
    uint32_t fw_status = 0;
    int error = kvm_vm_sev_command(tee->vm, id, data, tee->sev_fd, &fw_status);
    return error ? snp_launch_failed(err, id, error, fw_status) : 0;
}

static int check_owner(struct tee *tee, struct cofre_err *err)
{
    if (tee->has_id_block != tee->has_id_auth)
        return cofre_fail(err, COFRE_USAGE, "--id-block and --id-auth belong together: one is missing");
    if (!tee->has_id_block)
        return 0;
    if (!tee->policy_given)
        tee->policy = tee->id_block.policy;
    if (tee->policy == tee->id_block.policy)
        return 0;
    return cofre_fail(err, COFRE_USAGE, "--policy 0x%llx is not the policy in the ID block, 0x%llx",
                      (unsigned long long)tee->policy, (unsigned long long)tee->id_block.policy);
}

static int check_policy_bits(struct tee *tee, const struct kvm *kvm, struct cofre_err *err)
{
    uint64_t allowed;
    if (!kvm_device_attr(kvm, UAPI_X86_GRP_SEV, UAPI_X86_SEV_POLICY_BITS, &allowed))
        return 0; /* before Linux 6.19: LAUNCH_START will say */
    uint64_t refused = tee->policy & ~(allowed | 0xffff);
    if (refused == 0)
        return 0;
    char names[SNP_POLICY_TEXT_SIZE];
    snp_policy_format(names, refused | SNP_POLICY_RESERVED_ONE);
    return cofre_fail(err, COFRE_LACKING, "--policy: this kernel's KVM does not allow %s", names);
}

static int enable_certificate_requests(struct tee *tee, const struct kvm *kvm, struct cofre_err *err)
{
    uint64_t supported;
    if (tee->certificates.len == 0)
        return 0;
    if (!kvm_device_attr(kvm, UAPI_X86_GRP_SEV, UAPI_X86_SEV_REQ_CERTS, &supported) || !supported) {
        log_warn("--certificates: this kernel cannot hand them to the guest (Linux 7.0 can); its reports "
                 "come without, "
                 "and whoever verifies them needs \"cofre verify --cert\"");
        return 0;
    }
    return command(tee, UAPI_SEV_SNP_ENABLE_REQ_CERTS, NULL, err);
}

static int snp_vm_init(struct tee *tee, struct kvm *kvm, struct kvm_vm *vm, struct cofre_err *err)
{
    tee->vm = vm;
    int rc = check_owner(tee, err);
    if (rc == 0)
        rc = check_policy_bits(tee, kvm, err);
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
    struct uapi_snp_launch_start start = {.policy = tee->policy};
    if (rc == 0)
        rc = command(tee, UAPI_SEV_SNP_LAUNCH_START, &start, err);
    snp_digest_init(&tee->digest);
    return rc;
}

static struct kvm_segment segment(uint16_t selector, uint16_t attrib, uint32_t limit)
{
    return (struct kvm_segment){
        .selector = selector,
        .limit = limit,
        .type = snp_segment_type(attrib),
        .s = snp_segment_s(attrib),
        .dpl = snp_segment_dpl(attrib),
        .present = snp_segment_present(attrib),
        .avl = snp_segment_avl(attrib),
        .l = snp_segment_l(attrib),
        .db = snp_segment_db(attrib),
        .g = snp_segment_g(attrib),
    };
}

/* Every register that the VMSA takes from KVM, set to what the prediction says (sev/vmsa.h). */
static int set_entry_state(struct kvm_vcpu *vcpu, uint32_t entry, struct cofre_err *err)
{
    struct kvm_sregs sregs;
    int rc = kvm_vcpu_get_sregs(vcpu, &sregs, err); /* for the local APIC's base */
    if (rc < 0)
        return rc;
    const struct kvm_segment data = segment(SNP_ENTRY_DATA, SNP_ENTRY_DATA_RW, SNP_ENTRY_LIMIT);
    sregs.cs = segment(SNP_ENTRY_CS, SNP_ENTRY_CODE, SNP_ENTRY_LIMIT);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr = segment(0, SNP_ENTRY_TR, SNP_ENTRY_SYSLIMIT);
    sregs.ldt = segment(0, SNP_ENTRY_LDTR, SNP_ENTRY_SYSLIMIT);
    sregs.gdt = sregs.idt = (struct kvm_dtable){0};
    sregs.cr0 = SNP_ENTRY_CR0;
    sregs.cr2 = sregs.cr3 = sregs.cr8 = 0;
    sregs.cr4 = SNP_ENTRY_CR4;
    sregs.efer = SNP_ENTRY_EFER;
    const struct kvm_regs regs = {.rip = entry, .rflags = SNP_ENTRY_RFLAGS};
    rc = kvm_vcpu_set_sregs(vcpu, &sregs, err);
    return rc < 0 ? rc : kvm_vcpu_set_regs(vcpu, &regs, err);
}

static int snp_vcpu_init(struct tee *tee, struct kvm_vcpu *vcpu, unsigned index, struct kvm_cpuid2 *cpuid,
                         const struct launch_image *image, struct cofre_err *err)
{
    int rc = snp_cpuid_correct(cpuid, err);
    if (rc == 0)
        rc = kvm_vcpu_set_cpuid(vcpu, cpuid, err);
    if (rc == 0 && index == 0)
        rc = snp_cpuid_page_fill(tee->cpuid_page, cpuid, err);
    if (rc == 0)
        rc = set_entry_state(vcpu, image->entry, err);
    snp_vmsa_of_entry(&tee->vmsa, image->entry, tee->vmsa_features);
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

/* An ID block under a key that lives only here: the firmware itself then refuses any other launch digest. */
static int vouch_for_expected(struct tee *tee, struct cofre_err *err)
{
    tee->id_block = (struct snp_id_block){.version = SNP_ID_BLOCK_VERSION, .policy = tee->policy};
    memcpy(tee->id_block.launch_digest, tee->expected, sizeof tee->expected);
    EVP_PKEY *key = EVP_EC_gen("P-384");
    if (!key)
        return cofre_fail(err, COFRE_FAILED, "no key could be made for the ID block");
    int rc = snp_id_auth_sign(&tee->id_auth, &tee->id_block, key, NULL, err);
    EVP_PKEY_free(key);
    tee->has_id_block = tee->has_id_auth = rc == 0;
    return rc;
}

static int snp_finish(struct tee *tee, struct tee_measurement *out, struct cofre_err *err)
{
    int rc = extend_by_vmsas(&tee->digest, &tee->vmsa, tee->cpus, err);
    if (rc < 0)
        return rc;
    *out = (struct tee_measurement){.name = "launch digest"};
    memcpy(out->value, tee->digest.value, sizeof out->value);
    if (tee->has_expected && memcmp(tee->expected, tee->digest.value, sizeof tee->expected) != 0)
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "what was loaded into the guest does not have the expected launch digest; no vCPU ran");
    if (tee->has_expected && !tee->has_id_block)
        rc = vouch_for_expected(tee, err);
    if (rc < 0)
        return rc;
    struct uapi_snp_launch_finish finish = {
        .id_block_uaddr = (uintptr_t)&tee->id_block,
        .id_auth_uaddr = (uintptr_t)&tee->id_auth,
        .id_block_en = tee->has_id_block,
        .auth_key_en = tee->has_id_block && snp_id_auth_has_author(&tee->id_auth),
    };
    memcpy(finish.host_data, tee->host_data, sizeof finish.host_data);
    return command(tee, UAPI_SEV_SNP_LAUNCH_FINISH, &finish, err);
}

/* Exits */

static void serve_certificates(struct tee *tee, const struct guest_memory *memory, struct kvm_run *run)
{
    struct uapi_exit_snp_req_certs *request = uapi_exit_snp_req_certs(run);
    uint64_t needed = (tee->certificates.len + SNP_PAGE_SIZE - 1) / SNP_PAGE_SIZE;
    if (request->npages < needed) {
        request->npages = needed;
        request->ret = ENOSPC;
    } else {
        bool written =
            guest_memory_write(memory, request->gpa, tee->certificates.data, tee->certificates.len);
        request->ret = written ? 0 : EIO;
    }
}

static enum tee_exit_action snp_exit(struct tee *tee, const struct guest_memory *memory, struct kvm_run *run,
                                     int *code, struct cofre_err *err)
{
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
    .options = options,
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
