/*
 * Where the lab's SVSM lies in guest memory. cofre-shim takes it for a kernel (pack.c gives it a header): it copies it here with what
 * follows it, checks it, and enters it at VMPL 0.
 *
 *   0x1000_0000  its first page: at 0x200 the jump that the shim makes, at 0x300 where Linux is (struct svsm_payload)
 *   0x1000_1000  the program, and behind it, at the next page, Linux's bzImage
 *   0x1200_0000  its heap
 *   0x13a0_0000  its stack
 *   0x13c0_0000  pages that it shares with the host
 *   0x13e0_0000  what it gives its guest: boot parameters, calling area, secrets page, first page tables
 *   0x1400_0000  end
 */
#ifndef TESTS_LAB_SVSM_LAYOUT_H
#define TESTS_LAB_SVSM_LAYOUT_H

#define SVSM_BASE    0x10000000
#define SVSM_ENTRY   0x200 /* offset */
#define SVSM_PAYLOAD 0x300 /* offset */
#define SVSM_PROGRAM 0x10001000
#define SVSM_HEAP    0x12000000
#define SVSM_STACK   0x13a00000 /* from here up to the shared pages */
#define SVSM_SHARED  0x13c00000
#define SVSM_GIVEN   0x13e00000
#define SVSM_END     0x14000000

#ifndef __ASSEMBLER__
#include <stdint.h>

struct svsm_payload {
    uint64_t address, size;
};
#endif
#endif
