/* Where the guest's console goes on this side: descriptors, and the terminal's mode while it runs. */
#ifndef COFRE_MACHINE_CONSOLE_H
#define COFRE_MACHINE_CONSOLE_H

#include <stdbool.h>
#include <termios.h>

#include "vmm/base/error.h"

struct console {
    int in, out;      /* in is -1 without input */
    bool own, own_in; /* to be closed: out, in */
    bool raw;
    struct termios before;
};

/* where is NULL (standard output, or standard error with json, and standard input), "none" or a file, which is emptied; input NULL, or a file
 * that takes standard input's place. Either may be "fd=N" (file_open_named).
 * On a terminal, input goes to the guest as typed, and Ctrl-C stays this program's. */
int console_open(struct console *out, const char *where, const char *input, bool json, struct cofre_err *err);
/* Gives the terminal back as it was. */
void console_close(struct console *console);

#endif
