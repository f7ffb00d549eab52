/*
 * A bzImage (Linux Documentation/arch/x86/boot.rst, protocol 2.15) whose 64-bit entry is hostile_main: the header, the page
 * tables that it runs on, its stack.
 */
#include "tests/lab/hostile/place.h"

    .section .text.start, "ax"
    .code32
setup:
    .org 0x1f1
    .byte SETUP_SIZE / 512 - 1
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
    .long 0x200000   /* kernel_alignment; it is not relocatable */
    .byte 0, 21
    .word 1          /* xloadflags: XLF_KERNEL_64 */
    .long 2047       /* cmdline_size */
    .org 0x258
    .quad LOAD_ADDRESS
    .long IMAGE_SIZE /* init_size */
    .long 0          /* handover_offset */
    .long 0          /* kernel_info_offset */
header_end:
    .org SETUP_SIZE
    ud2 /* the 32-bit entry is not used */
    .org SETUP_SIZE + 0x200
    .code64
    mov 0x228(%rsi), %edi /* cmd_line_ptr */
    mov $stack_top, %esp
    call hostile_main
1:  hlt
    jmp 1b

    .section .bss
    .balign 16
    .skip 16384
stack_top:
