/* The staging window for tests whose kernel, initrd and command line are in memory. */
#ifndef COFRE_TESTS_STAGED_H
#define COFRE_TESTS_STAGED_H

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/machine/boot.h"

/* window holds layout->size zeroed bytes. */
static inline void staged_fill(const struct boot_config *config, const struct boot_staging *layout,
                               uint8_t *window)
{
    const struct {
        struct view item;
        uint32_t at;
    } items[] = {{config->kernel, layout->kernel},
                 {config->initrd, layout->initrd},
                 {config->cmdline, layout->cmdline}};
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        if (items[i].item.len)
            memcpy(window + items[i].at, items[i].item.data, items[i].item.len);
}

/* A window of its own, which a machine's memory unmaps; NULL if the items are none that can be staged. */
static inline uint8_t *staged_window(const struct boot_config *config)
{
    struct boot_staging layout;
    struct cofre_err err;
    if (boot_staging_layout(config, &layout, &err))
        return NULL;
    void *window = mmap(NULL, layout.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (window == MAP_FAILED)
        return NULL;
    staged_fill(config, &layout, window);
    return window;
}

#endif
