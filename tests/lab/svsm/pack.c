/*
 * The SVSM and Linux as one file that cofre-shim takes for a kernel: a bzImage's header, then memory from SVSM_BASE on as layout.h has it.
 *   svsm-pack SVSM BZIMAGE FILE
 */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/svsm/layout.h"
#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/error.h"
#include "vmm/base/file.h"

enum { SETUP_SIZE = 1024 }; /* the boot sector and one more */

static const char *put_program(uint8_t *image, struct view elf, uint64_t *end)
{
    Elf64_Ehdr head;
    if (elf.len < sizeof head)
        return "the SVSM is no ELF file";
    memcpy(&head, elf.data, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof(Elf64_Phdr) ||
        head.e_phoff > elf.len || elf.len - head.e_phoff < (uint64_t)head.e_phnum * sizeof(Elf64_Phdr))
        return "the SVSM is no ELF file of 64 bits";
    for (unsigned i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, elf.data + head.e_phoff + i * sizeof p, sizeof p);
        if (p.p_type != PT_LOAD)
            continue;
        if (p.p_vaddr < SVSM_PROGRAM || p.p_vaddr + p.p_memsz > SVSM_HEAP ||
            p.p_offset + p.p_filesz > elf.len)
            return "the SVSM is not linked to lie between its first page and its heap";
        memcpy(image + (p.p_vaddr - SVSM_BASE), elf.data + p.p_offset, p.p_filesz);
        *end = p.p_vaddr + p.p_memsz > *end ? p.p_vaddr + p.p_memsz : *end;
    }
    /* movl $entry, %eax; jmp *%rax */
    const uint8_t jump[] = {0xb8, 0, 0, 0, 0, 0xff, 0xe0};
    memcpy(image + SVSM_ENTRY, jump, sizeof jump);
    put_le32(image + SVSM_ENTRY + 1, (uint32_t)head.e_entry);
    return NULL;
}

/* Documentation/arch/x86/boot.rst, what vmm/shim/linux.c reads of it. */
static void put_header(uint8_t *setup)
{
    setup[0x1f1] = SETUP_SIZE / 512 - 1;
    put_le16(setup + 0x1fe, 0xaa55);
    setup[0x201] = 0x264 - 0x202;
    memcpy(setup + 0x202, "HdrS", 4);
    put_le16(setup + 0x206, 0x020c);
    setup[0x211] = 1;                              /* loaded high */
    put_le32(setup + 0x22c, 0x7fffffff);           /* the initrd's highest address */
    put_le32(setup + 0x230, 0x200000);             /* alignment; not relocatable */
    put_le16(setup + 0x236, 1);                    /* has a 64-bit entry */
    put_le32(setup + 0x238, 0x7ff);                /* of the command line */
    put_le64(setup + 0x258, SVSM_BASE);            /* where it lies */
    put_le32(setup + 0x260, SVSM_END - SVSM_BASE); /* what it needs there */
}

int main(int argc, char **argv)
{
    CLEAN_BYTES elf = {0}, linux_image = {0}, image = {0};
    struct cofre_err err;
    const char *wrong = NULL;
    uint64_t end = SVSM_PROGRAM;
    if (argc != 4) {
        fputs("usage: svsm-pack SVSM BZIMAGE FILE\n", stderr);
        return 2;
    }
    if (file_read(&elf, argv[1], 1u << 26, &err) < 0 ||
        file_read(&linux_image, argv[2], 1u << 26, &err) < 0 ||
        bytes_alloc(&image, SETUP_SIZE + (SVSM_HEAP - SVSM_BASE), &err) < 0)
        wrong = err.text;
    if (!wrong)
        wrong = put_program(image.data + SETUP_SIZE, bytes_view(&elf), &end);
    end = (end + 4095) & ~4095ull;
    if (!wrong && linux_image.len > SVSM_HEAP - end)
        wrong = "Linux does not fit between the SVSM and its heap";
    if (wrong) {
        fprintf(stderr, "svsm-pack: %s\n", wrong);
        return 1;
    }
    put_header(image.data);
    memcpy(image.data + SETUP_SIZE + (end - SVSM_BASE), linux_image.data, linux_image.len);
    put_le64(image.data + SETUP_SIZE + SVSM_PAYLOAD, end);
    put_le64(image.data + SETUP_SIZE + SVSM_PAYLOAD + 8, linux_image.len);
    image.len = SETUP_SIZE + (end - SVSM_BASE) + linux_image.len;
    if (file_write(argv[3], bytes_view(&image), 0644, &err) < 0) {
        fprintf(stderr, "svsm-pack: %s\n", err.text);
        return 1;
    }
    return 0;
}
