/*
 * The launch commands of 56860, chapter 8: SNP_LAUNCH_START, SNP_LAUNCH_UPDATE, SNP_LAUNCH_FINISH. Checks stand in the
 * order in which AMD's published firmware (AMD-ASPFW, Genoa) makes them, because the first to fail gives the status.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "sev/ecdsa.h"
#include "sev/id_block.h"
#include "sev/model/guest.h"

static void unlock(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}
#define LOCKED(guest)                                                                                        \
    __attribute__((cleanup(unlock))) pthread_mutex_t *locked_ = &(guest)->lock;                              \
    pthread_mutex_lock(locked_)

static const char *const state_names[] = {"not started", "being launched", "running"};

int psp_guest_create(struct psp_guest **out, const struct psp *psp, struct cofre_err *err)
{
    struct psp_guest *guest = calloc(1, sizeof *guest);
    if (!guest)
        return cofre_fail(err, COFRE_FAILED, "emulated platform: no memory for a guest context");
    guest->psp = psp;
    pthread_mutex_init(&guest->lock, NULL);
    *out = guest;
    return 0;
}

void psp_guest_free(struct psp_guest *guest)
{
    if (!guest)
        return;
    pthread_mutex_destroy(&guest->lock);
    OPENSSL_cleanse(guest, sizeof *guest);
    free(guest);
}

/* The bits of POLICY (4.3) that a firmware knows: 24:21 came with ABI 1.55, 25 with 1.58. */
static uint64_t policy_known(const struct psp *psp)
{
    uint64_t known = 0xffff | SNP_POLICY_SMT | SNP_POLICY_RESERVED_ONE | SNP_POLICY_MIGRATE_MA |
                     SNP_POLICY_DEBUG | SNP_POLICY_SINGLE_SOCKET;
    if (psp->api_minor >= 55)
        known |= SNP_POLICY_CXL_ALLOW | SNP_POLICY_MEM_AES_256_XTS | SNP_POLICY_RAPL_DIS |
                 SNP_POLICY_CIPHERTEXT_HIDING;
    if (psp->api_minor >= 58)
        known |= SNP_POLICY_PAGE_SWAP_DISABLE;
    return known;
}

static const char *policy_objection(const struct psp *psp, uint64_t policy)
{
    unsigned major = policy >> 8 & 0xff, minor = policy & 0xff;
    if (policy & ~policy_known(psp))
        return "a reserved bit is set";
    if (!(policy & SNP_POLICY_RESERVED_ONE))
        return "bit 17, which must be one, is zero";
    if (!(policy & SNP_POLICY_SMT) && psp->options.smt)
        return "it forbids SMT, which this platform has enabled";
    if (major > psp->api_major || (major == psp->api_major && minor > psp->api_minor))
        return "it asks for a newer firmware ABI";
    if (policy & SNP_POLICY_MEM_AES_256_XTS)
        return "it asks for AES-256-XTS, and this platform's memory is under AES-128";
    if (policy & SNP_POLICY_RAPL_DIS)
        return "it asks for RAPL to be disabled, and this platform has it enabled";
    if (policy & SNP_POLICY_CIPHERTEXT_HIDING)
        return "it asks for ciphertext hiding, which this platform does not have";
    return NULL;
}

enum psp_status psp_launch_start(struct psp_guest *guest, uint64_t policy, const uint8_t gosvw[16])
{
    LOCKED(guest);
    if (guest->state != PSP_GUEST_INIT)
        return psp_refuse(PSP_INVALID_GUEST_STATE, "launch start: the guest is %s",
                          state_names[guest->state]);
    const char *why = policy_objection(guest->psp, policy);
    if (why)
        return psp_refuse(PSP_POLICY_FAILURE, "launch start: policy 0x%llx: %s", (unsigned long long)policy,
                          why);
    if (RAND_priv_bytes((uint8_t *)guest->vmpck, sizeof guest->vmpck) != 1 ||
        RAND_priv_bytes(guest->vmrk, sizeof guest->vmrk) != 1 ||
        RAND_bytes(guest->report_id, sizeof guest->report_id) != 1)
        return psp_refuse(PSP_RESOURCE_LIMIT, "launch start: no random numbers");
    guest->policy = policy;
    memcpy(guest->gosvw, gosvw, sizeof guest->gosvw);
    guest->state = PSP_GUEST_LAUNCH;
    return PSP_SUCCESS;
}

static void sha384(uint8_t out[SNP_DIGEST_SIZE], const void *data, size_t len)
{
    if (EVP_Digest(data, len, out, NULL, EVP_sha384(), NULL) != 1)
        abort(); /* a digest that could not be computed must never look like one */
}

/* 8.17.2: the digest is extended by PAGE_INFO. The VMSA's TSC fields, which the firmware sets, are measured as zero. */
static void extend_digest(struct psp_guest *guest, const struct psp_page *page)
{
    struct snp_page_info info = {
        .length = sizeof info,
        .page_type = page->type,
        .imi_page = page->imi,
        .vmpl1_perms = page->vmpl_perms[0],
        .vmpl2_perms = page->vmpl_perms[1],
        .vmpl3_perms = page->vmpl_perms[2],
        .gpa = page->gpa,
    };
    memcpy(info.digest_cur, guest->digest, sizeof info.digest_cur);
    if (page->type == SNP_PAGE_NORMAL)
        sha384(info.contents, page->data, SNP_PAGE_SIZE);
    if (page->type == SNP_PAGE_VMSA) {
        struct snp_vmsa vmsa;
        memcpy(&vmsa, page->data, sizeof vmsa);
        vmsa.guest_tsc_scale = vmsa.guest_tsc_offset = 0;
        sha384(info.contents, &vmsa, sizeof vmsa);
    }
    sha384(guest->digest, &info, sizeof info);
}

static void fill_secrets(const struct psp_guest *guest, uint8_t *data)
{
    struct snp_secrets_page page = {.version = 3, .fms = psp_fms(guest->psp), .tsc_factor = PSP_TSC_FACTOR};
    memcpy(page.gosvw, guest->gosvw, sizeof page.gosvw);
    memcpy(page.vmpck, guest->vmpck, sizeof page.vmpck);
    memcpy(data, &page, sizeof page);
    OPENSSL_cleanse(&page, sizeof page);
}

/* 8.17.2.6. Where a function differs from what the platform has, the caller gets the page back corrected. */
static enum psp_status check_cpuid_page(struct psp_guest *guest, const struct psp_page *page)
{
    struct snp_cpuid_page cpuid;
    size_t checked;
    memcpy(&cpuid, page->data, sizeof cpuid);
    if (cpuid.reserved_4 || cpuid.reserved_8)
        return psp_refuse(PSP_INVALID_PARAM, "CPUID page: a reserved field is not zero");
    if (cpuid.count > SNP_CPUID_COUNT_MAX)
        return psp_refuse(PSP_INVALID_PARAM, "CPUID page: %u functions, and at most %d fit", cpuid.count,
                          SNP_CPUID_COUNT_MAX);
    enum psp_status status =
        psp_cpuid_check(cpuid.fn, cpuid.count, page->allowed, page->allowed_count, &checked);
    if (status != PSP_SUCCESS) {
        memcpy(page->data, &cpuid, sizeof cpuid);
        return status;
    }
    guest->cpuid_count =
        page->allowed_count < SNP_CPUID_COUNT_MAX ? page->allowed_count : SNP_CPUID_COUNT_MAX;
    if (guest->cpuid_count)
        memcpy(guest->cpuid, page->allowed, guest->cpuid_count * sizeof *guest->cpuid);
    return PSP_SUCCESS;
}

enum psp_status psp_launch_update(struct psp_guest *guest, const struct psp_page *page)
{
    LOCKED(guest);
    enum psp_status status = PSP_SUCCESS;
    if (page->type < SNP_PAGE_NORMAL || page->type > SNP_PAGE_CPUID)
        return psp_refuse(PSP_INVALID_PARAM, "launch update: there is no page type %u", page->type);
    if (guest->state != PSP_GUEST_LAUNCH)
        return psp_refuse(PSP_INVALID_GUEST_STATE, "launch update: the guest is %s",
                          state_names[guest->state]);
    if (page->gpa % SNP_PAGE_SIZE)
        return psp_refuse(PSP_INVALID_ADDRESS, "launch update: 0x%llx is not the address of a page",
                          (unsigned long long)page->gpa);
    if (page->type == SNP_PAGE_CPUID)
        status = check_cpuid_page(guest, page);
    if (status != PSP_SUCCESS)
        return status;
    extend_digest(guest, page);
    if (page->type == SNP_PAGE_ZERO)
        memset(page->data, 0, SNP_PAGE_SIZE);
    if (page->type == SNP_PAGE_SECRETS)
        fill_secrets(guest, page->data);
    return PSP_SUCCESS;
}

/* 8.18. The signatures cover the ID block, and the ID key's structure where there is an author. */
static enum psp_status check_id_block(const struct psp_guest *guest, const struct snp_id_block *block,
                                      const struct snp_id_auth *auth, bool with_author)
{
    struct cofre_err err;
    if (memcmp(block->launch_digest, guest->digest, SNP_DIGEST_SIZE) != 0)
        return psp_refuse(PSP_BAD_MEASUREMENT, "launch finish: the ID block has another launch digest");
    if (block->policy != guest->policy)
        return psp_refuse(PSP_POLICY_FAILURE,
                          "launch finish: the ID block has policy 0x%llx, the guest 0x%llx",
                          (unsigned long long)block->policy, (unsigned long long)guest->policy);
    if (block->version != SNP_ID_BLOCK_VERSION)
        return psp_refuse(PSP_INVALID_PARAM, "launch finish: the ID block has version %u", block->version);
    if (auth->id_key_algo != SNP_ALGO_ECDSA_P384_SHA384)
        return psp_refuse(PSP_INVALID_PARAM, "launch finish: ID key of algorithm %u", auth->id_key_algo);
    if (with_author && auth->author_key_algo != SNP_ALGO_ECDSA_P384_SHA384)
        return psp_refuse(PSP_INVALID_PARAM, "launch finish: author key of algorithm %u",
                          auth->author_key_algo);
    if (snp_id_auth_verify(auth, block, with_author, &err) < 0)
        return psp_refuse(PSP_BAD_SIGNATURE, "launch finish: %s", err.text);
    return PSP_SUCCESS;
}

static enum psp_status take_id_block(struct psp_guest *guest, const struct psp_launch_finish *finish)
{
    struct snp_id_block block;
    struct snp_id_auth auth;
    if (!finish->id_block || !finish->id_auth)
        return psp_refuse(PSP_INVALID_ADDRESS, "launch finish: an ID block is announced and not there");
    memcpy(&block, finish->id_block, sizeof block);
    memcpy(&auth, finish->id_auth, sizeof auth);
    enum psp_status status = check_id_block(guest, &block, &auth, finish->auth_key_en);
    if (status != PSP_SUCCESS)
        return status;
    guest->id_block = block;
    sha384(guest->id_key_digest, &auth.id_key, sizeof auth.id_key);
    if (finish->auth_key_en)
        sha384(guest->author_key_digest, &auth.author_key, sizeof auth.author_key);
    return PSP_SUCCESS;
}

enum psp_status psp_launch_finish(struct psp_guest *guest, const struct psp_launch_finish *finish)
{
    LOCKED(guest);
    if (guest->state != PSP_GUEST_LAUNCH)
        return psp_refuse(PSP_INVALID_GUEST_STATE, "launch finish: the guest is %s",
                          state_names[guest->state]);
    if (finish->id_block_en > 1 || finish->auth_key_en > 1 || finish->vcek_disabled > 1)
        return psp_refuse(PSP_INVALID_PARAM, "launch finish: a reserved bit is set beside the flags");
    if (finish->auth_key_en && !finish->id_block_en)
        return psp_refuse(PSP_INVALID_PARAM, "launch finish: an author key without an ID block");
    enum psp_status status = finish->id_block_en ? take_id_block(guest, finish) : PSP_SUCCESS;
    if (status != PSP_SUCCESS)
        return status;
    guest->id_block_en = finish->id_block_en;
    guest->author_key_en = finish->auth_key_en;
    guest->vcek_disabled = finish->vcek_disabled;
    memcpy(guest->host_data, finish->host_data, sizeof guest->host_data);
    guest->state = PSP_GUEST_RUNNING;
    log_info("the guest runs; its policy is 0x%llx", (unsigned long long)guest->policy);
    return PSP_SUCCESS;
}

void psp_launch_digest(struct psp_guest *guest, uint8_t out[SNP_DIGEST_SIZE])
{
    LOCKED(guest);
    memcpy(out, guest->digest, SNP_DIGEST_SIZE);
}
