/* The first CPU of an SNP or plain guest: finds the C-bit. SNP starts no other CPU here. */
#include "vmm/shim/start.h"

#define MSR_GHCB 0xc0010130
#define GHCB_TERMINATE 0x100

    .text
    .code32
    .globl shim_start_tee
shim_start_tee:
    movl $shim_start_first, %ebp
    xorl %edi, %edi
    cmpl $START_BOOT_SNP, SHIM_BOOT_PAGE + START_BOOT_TEE
    jne shim_map
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
    jmp shim_map

refuse:                         /* only SNP guests come here */
    movl $MSR_GHCB, %ecx
    movl $GHCB_TERMINATE | START_TERM_SET << 12 | START_TERM_CPUID << 16, %eax
    xorl %edx, %edx
    wrmsr
    rep; vmmcall
halt:
    hlt
    jmp halt

    .section .note.GNU-stack, "", @progbits
