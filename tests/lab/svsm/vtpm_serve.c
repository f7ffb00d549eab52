/*
 * The vTPM beside its SVSM, for tests: a static program that may make no system call but what the SVSM serves, and what a socket
 * takes.
 *
 *   vtpm-serve SOCKET EK   starts it, writes its endorsement key's public area to the file EK, and answers whoever connects, one after
 *                          the other
 *   vtpm-serve --ask SOCKET   passes commands on from standard input, and responses to standard output (tpm2-tss's TCTI "cmd")
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lab/svsm/vtpm.h"

#define HEADER 10

/* One command or response; 0: the other end is gone, or says a size that none has. */
static size_t take(int from, uint8_t *message)
{
    size_t have = 0, whole = HEADER;
    while (have < whole) {
        const ssize_t n = read(from, message + have, whole - have);
        if (n <= 0)
            return 0;
        have += (size_t)n;
        if (have == HEADER)
            whole = (size_t)message[2] << 24 | message[3] << 16 | message[4] << 8 | message[5];
        if (whole < HEADER || whole > VTPM_COMMAND_MAX)
            return 0;
    }
    return have;
}

static bool put(int to, const uint8_t *message, size_t len)
{
    return write(to, message, len) == (ssize_t)len;
}

static int ask(int tpm)
{
    uint8_t message[VTPM_COMMAND_MAX];
    for (size_t len; (len = take(STDIN_FILENO, message));)
        if (!put(tpm, message, len) || !(len = take(tpm, message)) || !put(STDOUT_FILENO, message, len))
            return 1;
    return 0;
}

static void answer(int client)
{
    uint8_t message[VTPM_COMMAND_MAX];
    for (size_t len; (len = take(client, message));)
        if (!(len = vtpm_command(0, message, len, message, sizeof message)) || !put(client, message, len))
            return;
}

/* The calls that calls.c serves, answered as there, and a connection's: there are no files, and memory comes from the heap alone. */
static int confine(int listening)
{
    static const struct {
        uint32_t action;
        int call;
    } rules[] = {
        {SCMP_ACT_ALLOW, SCMP_SYS(brk)},
        {SCMP_ACT_ALLOW, SCMP_SYS(mprotect)},
        {SCMP_ACT_ALLOW, SCMP_SYS(futex)},
        {SCMP_ACT_ALLOW, SCMP_SYS(getrandom)},
        {SCMP_ACT_ALLOW, SCMP_SYS(clock_gettime)},
        {SCMP_ACT_ALLOW, SCMP_SYS(getpid)},
        {SCMP_ACT_ERRNO(ENOMEM), SCMP_SYS(mmap)},
        {SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(open)},
        {SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(openat)},
        {SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(stat)},
        {SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(newfstatat)},
        {SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(access)},
        {SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(readlink)},
        {SCMP_ACT_ALLOW, SCMP_SYS(read)},
        {SCMP_ACT_ALLOW, SCMP_SYS(write)},
        {SCMP_ACT_ALLOW, SCMP_SYS(close)},
    };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = filter ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < sizeof rules / sizeof *rules; i++)
        rc = seccomp_rule_add(filter, rules[i].action, rules[i].call, 0);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(accept), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)listening));
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

static int serve(int listening, int ek_file)
{
    uint8_t ek[256];
    if (confine(listening) < 0 || vtpm_start() < 0)
        return 1;
    const size_t len = vtpm_ek_public(ek, sizeof ek);
    if (!len || !put(ek_file, ek, len))
        return 1;
    close(ek_file);
    for (int client; (client = accept(listening, NULL, NULL)) >= 0; close(client))
        answer(client);
    return 1;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const bool asks = argc == 3 && strcmp(argv[1], "--ask") == 0;
    if (argc != 3 || strlen(argv[asks ? 2 : 1]) >= sizeof address.sun_path) {
        (void)fprintf(stderr, "usage: vtpm-serve SOCKET EK | --ask SOCKET\n");
        return 2;
    }
    strcpy(address.sun_path, argv[asks ? 2 : 1]);
    (void)signal(SIGPIPE, SIG_IGN);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (asks)
        return connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? 1 : ask(fd);
    const int ek_file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (ek_file < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4) < 0)
        return 1;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    return serve(fd, ek_file);
}
