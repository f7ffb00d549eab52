/* A bzImage that tells, byte by byte on the shim's port, what it was handed; 0xff is the last. */
    .code64
image:
    .org 0x1f1
    .byte 1                     /* setup sectors */
    .org 0x1fe
    .word 0xaa55
    .byte 0xeb, 0x6a            /* jump: the header ends at 0x26c */
    .ascii "HdrS"
    .word 0x020f
    .org 0x211
    .byte 1                     /* loaded high */
    .org 0x22c
    .long 0x7fffffff            /* highest initrd address */
    .long 0x200000              /* alignment */
    .byte 1                     /* relocatable */
    .org 0x236
    .word 1                     /* 64-bit entry */
    .long 2047                  /* command line */
    .org 0x258
    .quad 0x1000000             /* preferred address */
    .long 0x2000000             /* init_size */

    .org 0x400 + 0x200          /* two sectors of setup, then 64-bit entry */
    movw $0xcf1, %dx
    movb 0x202(%rsi), %al       /* H of the header */
    outb %al, %dx
    movl 0x070(%rsi), %ebx      /* RSDP */
    movb (%rbx), %al
    outb %al, %dx
    movb 0x1e8(%rsi), %al       /* number of memory ranges */
    outb %al, %dx
    movl 0x21c(%rsi), %ecx      /* size of the initrd, its last byte if it has one */
    movb %cl, %al
    outb %al, %dx
    jecxz 1f
    movl 0x218(%rsi), %ebx
    movb -1(%rbx, %rcx), %al
    outb %al, %dx
1:  movl 0x228(%rsi), %ebx      /* command line, up to its zero */
2:  movb (%rbx), %al
    outb %al, %dx
    incq %rbx
    testb %al, %al
    jnz 2b
    leaq image_start(%rip), %rbx /* where we run */
    shrq $20, %rbx
    movb %bl, %al
    outb %al, %dx
    movb $0xff, %al
    outb %al, %dx
    hlt
    .set image_start, image + 0x400
    .org 0x2345                 /* a size that is no multiple of anything */
