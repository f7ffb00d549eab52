/*
 * The smallest kernel that cofre-shim starts: a bzImage (Linux Documentation/arch/x86/boot.rst, protocol 2.15) whose
 * 64-bit entry powers the machine off, or by the first letter of its command line (r)estarts it or (w)aits for ever. It
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
next: /* words come first that are not the test's: cofre-shim's own, and the size of bounce buffers */
    cmpl $0x3d696665, (%rax) /* "efi=" */
    je skip
    cmpl $0x6f697773, (%rax) /* "swio" */
    jne word
skip:
    inc %eax
    cmpb $0, (%rax)
    je off
    cmpb $' ', (%rax)
    jne skip
    inc %eax
    jmp next
word:
    mov (%rax), %al
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
    .balign 4096
kernel_end:
