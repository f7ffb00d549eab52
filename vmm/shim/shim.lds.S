#include "vmm/shim/start.h"

ENTRY(shim_start)
SECTIONS
{
    . = SHIM_BASE;
    .image : { *(.start) *(.text .text.*) *(.rodata .rodata.*) *(.data .data.*) }
    ASSERT(SIZEOF(.image) <= SHIM_MAX_SIZE, "the shim is larger than the measured 32 KiB")
    ASSERT(shim_start == SHIM_BASE, "the shim is entered at its first byte")
    . = START_DATA;
    .bss (NOLOAD) : { *(.bss .bss.*) *(COMMON) }
    ASSERT(SIZEOF(.bss) <= START_DATA_SIZE, "the shim's data leaves too little of its page to the stack")
    /DISCARD/ : { *(.eh_frame) *(.note .note.*) *(.comment) }
}
