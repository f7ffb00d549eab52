/* What the assembler of start.S and the C after it agree on. Literals of enums are checked in main.c. */
#ifndef COFRE_SHIM_START_H
#define COFRE_SHIM_START_H

#include "vmm/shim/abi.h"

/* The measured zero pages: three page tables, then data and, from their end down, the stack. */
#define START_PML4      (SHIM_ZERO + 0x0000)
#define START_PDPT      (SHIM_ZERO + 0x1000)
#define START_PD        (SHIM_ZERO + 0x2000) /* first GiB */
#define START_DATA      (SHIM_ZERO + 0x3000)
#define START_DATA_SIZE 0x600
#define START_STACK     SHIM_OWN

#define START_BOOT_TEE       8 /* offset in struct shim_boot_page */
#define START_BOOT_SNP       1
#define START_TERM_SET       0xc
#define START_TERM_CPUID     8
#define START_TERM_EXCEPTION 10

/* The CPUID page (SEV-SNP firmware ABI 56860, table "CPUID page"): a count, then entries from byte 16 on. */
#define START_CPUID_MAX   64
#define START_CPUID_FIRST 16
#define START_CPUID_SIZE  48
#define START_CPUID_EBX   28

#ifndef __ASSEMBLER__
/* The bit that makes a leaf private, as 64-bit mask; 0 where there is none. Set before shim_main. */
extern uint64_t shim_private_mask;
void shim_exception(void); /* every vector of the IDT */
_Noreturn void shim_main(void);
#endif
#endif
