/*
 * A TD starts all its CPUs at once, each with its index in ESI. The first goes on; the others wait in the mailbox
 * (ACPI specification 6.5, section 5.2.12.19, version 0) until Linux wants them. They need 64-bit mode and memory
 * mapped 1:1, and have no stack: all that they write is page tables, with what is there already, and the mailbox.
 */
#include "vmm/shim/start.h"

#define COMMAND 0               /* 16 bits; the CPU that obeys makes it 0 again */
#define WAKE_UP 1
#define APIC_ID 4
#define VECTOR  8

    .text
    .code32
    .globl shim_start_tee
shim_start_tee:
    movl $shim_start_first, %ebp
    xorl %edi, %edi             /* private memory has no bit set */
    testl %esi, %esi
    jz shim_map
    movl $shim_park, %ebp
    jmp shim_map

    .code64
    .globl shim_park
shim_park:
    movl $SHIM_MAILBOX, %ebx
wait:
    pause
    cmpw $WAKE_UP, COMMAND(%rbx)
    jne wait
    cmpl %esi, APIC_ID(%rbx)    /* CPU i has local APIC id i */
    jne wait
    movq VECTOR(%rbx), %rax
    movw $0, COMMAND(%rbx)
    jmp *%rax

    .section .note.GNU-stack, "", @progbits
