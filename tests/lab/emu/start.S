/* The payload's entry: 32-bit flat protected mode, paging off, as the launch starts every vCPU. */
#ifdef TDX                                  /* the shared bit, else the C-bit: bit 47 is bit 15 of the upper half */
#define PRIVATE_HIGH 0
#define SHARED_HIGH  0x8000
#define IDT_ENTRIES  96
#else
#define PRIVATE_HIGH 0x8000
#define SHARED_HIGH  0
#define IDT_ENTRIES  32
#endif
    .section .text.start, "ax"
    .code32
    .globl start
start:
    cli
    movl $stack_top, %esp
    /* PML4 -> PDPT -> two page directories of 2 MiB pages: [0, 1 GiB) private, [1, 2 GiB) the same shared. */
    movl $pdpt + 3, pml4
    movl $PRIVATE_HIGH, pml4 + 4
    movl $pd_private + 3, pdpt
    movl $PRIVATE_HIGH, pdpt + 4
    movl $pd_shared + 3, pdpt + 8
    movl $PRIVATE_HIGH, pdpt + 12
    xorl %ecx, %ecx
1:  movl %ecx, %eax
    shll $21, %eax
    orl $0x83, %eax
    movl %eax, pd_private(, %ecx, 8)
    movl $PRIVATE_HIGH, pd_private + 4(, %ecx, 8)
    movl %eax, pd_shared(, %ecx, 8)
    movl $SHARED_HIGH, pd_shared + 4(, %ecx, 8)
    incl %ecx
    cmpl $512, %ecx
    jb 1b
    movl %cr4, %eax
    orl $0x620, %eax                    /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000003, %eax
    andl $~4, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $2f
    .code64
2:  movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    lidt idt_pointer
    call guest_main
3:  hlt
    jmp 3b

    .globl ap_start
ap_start:
    lidt idt_pointer
    call ap_main
4:  hlt
    jmp 4b

/* An exception is counted with its error code, and execution goes on at resume_at. */
    .globl on_ud, on_vc
on_ud:
    pushq $0
    movl $6, last_vector
    jmp 5f
on_vc:
    movl $29, last_vector
5:  popq last_error
    pushq %rax
    movq resume_at, %rax
    movq %rax, 8(%rsp)
    popq %rax
    iretq

    .globl try_ud, try_touch
try_ud:
    movq $6f, resume_at
    ud2
6:  ret
try_touch:
    movq $7f, resume_at
    movb (%rdi), %al
7:  ret

    .section .data
    .balign 8
gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
    .globl gdt_pointer, idt_pointer
gdt_pointer:
    .word 23
    .quad gdt
idt_pointer:
    .word IDT_ENTRIES * 16 - 1
    .quad idt

    .section .bss
    .balign 4096
    .globl pml4
pml4:       .skip 4096
pdpt:       .skip 4096
pd_private: .skip 4096
pd_shared:  .skip 4096
    .skip 16384
stack_top:
