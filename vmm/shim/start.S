/*
 * The first instructions: 32-bit flat protected mode, paging off, and so every access private. Finds the C-bit, maps
 * the first GiB, enters 64-bit mode. Touches only pages that are valid from launch on.
 */
#include "vmm/shim/start.h"

#define CR0_BITS   0x80000033 /* PG, NE, ET, MP, PE */
#define CR4_BITS   0x00000620 /* OSXMMEXCPT, OSFXSR, PAE: SHA-256 uses SSE registers */
#define MSR_EFER   0xc0000080
#define EFER_LME   0x100
#define MSR_GHCB   0xc0010130
#define GHCB_TERMINATE 0x100
#define LEAF_2M    0x83       /* present, writable, large */
#define TABLE      0x03

    .section .start, "ax"
    .code32
    .globl shim_start
shim_start:
    cli
    cld
    movl $START_STACK, %esp
    xorl %edi, %edi             /* upper half of the private mask */
    cmpl $START_BOOT_SNP, SHIM_BOOT_PAGE + START_BOOT_TEE
    jne map
    movl SHIM_CPUID, %ecx
    cmpl $START_CPUID_MAX, %ecx
    ja refuse
    movl $SHIM_CPUID + START_CPUID_FIRST, %esi
find:
    testl %ecx, %ecx
    jz refuse
    cmpl $0x8000001f, (%esi)
    je found
    addl $START_CPUID_SIZE, %esi
    decl %ecx
    jmp find
found:
    movl START_CPUID_EBX(%esi), %ecx
    andl $0x3f, %ecx
    subl $32, %ecx              /* no C-bit lies in the lower half */
    jb refuse
    movl $1, %edi
    shll %cl, %edi

map:
    movl %edi, shim_private_mask + 4
    movl $START_PDPT + TABLE, START_PML4
    movl %edi, START_PML4 + 4
    movl $START_PD + TABLE, START_PDPT
    movl %edi, START_PDPT + 4
    movl $LEAF_2M, %eax
    xorl %ecx, %ecx
leaf:
    movl %eax, START_PD(, %ecx, 8)
    movl %edi, START_PD + 4(, %ecx, 8)
    addl $0x200000, %eax
    incl %ecx
    cmpl $512, %ecx
    jb leaf

    lgdt gdt_pointer
    movl %cr4, %eax
    orl $CR4_BITS, %eax
    movl %eax, %cr4
    movl $START_PML4, %eax      /* the CPU walks page tables privately whatever CR3's C-bit is */
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    wrmsr
    movl $CR0_BITS, %eax
    movl %eax, %cr0
    ljmp $0x10, $start64

refuse:                         /* only SNP guests come here */
    movl $MSR_GHCB, %ecx
    movl $GHCB_TERMINATE | START_TERM_SET << 12 | START_TERM_CPUID << 16, %eax
    xorl %edx, %edx
    wrmsr
    rep; vmmcall
halt:
    hlt
    jmp halt

    .code64
start64:
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl $START_STACK, %esp
    xorl %ebp, %ebp
    call shim_main

    .globl shim_exception
shim_exception:                 /* nothing can be mended: whatever the frame, end */
    movl $START_STACK, %esp
    movl $START_TERM_EXCEPTION, %edi
    call shim_terminate

    .section .rodata.gdt, "a"
    .balign 8
gdt:                            /* the selectors that Linux's 64-bit entry asks for: 0x10 code, 0x18 data */
    .quad 0
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt
    .long 0

    .section .note.GNU-stack, "", @progbits
