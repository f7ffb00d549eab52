/*
 * From cofre-shim, with boot_params in RSI, to the C library's start; and from its system calls to calls.c. All of it is one program in
 * ring 0, so a system call is a call with the return address in RCX and RFLAGS in R11.
 */
#include "tests/lab/svsm/layout.h"

#define MSR_EFER  0xc0000080
#define MSR_STAR  0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define EFER_SCE  1
#define CODE      0x10 /* selectors: the shim's */

#define AT_NULL   0
#define AT_PAGESZ 6
#define AT_RANDOM 25
#define RED_ZONE  128

    .text
    .globl svsm_entry
svsm_entry:
    cli
    cld
    movq %rsi, svsm_boot_params
    movl $SVSM_SHARED, %esp

    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_SCE, %eax
    wrmsr
    movl $MSR_STAR, %ecx
    xorl %eax, %eax
    movl $CODE, %edx
    wrmsr
    movl $MSR_LSTAR, %ecx
    movl $system_call, %eax
    xorl %edx, %edx
    wrmsr
    movl $MSR_FMASK, %ecx
    xorl %eax, %eax
    wrmsr

    rdrand %rax                 /* the C library's canaries */
    movq %rax, random
    rdrand %rax
    movq %rax, random + 8

    pushq $0                    /* what a process finds on its stack, from its end */
    pushq $AT_NULL
    pushq $4096
    pushq $AT_PAGESZ
    pushq $random
    pushq $AT_RANDOM
    pushq $0                    /* no environment */
    pushq $0                    /* no arguments */
    pushq $0                    /* none */
    xorl %edx, %edx
    xorl %ebp, %ebp
    jmp _start

system_call:
    leaq -RED_ZONE(%rsp), %rsp
    pushq %r11
    pushq %rcx
    pushq %rbp
    movq %rsp, %rbp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %r8
    pushq %r9
    pushq %r10
    andq $-16, %rsp
    movq %rdx, %rcx             /* number, first three arguments */
    movq %rsi, %rdx
    movq %rdi, %rsi
    movq %rax, %rdi
    call svsm_system_call
    leaq -48(%rbp), %rsp
    popq %r10
    popq %r9
    popq %r8
    popq %rdx
    popq %rsi
    popq %rdi
    popq %rbp
    popq %rcx
    popfq
    leaq RED_ZONE(%rsp), %rsp
    jmp *%rcx

/* An exception: which, and where. */
    .macro vector number, code
    .balign 16
    .if \code == 0
    pushq $0
    .endif
    movl $\number, %edi
    jmp exception
    .endm

    .balign 16
    .globl svsm_vectors
svsm_vectors:
    .set i, 0
    .rept 32
    .if i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21 || i == 29 || i == 30
    vector (i), 1
    .else
    vector (i), 0
    .endif
    .set i, i + 1
    .endr

exception:
    movq (%rsp), %rdx           /* error code */
    movq 8(%rsp), %rsi          /* instruction */
    andq $-16, %rsp
    call svsm_exception

    .data
    .globl svsm_boot_params
svsm_boot_params:
    .quad 0
random:
    .quad 0, 0

    .section .note.GNU-stack, "", @progbits
