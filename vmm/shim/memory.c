#include "vmm/shim/memory.h"

#include "vmm/shim/start.h"

#define GIB       (1ull << 30)
#define LEAF_2M   0x83ull /* present, writable, large */
#define TABLE     0x03ull
#define PAGE_SIZE 0x1000ull

/* High RAM is never mapped as a whole: one GiB at a time is seen here while it is accepted, so that the tables' size
 * does not depend on the memory's. */
#define WINDOW_VA (4 * GIB)

static uint64_t *const pdpt = (uint64_t *)START_PDPT;
static uint64_t *own_pd(unsigned i)
{
    return (uint64_t *)(SHIM_OWN + i * PAGE_SIZE);
}

static void fill(uint64_t *pd, uint64_t gpa, uint64_t mask, unsigned count)
{
    for (unsigned i = 0; i < 512; i++)
        pd[i] = i < count ? (gpa + i * RAM_STEP) | LEAF_2M | mask : 0;
}

static void flush(void)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"((uint64_t)START_PML4) : "memory");
}

static void accept_small(const struct shim_tee *tee, uint64_t gpa, uint64_t va, uint64_t size)
{
    for (uint64_t i = 0; i < size; i += PAGE_SIZE)
        if (tee->accept(gpa + i, (void *)(va + i), false) != ACCEPT_DONE)
            shim_terminate(SHIM_TERM_ACCEPT);
}

static void accept_large(const struct shim_tee *tee, uint64_t gpa, uint64_t va, uint64_t size)
{
    for (uint64_t i = 0; i < size; i += RAM_STEP)
        switch (tee->accept(gpa + i, (void *)(va + i), true)) {
        case ACCEPT_DONE:
            break;
        case ACCEPT_SMALLER:
            accept_small(tee, gpa + i, va + i, RAM_STEP);
            break;
        default:
            shim_terminate(SHIM_TERM_ACCEPT);
        }
}

void memory_map(const struct shim_tee *tee)
{
    if (tee->accept)
        accept_small(tee, SHIM_OWN, SHIM_OWN, SHIM_END - SHIM_OWN);
    fill(own_pd(0), 1 * GIB, shim_private_mask, 512);
    fill(own_pd(1), 2 * GIB, shim_private_mask, 512);
    fill(own_pd(2), STAGING_BASE, shim_shared_mask, (SHIM_GHCB + PAGE_SIZE - STAGING_BASE) / RAM_STEP);
    fill(own_pd(3), 0, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        pdpt[1 + i] = (uintptr_t)own_pd(i) | TABLE | shim_private_mask;
    flush();
}

void memory_accept_first(const struct shim_tee *tee)
{
    if (tee->accept)
        accept_small(tee, 0, 0, SHIM_BASE);
}

void memory_accept(const struct shim_tee *tee, uint64_t start, uint64_t end)
{
    if (!tee->accept || start >= end)
        return;
    if (end <= RAM_LOW_END) {
        accept_large(tee, start, start, end - start);
        return;
    }
    for (uint64_t at = start; at < end; at += GIB) {
        uint64_t left = end - at, part = left < GIB ? left : GIB;
        fill(own_pd(3), at, shim_private_mask, (unsigned)(part / RAM_STEP));
        flush();
        accept_large(tee, at, WINDOW_VA, part);
    }
    fill(own_pd(3), 0, 0, 0);
    flush();
}
