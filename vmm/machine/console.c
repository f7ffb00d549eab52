#include "vmm/machine/console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void take_terminal(struct console *console)
{
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &console->before) < 0)
        return;
    struct termios mode = console->before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_iflag &= ~(tcflag_t)ICRNL;
    console->raw = tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0;
}

int console_open(struct console *out, const char *where, bool json, struct cofre_err *err)
{
    *out = (struct console){.in = -1, .out = json ? STDERR_FILENO : STDOUT_FILENO};
    if (!where) {
        out->in = STDIN_FILENO;
        take_terminal(out);
        return 0;
    }
    const char *path = strcmp(where, "none") == 0 ? "/dev/null" : where;
    out->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    out->own = out->out >= 0;
    return out->own ? 0 : cofre_fail(err, COFRE_USAGE, "--console %s: %s", where, strerror(errno));
}

void console_close(struct console *console)
{
    if (console->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &console->before);
    if (console->own)
        close(console->out);
    console->raw = console->own = false;
}
