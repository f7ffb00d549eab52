/* Where the hostile guest's things lie. For assembler and linker script too. */
#ifndef COFRE_TESTS_LAB_HOSTILE_PLACE_H
#define COFRE_TESTS_LAB_HOSTILE_PLACE_H

#define SETUP_SIZE   0x400
#define LOAD_ADDRESS 0x1000000
#define IMAGE_SIZE   0x100000     /* with all that is zero */
#define MEMORY_SIZE  0x8000000ull /* of the guest: --memory 128M */
/* What driver and devices share. It lies behind what the shim accepts (vmm/shim/linux.h), so nothing need be taken back. */
#define SHARED_GPA  0x7000000ull
#define SHARED_SIZE 0x100000ull
/* Of the first GiB there is a second view, which is shared. */
#define SHARED_VIEW 0x40000000ull

#endif
