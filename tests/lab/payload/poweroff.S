/*
 * The smallest kernel that cofre-shim starts: a bzImage (Linux Documentation/arch/x86/boot.rst, protocol 2.15) whose
 * 64-bit entry powers the machine off, or by the first letter of its command line (r)estarts it or (w)aits for ever, or
 * (s: as SNP guest, t: as TD) makes pages shared and private again, writing to both, 10000 times each, and then waits. It
 * has no GHCB: plain guests and guests of the emulated platform only. For tests that are about the launch and not about
 * Linux.
 */
#define SETUP_SECTORS 1
#define LOAD_ADDRESS  0x1000000

    .section .text
    .code32
setup:
    .org 0x1f1
    .byte SETUP_SECTORS
    .org 0x1fe
    .word 0xaa55
    .org 0x200
    .byte 0xeb, header_end - (. + 1) /* short jump over the header: its length is the header's */
    .ascii "HdrS"
    .word 0x020f
    .org 0x211
    .byte 1 /* LOADED_HIGH */
    .org 0x22c
    .long 0x7fffffff /* initrd_addr_max */
    .long 0x200000   /* kernel_alignment */
    .byte 1          /* relocatable_kernel */
    .byte 21         /* min_alignment */
    .word 1          /* xloadflags: XLF_KERNEL_64 */
    .long 2047       /* cmdline_size */
    .org 0x258
    .quad LOAD_ADDRESS
    .long kernel_end - kernel /* init_size */
    .long 0                   /* handover_offset */
    .long 0                   /* kernel_info_offset */
header_end:
    .org 0x200 * (SETUP_SECTORS + 1)

kernel:
    ud2 /* the 32-bit entry is not used */
    .org 0x200 * (SETUP_SECTORS + 1) + 0x200
    .code64
startup_64:
    mov 0x228(%rsi), %eax /* cmd_line_ptr */
    test %eax, %eax
    jz off
    cmpl $0x3d696665, (%rax) /* "efi=": cofre-shim's own word, with a space 14 bytes */
    jne 2f
    add $14, %eax
2:  mov (%rax), %al
    cmp $'s', %al
    je snp
    cmp $'t', %al
    je tdx
    cmp $'r', %al
    je restart
    cmp $'w', %al
    je 1f
off:
    mov $0x600, %edx /* sleep control register of vmm/machine/acpi.h */
    mov $0x34, %al
    out %al, %dx
1:  hlt
    jmp 1b
restart:
    mov $0x602, %edx /* reset register */
    mov $1, %al
    out %al, %dx
    jmp 1b

/* Of the pages from PAGES on each in turn; r15 counts. The shim's page tables map the first GiB by 2 MiB. */
#define PAGES       0x2000000
#define PAGE_MASK   0x3f
#define CONVERSIONS 10000
#define ENTRY(pd, gpa) ((pd) + ((gpa) >> 21) * 8)
#define SHIM_PD     0x10e000
#define PSC         0x014
#define PSC_PRIVATE (1 << 20) /* of the upper half */
#define PSC_SHARED  (2 << 20)

next_page: /* its address in rbx; ends where all is done */
    inc %r15d
    cmp $CONVERSIONS, %r15d
    ja told
    mov %r15d, %ebx
    and $PAGE_MASK, %ebx
    shl $12, %ebx
    add $PAGES, %ebx
    ret
told:
    mov $'.', %al
    mov $0x3f8, %edx
    out %al, %dx
    jmp 1b
failed:
    mov $'!', %al
    mov $0x3f8, %edx
    out %al, %dx
    jmp 1b

/* Without its C-bit the mapping shows both kinds (the emulated platform's low view). */
snp:
    lea stack_end(%rip), %rsp
    mov $ENTRY(SHIM_PD, PAGES), %ebx
    movl $0, 4(%rbx)
    mov %cr3, %rax
    mov %rax, %cr3
    xor %r15d, %r15d
3:  call next_page
    mov %ebx, %eax
    xor %ecx, %ecx
    xor %edx, %edx
    .byte 0xf2, 0x0f, 0x01, 0xff /* PVALIDATE: rescinded */
    test %eax, %eax
    jnz failed
    mov $PSC_SHARED, %edx
    call change
    movb $1, (%rbx)
    mov $PSC_PRIVATE, %edx
    call change
    mov %ebx, %eax
    xor %ecx, %ecx
    mov $1, %edx
    .byte 0xf2, 0x0f, 0x01, 0xff
    jc failed
    test %eax, %eax
    jnz failed
    movb $2, (%rbx)
    jmp 3b
change: /* GHCB MSR protocol, page state change request; edx is the operation */
    mov $0xc0010130, %ecx
    mov %ebx, %eax
    or $PSC, %eax
    wrmsr
    rep; vmmcall
    rdmsr
    test %edx, %edx
    jnz failed
    ret

/* The next 2 MiB of addresses are the same memory by its shared bit. */
tdx:
    lea stack_end(%rip), %rsp
    mov $ENTRY(SHIM_PD, PAGES), %ebx
    mov (%rbx), %rax
    bts $47, %rax
    mov %rax, 8(%rbx)
    mov %cr3, %rax
    mov %rax, %cr3
    xor %r15d, %r15d
4:  call next_page
    mov %rbx, %r12
    bts $47, %r12
    call map_gpa
    movb $1, 0x200000(%rbx)
    mov %rbx, %r12
    call map_gpa
    mov $6, %eax /* TDG.MEM.PAGE.ACCEPT */
    mov %rbx, %rcx
    xor %edx, %edx
    .byte 0x66, 0x0f, 0x01, 0xcc
    test %rax, %rax
    jnz failed
    movb $2, (%rbx)
    jmp 4b
map_gpa:
    push %r15
    xor %eax, %eax
    mov $0x3c00, %ecx /* R10 to R13 */
    xor %r10d, %r10d
    mov $0x10001, %r11d
    mov $4096, %r13d
    .byte 0x66, 0x0f, 0x01, 0xcc
    pop %r15
    test %rax, %rax
    jnz failed
    test %r10, %r10
    jnz failed
    ret
    .balign 16
    .skip 256
stack_end:
    .balign 4096
kernel_end:
