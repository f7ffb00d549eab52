/* What the SVSM says to the host and to the processor: the GHCB of VMPL 0 (56421), PVALIDATE and RMPADJUST (APM volume 3). */
#ifndef TESTS_LAB_SVSM_HOST_H
#define TESTS_LAB_SVSM_HOST_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SIZE  4096ull
#define LARGE_PAGE (2ull << 20)

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (uint64_t)high << 32;
}

/* Why it ends the guest: reason set 0xd of a termination request. */
#define SVSM_TERM_SET 0xd
enum svsm_end {
    SVSM_ENDED = 1,     /* the program's own end: a library gave up */
    SVSM_EXCEPTION = 2, /* at an instruction of its own; 0x20 and the vector */
    SVSM_HOST = 3,      /* the host's answer is none */
    SVSM_BOOT = 4,      /* what the shim gave it is not what it needs: see main.c */
    SVSM_MEMORY = 5,    /* a page could not be validated or opened */
    SVSM_TPM = 6,       /* the TPM could not be made */
    SVSM_GUEST = 7,     /* its guest's VMSA or calling area */
    SVSM_AT_VECTOR = 0x20,
};
_Noreturn void svsm_end(unsigned why);

/* The bit of a page-table entry that makes its page private. */
extern uint64_t host_private_mask;

/* Page tables of its own, in which the shared pages are, and exceptions that end the guest; the GHCB is registered. */
void host_open(void);

/* EAX; *unchanged: the carry flag. */
unsigned host_pvalidate(uint64_t gpa, bool large, bool validate, bool *unchanged);
unsigned host_rmpadjust(uint64_t gpa, bool large, uint64_t attributes);
#define RMPADJUST_ALL  (0xfull << 8) /* read, write, execute as user and supervisor */
#define RMPADJUST_VMSA (1ull << 16)

/* AP creation: this VMSA is that VMPL's of this vCPU. */
void host_create_vmpl(unsigned vmpl, uint64_t vmsa, uint64_t sev_features);
/* Until it asks for VMPL 0 again. */
void host_run_vmpl(unsigned vmpl);

/* A guest request, sealed already, and its response, at host_request() and host_response(). certificates: of HOST_CERTIFICATES bytes, or
 * NULL. SW_EXITINFO2: 0, or the firmware's or the VMM's error. */
#define HOST_CERTIFICATES (4 * PAGE_SIZE)
void *host_request(void);
const void *host_response(void);
uint64_t host_ask_firmware(uint8_t *certificates);

#endif
