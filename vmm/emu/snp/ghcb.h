/*
 * The guest-hypervisor communication block and the MSR protocol: "SEV-ES Guest-Hypervisor Communication Block
 * Standardization", publication 56421, rev 2.04. Pure: bytes and numbers only.
 */
#ifndef COFRE_EMU_SNP_GHCB_H
#define COFRE_EMU_SNP_GHCB_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* MSR protocol (2.3.1): GHCBInfo in bits 11:0. */
#define GHCB_MSR_INFO_MASK 0xfffull
enum ghcb_msr_info {
    GHCB_MSR_SEV_INFO = 0x001,
    GHCB_MSR_SEV_INFO_REQ = 0x002,
    GHCB_MSR_CPUID_REQ = 0x004,
    GHCB_MSR_CPUID = 0x005,
    GHCB_MSR_AP_RESET_HOLD_REQ = 0x006,
    GHCB_MSR_AP_RESET_HOLD = 0x007,
    GHCB_MSR_PREFERRED_GPA_REQ = 0x010,
    GHCB_MSR_PREFERRED_GPA = 0x011,
    GHCB_MSR_REGISTER_GPA_REQ = 0x012,
    GHCB_MSR_REGISTER_GPA = 0x013,
    GHCB_MSR_PSC_REQ = 0x014,
    GHCB_MSR_PSC = 0x015,
    GHCB_MSR_RUN_VMPL_REQ = 0x016,
    GHCB_MSR_RUN_VMPL = 0x017,
    GHCB_MSR_FEATURES_REQ = 0x080,
    GHCB_MSR_FEATURES = 0x081,
    GHCB_MSR_TERMINATE = 0x100,
};
#define GHCB_MSR_PSC_ERROR      (1ull << 63 | GHCB_MSR_PSC)
#define GHCB_MSR_RUN_VMPL_ERROR (1ull << 32 | GHCB_MSR_RUN_VMPL)

#define GHCB_PROTOCOL_MIN 1
#define GHCB_PROTOCOL_MAX 2
#define GHCB_FEATURES     3ull /* SEV-SNP, AP creation */
#define GHCB_FEATURE_VMPL (1ull << 5)

enum ghcb_page_operation { GHCB_PAGE_PRIVATE = 1, GHCB_PAGE_SHARED = 2 };

/* The page (2.4, table 5); a field counts when the bit of its quadword is set in the valid bitmap. */
struct ghcb {
    uint8_t reserved_000[0xcb];
    uint8_t cpl;
    uint8_t reserved_0cc[0x12c];
    uint64_t rax;
    uint8_t reserved_200[0x108];
    uint64_t rcx, rdx, rbx;
    uint8_t reserved_320[0x70];
    uint64_t exit_code, exit_info_1, exit_info_2, scratch;
    uint8_t reserved_3b0[0x38];
    uint64_t xcr0;
    uint8_t valid[16];
    uint64_t x87_state_gpa;
    uint8_t reserved_408[0x3f8];
    uint8_t shared_buffer[0x7f0];
    uint8_t reserved_ff0[10];
    uint16_t protocol;
    uint32_t usage;
} __attribute__((packed));
static_assert(sizeof(struct ghcb) == 4096, "ghcb");
static_assert(offsetof(struct ghcb, rax) == 0x1f8, "ghcb.rax");
static_assert(offsetof(struct ghcb, rcx) == 0x308, "ghcb.rcx");
static_assert(offsetof(struct ghcb, exit_code) == 0x390, "ghcb.exit_code");
static_assert(offsetof(struct ghcb, xcr0) == 0x3e8, "ghcb.xcr0");
static_assert(offsetof(struct ghcb, valid) == 0x3f0, "ghcb.valid");
static_assert(offsetof(struct ghcb, shared_buffer) == 0x800, "ghcb.shared_buffer");
static_assert(offsetof(struct ghcb, reserved_ff0) == 0xff0, "ghcb.reserved_ff0");

#define GHCB_SHARED_BUFFER     offsetof(struct ghcb, shared_buffer)
#define GHCB_SHARED_BUFFER_END offsetof(struct ghcb, reserved_ff0)

/* SW_EXITCODE (2.6, table 6): #VC intercepts, then the software events. */
enum ghcb_event {
    GHCB_READ_DR7 = 0x27,
    GHCB_WRITE_DR7 = 0x37,
    GHCB_RDTSC = 0x6e,
    GHCB_RDPMC = 0x6f,
    GHCB_CPUID = 0x72,
    GHCB_INVD = 0x76,
    GHCB_IOIO = 0x7b,
    GHCB_MSR = 0x7c,
    GHCB_VMMCALL = 0x81,
    GHCB_RDTSCP = 0x87,
    GHCB_WBINVD = 0x89,
    GHCB_MONITOR = 0x8a,
    GHCB_MWAIT = 0x8b,
};
#define GHCB_MMIO_READ         0x80000001u
#define GHCB_MMIO_WRITE        0x80000002u
#define GHCB_NMI_COMPLETE      0x80000003u
#define GHCB_AP_RESET_HOLD     0x80000004u
#define GHCB_AP_JUMP_TABLE     0x80000005u
#define GHCB_PSC               0x80000010u
#define GHCB_GUEST_REQUEST     0x80000011u
#define GHCB_EXT_GUEST_REQUEST 0x80000012u
#define GHCB_AP_CREATION       0x80000013u
#define GHCB_RUN_VMPL          0x80000018u
#define GHCB_HV_FEATURES       0x8000fffdu
#define GHCB_TERMINATE         0x8000fffeu
#define GHCB_UNSUPPORTED_EVENT 0x8000ffffu

/* SW_EXITINFO1 = 2 says that the request was refused, SW_EXITINFO2 why (table 7); 1 asks for an exception. */
#define GHCB_REFUSED   2u
#define GHCB_EXCEPTION 1u
enum ghcb_refusal {
    GHCB_OK = 0,
    GHCB_NOT_REGISTERED = 1,
    GHCB_INVALID_USAGE = 2,
    GHCB_INVALID_SCRATCH = 3,
    GHCB_MISSING_INPUT = 4,
    GHCB_INVALID_INPUT = 5,
    GHCB_INVALID_EVENT = 6,
};

#define GHCB_IS_VALID(page, field) ghcb_is_valid((page), offsetof(struct ghcb, field))
bool ghcb_is_valid(const struct ghcb *ghcb, size_t offset);

/* Is this a request that can be served: known event, all of its input given? The page is the hypervisor's own copy. */
enum ghcb_refusal ghcb_check(const struct ghcb *ghcb);

/* The offset in the page of len bytes at the guest address scratch; false unless all lie in the shared buffer. */
bool ghcb_scratch(uint64_t scratch, uint64_t ghcb_gpa, uint64_t len, size_t *offset);

/* Page state change list (4.1.6): header, then entries. */
struct ghcb_psc_header {
    uint16_t current;
    uint16_t end; /* the last entry's index */
    uint32_t reserved;
} __attribute__((packed));
#define GHCB_PSC_ENTRIES_MAX 253

#define GHCB_PSC_ERROR_GENERIC       (0x100ull << 32)
#define GHCB_PSC_ERROR_INVALID_HDR   (1ull << 32 | 1)
#define GHCB_PSC_ERROR_INVALID_ENTRY (1ull << 32 | 2)

/* Adjacent entries that one exit converts. */
struct ghcb_psc_run {
    unsigned index, entries;
    uint64_t gfn, pages;
    bool large;
    unsigned operation;
};
/* The next run of entries[from..end]: true and *run, or false with 0 (nothing left) or an error in *status. Runs of an
 * operation that is not known have operation 0. */
bool ghcb_psc_next(const uint64_t *entries, unsigned from, unsigned end, struct ghcb_psc_run *run,
                   uint64_t *status);
/* An entry after all of its pages were converted. */
uint64_t ghcb_psc_done(uint64_t entry);

/* SW_EXITINFO1 of port I/O: as the SVM intercept's EXITINFO1 (APM volume 2, 15.10.2). */
struct ghcb_io {
    uint16_t port;
    uint8_t size; /* 1, 2, 4; 0: malformed */
    bool in, string;
};
struct ghcb_io ghcb_io_decode(uint64_t exit_info_1);

/* "Linux: a page state change failed": why a guest asked to be terminated, by reason set and code. */
const char *ghcb_termination_reason(unsigned set, unsigned code);

#endif
