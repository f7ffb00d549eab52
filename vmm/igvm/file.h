/*
 * An IGVM file (Independent Guest Virtual Machine format): headers by which somebody else's build describes a guest's first
 * memory and registers, for several platforms at once. Source: Microsoft's crate igvm_defs 0.4. The file is hostile input:
 * igvm_file_parse checks each header by itself; what headers mean together, for one platform, is guest.h's.
 */
#ifndef COFRE_IGVM_FILE_H
#define COFRE_IGVM_FILE_H

#include "vmm/base/bytes.h"

#define IGVM_SIZE_MAX      (256u << 20)
#define IGVM_PLATFORMS_MAX 8 /* each type once */
#define IGVM_PAGE_SIZE     4096u
#define IGVM_LARGE_PAGE    (2u << 20)
#define IGVM_ADDRESS_END   (1ull << 52) /* no x86-64 processor has addresses beyond it */

enum igvm_platform_type {
    IGVM_NATIVE = 0,
    IGVM_VSM = 1, /* Hyper-V's own isolation */
    IGVM_SEV_SNP = 2,
    IGVM_TDX = 3,
    IGVM_SEV = 4,
    IGVM_SEV_ES = 5,
};

struct igvm_platform {
    enum igvm_platform_type type;
    uint32_t mask; /* one bit: whose headers are this platform's */
    uint8_t highest_vtl;
    uint64_t shared_boundary; /* 0: none */
};

enum igvm_header_type {
    IGVM_SUPPORTED_PLATFORM = 0x1,
    IGVM_GUEST_POLICY = 0x101,
    IGVM_RELOCATABLE_REGION = 0x102,
    IGVM_PAGE_TABLE_REGION = 0x103,
    IGVM_CORIM_DOCUMENT = 0x104,
    IGVM_CORIM_SIGNATURE = 0x105,
    IGVM_PARAMETER_AREA = 0x301,
    IGVM_PAGE_DATA = 0x302,
    IGVM_PARAMETER_INSERT = 0x303,
    IGVM_VP_CONTEXT = 0x304,
    IGVM_REQUIRED_MEMORY = 0x305,
    IGVM_VP_COUNT = 0x307,
    IGVM_SRAT = 0x308,
    IGVM_MADT = 0x309,
    IGVM_MMIO_RANGES = 0x30a,
    IGVM_SNP_ID_BLOCK = 0x30b,
    IGVM_MEMORY_MAP = 0x30c,
    IGVM_ERROR_RANGE = 0x30d,
    IGVM_COMMAND_LINE = 0x30e,
    IGVM_SLIT = 0x30f,
    IGVM_PPTT = 0x310,
    IGVM_VBS_MEASUREMENT = 0x311,
    IGVM_DEVICE_TREE = 0x312,
    IGVM_ENVIRONMENT_INFO = 0x313,
};

enum igvm_page_type {
    IGVM_PAGE_NORMAL = 0,
    IGVM_PAGE_SECRETS = 1,
    IGVM_PAGE_CPUID = 2,
    IGVM_PAGE_CPUID_XF = 3
};

struct igvm_file {
    struct view bytes; /* the caller's */
    uint32_t version;  /* of the format: 1 or 2 */
    struct view headers;
    size_t count; /* of headers */
    struct igvm_platform platform[IGVM_PLATFORMS_MAX];
    size_t platforms;
};

/* A header of a file that was parsed. */
struct igvm_header {
    uint32_t type;
    bool known, optional; /* optional: who does not know the type may leave it out */
    size_t index;         /* among all headers */
    size_t offset, next;  /* in the file's headers */
    uint32_t mask;        /* the platforms that it is for; UINT32_MAX for types that are for all */
    struct view body;
    struct view data; /* what it has among the file's data; empty: none */
    union {
        struct igvm_platform platform;
        uint64_t policy;
        struct {
            uint64_t gpa, size; /* of relocatable, page table, required and error memory */
        } memory;
        struct {
            enum igvm_page_type type;
            uint64_t gpa;
            uint32_t size; /* IGVM_PAGE_SIZE or IGVM_LARGE_PAGE; data has as many, or none: zeros */
            bool unmeasured, shared;
        } page;
        struct {
            uint64_t size; /* data has as many bytes, or none: zeros */
            uint32_t number;
        } area;
        struct {
            uint32_t area, offset;
        } parameter;
        struct {
            uint64_t gpa;
            uint32_t area;
        } insert;
        struct {
            uint64_t gpa;
            uint16_t vp; /* data is its state, in the platform's form */
        } context;
    };
};

/* The file begins as one, good or not. */
bool igvm_file_is(struct view bytes);

/* Keeps the view. COFRE_MALFORMED says which header is wrong, by its number among all (the first is 0) and its place in the
 * file, and why. Headers of a type that is not known are wrong unless they are optional. */
int igvm_file_parse(struct igvm_file *out, struct view bytes, struct cofre_err *err);

/* The header after this one, in the file's order; the first for one of zeros. False after the last. */
bool igvm_file_next(const struct igvm_file *file, struct igvm_header *header);

const struct igvm_platform *igvm_file_platform(const struct igvm_file *file, enum igvm_platform_type type);

/* "page data", or NULL for a type that is not known. */
const char *igvm_header_name(uint32_t type);
/* "AMD SEV-SNP". */
const char *igvm_platform_name(enum igvm_platform_type type);

/* Fails by COFRE_MALFORMED with a sentence that names the header first. */
int igvm_header_fail(struct cofre_err *err, const struct igvm_file *file, const struct igvm_header *header,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
