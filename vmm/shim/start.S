/*
 * The first instructions: 32-bit flat protected mode, paging off, and so every access private. Maps the first GiB,
 * enters 64-bit mode. Touches only pages that are private and valid from launch on. Where a TEE's CPUs all start at
 * once, all come through here and write the same to the same tables.
 */
#include "vmm/shim/start.h"

#define CR0_BITS   0x80000033 /* PG, NE, ET, MP, PE */
#define CR4_BITS   0x00000620 /* OSXMMEXCPT, OSFXSR, PAE: hashing uses SSE registers */
#define MSR_EFER   0xc0000080
#define EFER_LME   8          /* bit */
#define LEAF_2M    0x83       /* present, writable, large */
#define TABLE      0x03

    .section .start, "ax"
    .code32
    .globl shim_start
shim_start:
    cli
    cld
    jmp shim_start_tee          /* start_snp.S, start_tdx.S */

    .globl shim_map
shim_map:
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

    lidt no_idt                 /* an exception is the end, until there are handlers */
    lgdt gdt_pointer
    movl %cr4, %eax
    orl $CR4_BITS, %eax
    movl %eax, %cr4
    movl $START_PML4, %eax      /* the CPU walks page tables privately whatever CR3's C-bit is */
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    btsl $EFER_LME, %eax
    jc long_mode                /* TDX sets it, and allows no write */
    wrmsr
long_mode:
    movl $CR0_BITS, %eax
    movl %eax, %cr0
    ljmp $0x10, $start64

    .code64
start64:
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl %ebp, %ebp
    jmp *%rbp

    .globl shim_start_first
shim_start_first:
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
no_idt:
    .word 0
    .long 0

    .section .note.GNU-stack, "", @progbits
