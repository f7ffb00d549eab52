/* What the model's files share: the platform and a guest's context. Nobody outside this room includes it. */
#ifndef COFRE_SEV_MODEL_GUEST_H
#define COFRE_SEV_MODEL_GUEST_H

#include <pthread.h>

#include "sev/model/chain.h"
#include "sev/model/psp.h"

#define LOG_ROOM "psp"
#include "vmm/base/log.h"

#define PSP_VMPL_COUNT 4
#define PSP_KEY_SIZE   32
/* TSC_FACTOR of the secrets page: spread-spectrum clocking lowers the mean frequency by 0.2 %, in units of 0.001 %. */
#define PSP_TSC_FACTOR 200

struct psp {
    struct psp_options options;
    struct psp_chain chain;
    uint64_t tcb; /* current, committed, reported and launch TCB are one: this platform is never updated */
    uint8_t api_major, api_minor, build;
};

enum psp_guest_state { PSP_GUEST_INIT, PSP_GUEST_LAUNCH, PSP_GUEST_RUNNING };

/* The guest context page (56860, chapter 4, "Guest context"). */
struct psp_guest {
    const struct psp *psp;
    pthread_mutex_t lock; /* the firmware serves one command at a time */
    enum psp_guest_state state;
    uint64_t policy;
    uint8_t gosvw[16];
    uint8_t digest[SNP_DIGEST_SIZE];
    uint8_t vmpck[PSP_VMPL_COUNT][PSP_KEY_SIZE];
    uint64_t msg_count[PSP_VMPL_COUNT];
    uint8_t vmrk[PSP_KEY_SIZE];
    uint8_t report_id[32];
    bool id_block_en, author_key_en, vcek_disabled;
    struct snp_id_block id_block; /* zero without one */
    uint8_t id_key_digest[SNP_DIGEST_SIZE];
    uint8_t author_key_digest[SNP_DIGEST_SIZE];
    uint8_t host_data[32];
    struct snp_cpuid_function
        cpuid[SNP_CPUID_COUNT_MAX]; /* the platform's, as the last CPUID page's caller gave it */
    size_t cpuid_count;
};

/* Logs the sentence with the status's name and returns the status. */
enum psp_status psp_refuse(enum psp_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Compares functions with what the platform has, by the rules of the Processor Programming Reference ("CPUID Policy
 * Enforcement"), and corrects those that differ. *checked: how many lie in the standard or extended range.
 * INVALID_PARAM where one had to be corrected.
 */
enum psp_status psp_cpuid_check(struct snp_cpuid_function *functions, size_t count,
                                const struct snp_cpuid_function *platform, size_t platform_count,
                                size_t *checked);

/* MSG_REPORT_REQ from the holder of VMPCK number vmpck; always fills the response, whose status it returns. */
enum psp_status psp_report(const struct psp_guest *guest, unsigned vmpck,
                           const struct snp_report_req *request, struct snp_report_rsp *response);

/* MSG_KEY_REQ (56860, 7.2) and its response. */
struct psp_key_req {
    uint32_t select; /* bit 0 ROOT_KEY_SELECT: 0 VCEK or VLEK, 1 VMRK; bits 2:1 KEY_SEL */
    uint32_t reserved;
    uint64_t guest_field_select;
    uint32_t vmpl;
    uint32_t guest_svn;
    uint64_t tcb_version;
} __attribute__((packed));
static_assert(sizeof(struct psp_key_req) == 32, "key request");

struct psp_key_rsp {
    uint32_t status;
    uint8_t reserved[28];
    uint8_t key[32];
} __attribute__((packed));
static_assert(sizeof(struct psp_key_rsp) == 64, "key response");

enum psp_status psp_derive_key(const struct psp_guest *guest, unsigned vmpck,
                               const struct psp_key_req *request, struct psp_key_rsp *response);

/* Which key KEY_SEL names (56860, 7.2 and 7.3): 0 VLEK if installed else VCEK, 1 VCEK, 2 VLEK; INVALID_KEY where this
 * guest may not have it. *key is NULL where the chip key is masked. */
enum psp_status psp_select_key(const struct psp_guest *guest, uint32_t key_sel, EVP_PKEY **key,
                               uint32_t *signing_key);

/* A VMPL is one of four, and nobody speaks for one more privileged than his own key. */
enum psp_status psp_check_vmpl(uint32_t vmpl, unsigned vmpck);

#endif
