/* The least firmware that starts the shim as a VMM does: 64 KiB below 4 GiB, from the reset vector into 32-bit flat
 * protected mode with paging off and other registers zero. A CPU's index that lies at 0x500 makes it one of a TD's: it is
 * in ESI, and EFER.LME is set. */
#define BASE 0xffff0000
    .code16
start:
    cli
    lgdtl %cs:(pointer - start)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $BASE + (flat - start)
    .code32
flat:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl 0x500, %esi
    testl %esi, %esi
    jz 1f
    movl $0xc0000080, %ecx
    movl $0x100, %eax
    wrmsr
    xorl %ecx, %ecx
1:  movl $0x100000, %eax
    jmp *%eax
    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
pointer:
    .word 23
    .long BASE + (gdt - start)
    .org 0xfff0
    .code16
    jmp start
    .org 0x10000
