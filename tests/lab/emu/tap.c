#include "tests/lab/emu/tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/emu/guest.h"

static int tests, failures;

void result(bool right, const char *what)
{
    printf("%sok %d - %s\n", right ? "" : "not ", ++tests, what);
    failures += !right;
}

void give_up(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

int must(int rc, const char *what)
{
    if (rc < 0)
        give_up(what);
    return rc;
}

void on_io(struct kvm_run *run)
{
    static uint8_t port;
    static char line[200];
    static size_t len;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    if (run->io.port == GUEST_PORT && run->io.direction == KVM_EXIT_IO_OUT)
        port = *data;
    else if (run->io.port == GUEST_PORT)
        *data = port;
    if (run->io.port != GUEST_LOG_PORT)
        return;
    if (*data != '\n' && len < sizeof(line) - 1) {
        line[len++] = (char)*data;
        return;
    }
    line[len] = 0;
    len = 0;
    if (strncmp(line, "ok ", 3) == 0)
        result(true, line + 3);
    else if (strncmp(line, "not ok ", 7) == 0)
        result(false, line + 7);
}

void tap_end(void)
{
    printf("1..%d\n", tests);
    fflush(stdout);
    _exit(failures != 0);
}
