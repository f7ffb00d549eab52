/*
 * Completion status of the TDX module, RAX of SEAMCALL and TDCALL: bits 63:32 are the code, bits 31:0 details; for
 * OPERAND_INVALID and OPERAND_BUSY the operand. Source: Intel TDX Module 1.5 ABI Specification (348551), section
 * "Function completion status codes"; numbers as in the published source of module 1.5.01.
 */
#ifndef COFRE_TDX_STATUS_H
#define COFRE_TDX_STATUS_H

#include <stdint.h>

typedef uint64_t tdx_status;

#define TDX_STATUS_CODE(status)    ((status)&0xffffffff00000000ull)
#define TDX_STATUS_DETAILS(status) ((uint32_t)(status))

#define TDX_SUCCESS                        0ull
#define TDX_OPERAND_INVALID                0xc000010000000000ull
#define TDX_OPERAND_BUSY                   0x8000020000000000ull
#define TDX_OP_STATE_INCORRECT             0xc000060800000000ull
#define TDX_NO_VCPUS                       0xc000060900000000ull
#define TDX_VCPU_STATE_INCORRECT           0xc000070000000000ull
#define TDX_MAX_VCPUS_EXCEEDED             0xc000070500000000ull
#define TDX_EPT_WALK_FAILED                0xc0000b0000000000ull
#define TDX_EPT_ENTRY_NOT_PRESENT          0xc0000b0300000000ull
#define TDX_PAGE_ALREADY_ACCEPTED          0x00000b0a00000000ull
#define TDX_PAGE_SIZE_MISMATCH             0xc0000b0b00000000ull
#define TDX_EPT_ENTRY_STATE_INCORRECT      0xc0000b0d00000000ull
#define TDX_METADATA_FIELD_ID_INCORRECT    0xc0000c0000000000ull
#define TDX_METADATA_FIELD_NOT_WRITABLE    0xc0000c0100000000ull
#define TDX_METADATA_FIELD_NOT_READABLE    0xc0000c0200000000ull
#define TDX_METADATA_FIELD_VALUE_NOT_VALID 0xc0000c0300000000ull
#define TDX_INVALID_CPUSVN                 0xc000100000000000ull
#define TDX_INVALID_REPORTMACSTRUCT        0xc000100100000000ull

/* Operands: registers by number (RAX 0, RCX 1, RDX 2, RBX 3, R8 8 ... R15 15), and what has no register. */
enum tdx_operand {
    TDX_OPERAND_RAX = 0,
    TDX_OPERAND_RCX = 1,
    TDX_OPERAND_RDX = 2,
    TDX_OPERAND_R8 = 8,
    TDX_OPERAND_R9 = 9,
    TDX_OPERAND_ATTRIBUTES = 64,
    TDX_OPERAND_XFAM = 65,
    TDX_OPERAND_EXEC_CONTROLS = 66,
    TDX_OPERAND_EPTP_CONTROLS = 67,
    TDX_OPERAND_MAX_VCPUS = 68,
    TDX_OPERAND_CPUID_CONFIG = 69,
    TDX_OPERAND_TSC_FREQUENCY = 70,
    TDX_OPERAND_RTMR = 168,
};

/* "OPERAND_INVALID (XFAM)", into text; a code that is not listed here gives its number. Returns text. */
#define TDX_STATUS_TEXT_SIZE 80
const char *tdx_status_text(char text[TDX_STATUS_TEXT_SIZE], tdx_status status);

#endif
