/*
 * Memory of whoever calls the emulated KVM. An address that was given may have nothing, or be of the emulation's own: it is
 * reached through the kernel, which looks first, as copy_from_user and copy_to_user do. 0 or -EFAULT, with an unknown part of
 * it done.
 */
#ifndef COFRE_EMU_CALLER_H
#define COFRE_EMU_CALLER_H

#include <stddef.h>
#include <stdint.h>

int caller_read(void *out, const void *theirs, size_t len);
int caller_write(void *theirs, const void *data, size_t len);

/* An address of the caller's, with an offset into what should be there. */
static inline void *caller_at(uint64_t address, size_t offset)
{
    return (void *)((uintptr_t)address + offset);
}
#define CALLER_AT(pointer, member) caller_at((uintptr_t)(pointer), offsetof(__typeof__(*(pointer)), member))

#endif
