/*
 * The staging window's memory: kernel, initrd and command line, each from a page on, as the shim finds them. Files are mapped
 * and not copied; what the guest writes there, it writes to its own copy. A file that changes meanwhile is told by the
 * shim of a confidential guest from the one that was measured; one that is cut off ends the process that reads it.
 */
#ifndef COFRE_MACHINE_WINDOW_H
#define COFRE_MACHINE_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/bytes.h"

struct window {
    uint8_t *host; /* of mmap(2) */
    size_t size;   /* whole pages */
    struct view kernel, initrd, cmdline;
};

/* initrd may be NULL. COFRE_USAGE where they do not all fit. window_close in any case. */
int window_open(struct window *out, const char *kernel, const char *initrd, struct view cmdline,
                struct cofre_err *err);
void window_close(struct window *window);

#endif
