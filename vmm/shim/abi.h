/*
 * What cofre-shim and the VMM agree on: where things lie in guest memory, the measured boot page, the ways in which
 * the shim ends a guest. Included by freestanding code and by assembler: fixed-width integers and macros only.
 *
 *   guest physical memory
 *   0x0010_0000  shim image (code and constants), at most 32 KiB           measured
 *   0x0010_8000  boot page: struct shim_boot_page                          measured; TDX: see there
 *   0x0010_9000  CPUID page                                                SNP: checked by the firmware
 *   0x0010_a000  secrets page                                              SNP: filled by the firmware
 *                wake-up mailbox: zeros                                    TDX: measured
 *   0x0010_b000  ACPI tables, RSDP first                                   measured
 *   0x0010_c000  the shim's data, stack and first page tables: zeros       measured
 *   0x0011_0000  end of what is loaded at launch, 64 KiB in all; what the shim needs besides, up to 0x0020_0000, is
 *                RAM that it accepts itself
 *   0x0012_8000  EFI tables for Linux (TEEs), written by the shim; from 0x0012_9000 on which memory Linux has to accept
 *   0x001f_0000  event log (TDX), 64 KiB of that RAM: TCG crypto-agile log of what the shim measured
 *   ...          RAM up to 3 GiB, and from 4 GiB on. All RAM, from 0 on and the ISA hole included, is backed by
 *                memory and private from the start, so that nobody need convert it
 *   0xc000_0000  staging window: shared memory without a private side; kernel, initrd and command line lie there one
 *                after the other, each at the next 4 KiB boundary; the host takes it away when the shim says so
 *   0xdfff_f000  GHCB page of the shim (SNP): shared memory without a private side, in a slot of its own, because it
 *                outlives the staging window: SHIM_PHASE_ENTER is still told through it. Zeros at launch. The host may
 *                take it away after that phase
 *   0xe000_0000  PCI memory window, from 0xe800_0000 PCI configuration space (ECAM), then IOAPIC and local APIC
 *   0xffff_f000  reset page (TDX), private memory in a slot of its own: a jump to the shim's first byte, 16 bytes
 *                before its end, where the CPU starts                      measured
 */
#ifndef COFRE_SHIM_ABI_H
#define COFRE_SHIM_ABI_H

#define SHIM_BASE      0x00100000
#define SHIM_MAX_SIZE  0x00008000
#define SHIM_BOOT_PAGE 0x00108000
#define SHIM_CPUID     0x00109000
#define SHIM_SECRETS   0x0010a000
#define SHIM_MAILBOX   0x0010a000
#define SHIM_ACPI      0x0010b000
#define SHIM_ACPI_SIZE 0x00001000
#define SHIM_ZERO      0x0010c000
#define SHIM_OWN       0x00110000
#define SHIM_EFI       0x00128000
#define SHIM_ACCEPT    0x00129000
#define SHIM_LOG       0x001f0000
#define SHIM_LOG_SIZE  0x00010000
#define SHIM_END       0x00200000
#define SHIM_RESET     0xfffff000u

#define RAM_LOW_END  0xc0000000ull
#define RAM_HIGH     0x100000000ull
#define RAM_END      (1ull << 43)  /* for more the table of unaccepted memory has no room (vmm/shim/efi.h) */
#define RAM_STEP     0x00200000ull /* both ranges of RAM are multiples of 2 MiB */
#define STAGING_BASE 0xc0000000u
#define STAGING_END  0xdffff000u
#define SHIM_GHCB    0xdffff000u

/* PCI, as the measured MCFG table tells it to Linux (docs/decisions.md): two buses, of which only the first has
 * devices. Reserved in the memory map that the shim hands to Linux. */
#define PCI_WINDOW_BASE 0xe0000000u
#define PCI_ECAM_BASE   0xe8000000u
#define PCI_ECAM_SIZE   0x00200000u

/* Where the next item of the staging window lies, and how much of a page-wise loaded thing is read. */
#define SHIM_PAGE_UP(x) (((x) + 0xfffull) & ~0xfffull)

#ifndef __ASSEMBLER__
#include <assert.h>
#include <stdint.h>

enum boot_tee { BOOT_PLAIN = 0, BOOT_SNP = 1, BOOT_TDX = 2 };

#define SHIM_BOOT_MAGIC 0x31304d4948534f43ull /* "COSHIM01" */

struct shim_item {
    uint64_t size; /* bytes; 0 for an initrd or command line that is not there */
    uint8_t
        digest[48]; /* SHA-256 and then zeros; TDX: SHA-384. All zeros when size is 0, or of a plain guest */
};

struct shim_ram {
    uint64_t gpa, size;
};

/*
 * All that the shim believes of the host. Measured, so it is the tenant's word and not the host's.
 *
 * TDX: private, but not in MRTD, so that MRTD depends on the layout only. There the shim extends run-time registers with
 * what it takes from here (vmm/shim/event.h), the SHA-384 of what it really copied into private memory; the tenant
 * trusts those. That it also compares with the digests here makes an early and clear error, no more.
 */
struct shim_boot_page {
    uint64_t magic;
    uint32_t tee;           /* enum boot_tee */
    uint32_t ram_count;     /* 1 or 2 */
    struct shim_ram ram[2]; /* from 0 on, at most up to RAM_LOW_END; then from RAM_HIGH on */
    struct shim_item kernel, initrd,
        cmdline; /* the command line's final zero is not counted and not staged */
    uint8_t reserved[4096 - 8 - 8 - 32 - 168];
};
static_assert(sizeof(struct shim_boot_page) == 4096, "boot page");

/*
 * Why the shim ended a guest: reason set SHIM_TERM_SET with these codes. The VMM has a sentence for each (vmm/machine).
 * SNP: in the GHCB's termination request. TDX: TDG.VP.VMCALL<ReportFatalError> with R12 = SHIM_TERM_TDX(code), that is
 * error code 0 (panic) in bits 31:0, set << 8 | code in bits 62:32, which are the TD's own to define, bit 63 and R13
 * zero (no page with more); R14 and R15 hold the text "cofre-shim: 00" with the code in decimal, the other message
 * registers zeros. Plain: on SHIM_PORT.
 */
#define SHIM_TERM_SET       0xc
#define SHIM_TERM_TDX(code) ((uint64_t)(SHIM_TERM_SET << 8 | (code)) << 32)
enum shim_term {
    SHIM_TERM_BOOT_PAGE = 1,   /* boot page: wrong magic, TEE or memory ranges */
    SHIM_TERM_KERNEL_HASH = 2, /* staged kernel differs from the boot page's digest */
    SHIM_TERM_INITRD_HASH = 3,
    SHIM_TERM_CMDLINE_HASH = 4,
    SHIM_TERM_KERNEL_FORMAT = 5, /* not a bzImage with a 64-bit entry, boot protocol 2.12 or later */
    SHIM_TERM_NO_ROOM = 6,       /* kernel and initrd do not fit into memory */
    SHIM_TERM_ACCEPT = 7,        /* a page could not be accepted, or had been before */
    SHIM_TERM_CPUID = 8,         /* CPUID page: malformed, or without what the shim needs */
    SHIM_TERM_HOST = 9,       /* host or TEE answered a request in a way that the protocol does not allow */
    SHIM_TERM_EXCEPTION = 10, /* the shim met an exception */
};

/* The shim tells the VMM where it is: one byte written to this I/O port (by whatever way the TEE has). */
#define SHIM_PORT 0xcf1
enum shim_phase {
    SHIM_PHASE_START = 1,    /* first instruction in 64-bit mode */
    SHIM_PHASE_ACCEPTED = 2, /* what the shim and Linux's start need of memory is accepted */
    SHIM_PHASE_VERIFIED =
        3,                /* kernel, initrd and command line copied and equal to their hashes: the VMM removes
                                the staging window */
    SHIM_PHASE_ENTER = 4, /* next instruction is the kernel's */
    SHIM_PHASE_TERM = 0x80, /* plain guests: 0x80 | enum shim_term, then halts */
};

#endif
#endif
