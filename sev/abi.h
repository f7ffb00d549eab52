/*
 * Layouts of AMD's SEV-SNP firmware ABI: the only place where they are known.
 * Source, unless a line names another: "SEV Secure Nested Paging Firmware ABI Specification", publication 56860,
 * rev 1.58. All fields are little-endian; every structure is packed and its size asserted.
 */
#ifndef COFRE_SEV_ABI_H
#define COFRE_SEV_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define SNP_AT(type, field, offset) static_assert(offsetof(type, field) == (offset), #type "." #field)

#define SNP_PAGE_SIZE   4096
#define SNP_DIGEST_SIZE 48 /* SHA-384 */

/* Guest policy (4.3): ABI minor in bits 7:0, major in 15:8. */
#define SNP_POLICY_SMT               (1ull << 16)
#define SNP_POLICY_RESERVED_ONE      (1ull << 17)
#define SNP_POLICY_MIGRATE_MA        (1ull << 18)
#define SNP_POLICY_DEBUG             (1ull << 19)
#define SNP_POLICY_SINGLE_SOCKET     (1ull << 20)
#define SNP_POLICY_CXL_ALLOW         (1ull << 21)
#define SNP_POLICY_MEM_AES_256_XTS   (1ull << 22)
#define SNP_POLICY_RAPL_DIS          (1ull << 23)
#define SNP_POLICY_CIPHERTEXT_HIDING (1ull << 24)
#define SNP_POLICY_PAGE_SWAP_DISABLE (1ull << 25)

/* PLATFORM_INFO of the report (7.3). */
#define SNP_PLATFORM_SMT_EN            (1ull << 0)
#define SNP_PLATFORM_TSME_EN           (1ull << 1)
#define SNP_PLATFORM_ECC_EN            (1ull << 2)
#define SNP_PLATFORM_RAPL_DIS          (1ull << 3)
#define SNP_PLATFORM_CIPHERTEXT_HIDING (1ull << 4)
#define SNP_PLATFORM_ALIAS_CHECK       (1ull << 5)
#define SNP_PLATFORM_IOMMU_WRITE_SAFE  (1ull << 6)
#define SNP_PLATFORM_TIO_EN            (1ull << 7)

/* ECDSA P-384 signature (chapter 10): R and S are little-endian. */
struct snp_signature {
    uint8_t r[72];
    uint8_t s[72];
    uint8_t reserved[368];
} __attribute__((packed));
static_assert(sizeof(struct snp_signature) == 512, "signature");

#define SNP_ALGO_ECDSA_P384_SHA384 1

/* ATTESTATION_REPORT (7.3). The signature covers all bytes before it. */
struct snp_report {
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t vmpl;
    uint32_t signature_algo;
    uint64_t current_tcb;
    uint64_t platform_info;
    uint32_t flags; /* AUTHOR_KEY_EN bit 0, MASK_CHIP_KEY bit 1, SIGNING_KEY bits 4:2 */
    uint32_t reserved_4c;
    uint8_t report_data[64];
    uint8_t measurement[SNP_DIGEST_SIZE];
    uint8_t host_data[32];
    uint8_t id_key_digest[SNP_DIGEST_SIZE];
    uint8_t author_key_digest[SNP_DIGEST_SIZE];
    uint8_t report_id[32];
    uint8_t report_id_ma[32];
    uint64_t reported_tcb;
    uint8_t cpuid_fam_id; /* from version 3 */
    uint8_t cpuid_mod_id;
    uint8_t cpuid_step;
    uint8_t reserved_18b[21];
    uint8_t chip_id[64];
    uint64_t committed_tcb;
    uint8_t current_build;
    uint8_t current_minor;
    uint8_t current_major;
    uint8_t reserved_1eb;
    uint8_t committed_build;
    uint8_t committed_minor;
    uint8_t committed_major;
    uint8_t reserved_1ef;
    uint64_t launch_tcb;
    uint64_t launch_mit_vector; /* from version 5 */
    uint64_t current_mit_vector;
    uint8_t reserved_208[152];
    struct snp_signature signature;
} __attribute__((packed));
static_assert(sizeof(struct snp_report) == 1184, "report");
SNP_AT(struct snp_report, report_data, 0x50);
SNP_AT(struct snp_report, measurement, 0x90);
SNP_AT(struct snp_report, reported_tcb, 0x180);
SNP_AT(struct snp_report, chip_id, 0x1a0);
SNP_AT(struct snp_report, committed_tcb, 0x1e0);
SNP_AT(struct snp_report, launch_tcb, 0x1f0);
SNP_AT(struct snp_report, signature, 0x2a0);

#define SNP_REPORT_AUTHOR_KEY_EN  (1u << 0)
#define SNP_REPORT_MASK_CHIP_KEY  (1u << 1)
#define SNP_REPORT_SIGNING_KEY(f) (((f) >> 2) & 7)
#define SNP_SIGNING_KEY_VCEK      0
#define SNP_SIGNING_KEY_VLEK      1
#define SNP_SIGNING_KEY_NONE      7

/* PAGE_INFO (8.17.2): what extends the launch digest for each page. */
struct snp_page_info {
    uint8_t digest_cur[SNP_DIGEST_SIZE];
    uint8_t contents[SNP_DIGEST_SIZE]; /* SHA-384 of the page for NORMAL and VMSA, else zero */
    uint16_t length;                   /* 0x70 */
    uint8_t page_type;
    uint8_t imi_page;
    uint8_t reserved;
    uint8_t vmpl1_perms;
    uint8_t vmpl2_perms;
    uint8_t vmpl3_perms;
    uint64_t gpa;
} __attribute__((packed));
static_assert(sizeof(struct snp_page_info) == 0x70, "page info");

enum snp_page_type {
    SNP_PAGE_NORMAL = 1,
    SNP_PAGE_VMSA = 2,
    SNP_PAGE_ZERO = 3,
    SNP_PAGE_UNMEASURED = 4,
    SNP_PAGE_SECRETS = 5,
    SNP_PAGE_CPUID = 6,
};

#define SNP_VMSA_GPA 0xfffffffff000ull /* where KVM measures every VMSA (kvm svm/sev.c) */

/* ID block and ID authentication information (8.18). */
struct snp_id_block {
    uint8_t launch_digest[SNP_DIGEST_SIZE];
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t version; /* 1 */
    uint32_t guest_svn;
    uint64_t policy;
} __attribute__((packed));
static_assert(sizeof(struct snp_id_block) == 96, "id block");

struct snp_ecdsa_key {
    uint32_t curve; /* 2 = P-384 */
    uint8_t qx[72]; /* little-endian */
    uint8_t qy[72];
    uint8_t reserved[880];
} __attribute__((packed));
static_assert(sizeof(struct snp_ecdsa_key) == 1028, "ecdsa key");
#define SNP_CURVE_P384 2

struct snp_id_auth {
    uint32_t id_key_algo;
    uint32_t author_key_algo;
    uint8_t reserved_008[56];
    struct snp_signature id_block_sig;
    struct snp_ecdsa_key id_key;
    uint8_t reserved_644[60];
    struct snp_signature id_key_sig; /* of id_key, by the author key */
    struct snp_ecdsa_key author_key;
    uint8_t reserved_c84[892];
} __attribute__((packed));
static_assert(sizeof(struct snp_id_auth) == SNP_PAGE_SIZE, "id auth");
SNP_AT(struct snp_id_auth, id_block_sig, 0x040);
SNP_AT(struct snp_id_auth, id_key, 0x240);
SNP_AT(struct snp_id_auth, id_key_sig, 0x680);
SNP_AT(struct snp_id_auth, author_key, 0x880);

/* CPUID page (8.17.2.6): at most 64 functions. */
struct snp_cpuid_function {
    uint32_t eax_in, ecx_in;
    uint64_t xcr0_in, xss_in;
    uint32_t eax, ebx, ecx, edx;
    uint64_t reserved;
} __attribute__((packed));
static_assert(sizeof(struct snp_cpuid_function) == 0x30, "cpuid function");

#define SNP_CPUID_COUNT_MAX 64
struct snp_cpuid_page {
    uint32_t count;
    uint32_t reserved_4;
    uint64_t reserved_8;
    struct snp_cpuid_function fn[SNP_CPUID_COUNT_MAX];
    uint8_t reserved_c10[0x3f0];
} __attribute__((packed));
static_assert(sizeof(struct snp_cpuid_page) == SNP_PAGE_SIZE, "cpuid page");

/* Secrets page (8.17.2.5), version 3. */
struct snp_secrets_page {
    uint32_t version;
    uint32_t flags; /* IMI_EN bit 0 */
    uint32_t fms;
    uint32_t reserved_c;
    uint8_t gosvw[16];
    uint8_t vmpck[4][32];
    uint8_t os_area[96]; /* left to the guest: GHCB specification, section 2.7 */
    uint8_t vmsa_tweak_bitmap[64];
    uint64_t svsm_base;
    uint64_t svsm_size;
    uint64_t svsm_caa;
    uint32_t svsm_max_version;
    uint8_t svsm_guest_vmpl;
    uint8_t reserved_15d[3];
    uint32_t tsc_factor;
    uint8_t reserved_164[0xe9c];
} __attribute__((packed));
static_assert(sizeof(struct snp_secrets_page) == SNP_PAGE_SIZE, "secrets page");
SNP_AT(struct snp_secrets_page, vmpck, 0x20);
SNP_AT(struct snp_secrets_page, os_area, 0xa0);
SNP_AT(struct snp_secrets_page, vmsa_tweak_bitmap, 0x100);
SNP_AT(struct snp_secrets_page, svsm_base, 0x140);

/* Guest messages (8.26): 96-byte header, then the payload under AES-256-GCM. */
struct snp_guest_msg_header {
    uint8_t authtag[32]; /* 16 used */
    uint64_t msg_seqno;
    uint8_t reserved_28[8];
    uint8_t algo; /* 1 = AES-256-GCM */
    uint8_t hdr_version;
    uint16_t hdr_size;
    uint8_t msg_type;
    uint8_t msg_version;
    uint16_t msg_size;
    uint32_t reserved_38;
    uint8_t msg_vmpck;
    uint8_t reserved_3d[35];
} __attribute__((packed));
static_assert(sizeof(struct snp_guest_msg_header) == 0x60, "guest message header");
SNP_AT(struct snp_guest_msg_header, algo, 0x30); /* the additional authenticated data is 30h..5Fh */

enum snp_msg_type {
    SNP_MSG_CPUID_REQ = 1,
    SNP_MSG_CPUID_RSP = 2,
    SNP_MSG_KEY_REQ = 3,
    SNP_MSG_KEY_RSP = 4,
    SNP_MSG_REPORT_REQ = 5,
    SNP_MSG_REPORT_RSP = 6,
    SNP_MSG_TSC_INFO_REQ = 17,
    SNP_MSG_TSC_INFO_RSP = 18,
};

struct snp_report_req {
    uint8_t report_data[64];
    uint32_t vmpl;
    uint32_t key_sel; /* bits 1:0: 0 VLEK if installed else VCEK, 1 VCEK, 2 VLEK */
    uint8_t reserved_48[24];
} __attribute__((packed));
static_assert(sizeof(struct snp_report_req) == 96, "report request");

struct snp_report_rsp {
    uint32_t status;
    uint32_t report_size;
    uint8_t reserved_8[24];
    struct snp_report report;
} __attribute__((packed));
static_assert(sizeof(struct snp_report_rsp) == 32 + 1184, "report response");

/*
 * VMSA (AMD64 Architecture Programmer's Manual volume 2, publication 24593, appendix B, table B-4):
 * one vCPU's registers, as measured at launch and as given by AP creation.
 */
struct snp_segment {
    uint16_t selector;
    uint16_t attrib; /* descriptor bits 55:52 and 47:40 packed into 12 bits */
    uint32_t limit;
    uint64_t base;
} __attribute__((packed));

struct snp_vmsa {
    struct snp_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint64_t pl0_ssp, pl1_ssp, pl2_ssp, pl3_ssp, u_cet;
    uint8_t reserved_0c8[2];
    uint8_t vmpl, cpl;
    uint8_t reserved_0cc[4];
    uint64_t efer;
    uint8_t reserved_0d8[104];
    uint64_t xss, cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint64_t dr0, dr1, dr2, dr3, dr0_mask, dr1_mask, dr2_mask, dr3_mask;
    uint8_t reserved_1c0[24];
    uint64_t rsp, s_cet, ssp, isst_addr, rax;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved_248[32];
    uint64_t g_pat, dbgctl, br_from, br_to, last_excp_from, last_excp_to;
    uint8_t reserved_298[80];
    uint32_t pkru, tsc_aux;
    uint64_t guest_tsc_scale, guest_tsc_offset, reg_prot_nonce;
    uint64_t rcx, rdx, rbx, reserved_320, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    uint8_t reserved_380[16];
    uint64_t guest_exit_info_1, guest_exit_info_2, guest_exit_int_info, guest_nrip;
    uint64_t sev_features, vintr_ctrl, guest_exit_code, virtual_tom, tlb_id, pcpu_id, event_inj, xcr0;
    uint8_t reserved_3f0[16];
    uint64_t x87_dp;
    uint32_t mxcsr;
    uint16_t x87_ftw, x87_fsw, x87_fcw, x87_fop, x87_ds, x87_cs;
    uint64_t x87_rip;
    uint8_t fpreg_x87[80];
    uint8_t fpreg_xmm[256];
    uint8_t fpreg_ymm[256];
    uint8_t reserved_670[2448];
} __attribute__((packed));
static_assert(sizeof(struct snp_vmsa) == SNP_PAGE_SIZE, "vmsa");
SNP_AT(struct snp_vmsa, efer, 0xd0);
SNP_AT(struct snp_vmsa, rip, 0x178);
SNP_AT(struct snp_vmsa, rsp, 0x1d8);
SNP_AT(struct snp_vmsa, rax, 0x1f8);
SNP_AT(struct snp_vmsa, g_pat, 0x268);
SNP_AT(struct snp_vmsa, rcx, 0x308);
SNP_AT(struct snp_vmsa, sev_features, 0x3b0);
SNP_AT(struct snp_vmsa, xcr0, 0x3e8);
SNP_AT(struct snp_vmsa, mxcsr, 0x408);

#endif
