/*
 * The SEV-SNP firmware (AMD's secure processor, "PSP") in software: the guest commands of publication 56860
 * (SEV-SNP Firmware ABI, rev 1.58), chapter 8, with the checks and status codes that it documents. It is the
 * oracle for our launch code: it knows only what it is given, keeps its own digest, and refuses what the
 * firmware refuses.
 *
 * It protects nothing. Every report it signs is issued by a root that is named EMULATED.
 *
 * The KVM half (vmm/emu) is the caller. What KVM and the RMP do (page states, errno) is not known here.
 */
#ifndef COFRE_SEV_MODEL_PSP_H
#define COFRE_SEV_MODEL_PSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sev/abi.h"
#include "sev/product.h"
#include "vmm/base/bytes.h"
#include "vmm/base/error.h"

/* Firmware status codes (56860, chapter 6, "Status codes"; uapi psp-sev.h): those that this model returns. */
enum psp_status {
    PSP_SUCCESS = 0x00,
    PSP_INVALID_GUEST_STATE = 0x02,
    PSP_POLICY_FAILURE = 0x07,
    PSP_INVALID_ADDRESS = 0x09,
    PSP_BAD_SIGNATURE = 0x0a,
    PSP_BAD_MEASUREMENT = 0x0b,
    PSP_UNSUPPORTED = 0x15,
    PSP_INVALID_PARAM = 0x16,
    PSP_RESOURCE_LIMIT = 0x17,
    PSP_AEAD_OFLOW = 0x1d,
    PSP_INVALID_KEY = 0x27,
};

/* How the platform is set up. All zero: whatever product the directory has, reports of version 3 signed by its VCEK. */
struct psp_options {
    enum snp_product product; /* UNKNOWN: that of the directory's chain; a new one is Milan's */
    unsigned report_version; /* 2 (not on Turin), 3 or 5; 0 means 3. The firmware's version follows from it */
    bool vlek; /* a VLEK is installed (SNP_VLEK_LOAD): reports are signed with it unless asked otherwise */
    bool mask_chip_id;  /* SNP_CONFIG MASK_CHIP_ID: CHIP_ID of reports is zero */
    bool mask_chip_key; /* SNP_CONFIG MASK_CHIP_KEY: the VCEK signs nothing; signatures are zero without a
                           VLEK */
    bool smt;           /* SMT is enabled on the platform */
};

struct psp; /* one platform; not changed after psp_open, so threads may share it */

/*
 * Opens the platform whose chip and certificate chain live in dir; NULL: $COFRE_EMULATED_DIR, else
 * /var/lib/cofre/emulated. A directory without a chain gets one, for options->product, once: of two processes
 * that come first together one makes it and both use it. A directory made for another product is refused.
 * Errors: COFRE_LACKING (cannot be written), COFRE_MALFORMED (damaged chain), COFRE_USAGE (options),
 * COFRE_FAILED.
 */
int psp_open(struct psp **out, const char *dir, const struct psp_options *options, struct cofre_err *err);
void psp_close(struct psp *psp);

/* Of SNP_PLATFORM_STATUS (56860, section 8.3). */
struct psp_version {
    uint8_t api_major, api_minor, build;
    uint32_t flags; /* MASK_CHIP_ID, MASK_CHIP_KEY, VLEK_EN */
    uint64_t tcb;   /* current and reported: this platform is never updated */
};
void psp_version(const struct psp *psp, struct psp_version *out);
const char *psp_product_name(const struct psp *psp); /* "Milan" */
/* CPUID leaf 1 EAX of the product: what the secrets page and reports of version 3 and later say. */
uint32_t psp_fms(const struct psp *psp);
/* The certificate table of extended guest requests (GHCB specification 4.1.8.1): VCEK or VLEK, ASK or ASVK,
 * ARK, CRL. */
int psp_cert_table(const struct psp *psp, struct bytes *out, struct cofre_err *err);
/* The root, as PEM text: for --trust-root. */
int psp_root(const struct psp *psp, struct bytes *out, struct cofre_err *err);

/* A guest context (SNP_GCTX_CREATE, SNP_ACTIVATE done). The platform must outlive it. Calls may come from any
 * thread. */
struct psp_guest;
int psp_guest_create(struct psp_guest **out, const struct psp *psp, struct cofre_err *err);
void psp_guest_free(struct psp_guest *guest); /* wipes its keys */

/* SNP_LAUNCH_START. gosvw: 16 bytes for the secrets page. */
enum psp_status psp_launch_start(struct psp_guest *guest, uint64_t policy, const uint8_t gosvw[16]);

/*
 * SNP_LAUNCH_UPDATE of one 4 KiB page. data (4096 bytes, readable and writable, no longer touched by anybody
 * else) becomes what the guest will see: zeroed for ZERO, filled for SECRETS. A CPUID page that the firmware
 * does not accept gives INVALID_PARAM and data then holds the values that it would accept. allowed: the
 * platform's CPUID for CPUID pages, what KVM_GET_SUPPORTED_CPUID says of it; ignored for other types.
 */
struct psp_page {
    uint8_t type; /* enum snp_page_type */
    bool imi;
    uint8_t vmpl_perms[3]; /* VMPL1, VMPL2, VMPL3 */
    uint64_t gpa;
    uint8_t *data;
    const struct snp_cpuid_function *allowed;
    size_t allowed_count;
};
enum psp_status psp_launch_update(struct psp_guest *guest, const struct psp_page *page);

/* SNP_LAUNCH_FINISH. The blobs may be null where id_block_en is 0. */
struct psp_launch_finish {
    const struct snp_id_block *id_block;
    const struct snp_id_auth *id_auth;
    uint8_t id_block_en;
    uint8_t auth_key_en;
    uint8_t vcek_disabled;
    uint8_t host_data[32];
};
enum psp_status psp_launch_finish(struct psp_guest *guest, const struct psp_launch_finish *finish);

/* The launch digest so far (after finish: the measurement): a debugging aid for tests, not a firmware
 * command. */
void psp_launch_digest(struct psp_guest *guest, uint8_t out[SNP_DIGEST_SIZE]);

/*
 * SNP_GUEST_REQUEST: opens the request message, serves it, seals the response. Both are one page; the request
 * is copied before it is checked. Only after PSP_SUCCESS is the response written.
 */
enum psp_status psp_guest_request(struct psp_guest *guest, const uint8_t request[SNP_PAGE_SIZE],
                                  uint8_t response[SNP_PAGE_SIZE]);

#endif
