#include "vmm/machine/console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/file.h"

static void take_terminal(struct console *console)
{
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &console->before) < 0)
        return;
    struct termios mode = console->before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_iflag &= ~(tcflag_t)ICRNL;
    console->raw = tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0;
}

int console_open(struct console *out, const char *where, const char *input, bool json, struct cofre_err *err)
{
    *out = (struct console){.in = -1, .out = json ? STDERR_FILENO : STDOUT_FILENO};
    if (input) {
        out->in = file_open_named(input, O_RDONLY | O_NOCTTY, 0);
        out->own_in = out->in >= 0;
        if (!out->own_in)
            return cofre_fail(err, COFRE_USAGE, "--console-input %s: %s", input, strerror(errno));
    } else if (!where) {
        out->in = STDIN_FILENO;
        take_terminal(out);
    }
    if (!where)
        return 0;
    const char *path = strcmp(where, "none") == 0 ? "/dev/null" : where;
    out->out = file_open_named(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    out->own = out->out >= 0;
    return out->own ? 0 : cofre_fail(err, COFRE_USAGE, "--console %s: %s", where, strerror(errno));
}

void console_close(struct console *console)
{
    if (console->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &console->before);
    if (console->own)
        close(console->out);
    if (console->own_in)
        close(console->in);
    console->raw = console->own = console->own_in = false;
}
