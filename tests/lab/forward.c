/*
 * What a host does for a guest that reaches a service by vsock: forward SOCKET FILE listens at the unix socket, and carries each
 * connection to the address that stands in the file then, so that a test can lead the next one elsewhere. All that goes by is in the file
 * SOCKET.wire besides, for who looks for what should not.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/channel/address.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/unix_socket.h"

static int failed(const char *what)
{
    fprintf(stderr, "forward: %s: %s\n", what, strerror(errno));
    return 1;
}

static void carry(int here, int there, int wire)
{
    struct pollfd ends[] = {{here, POLLIN, 0}, {there, POLLIN, 0}};
    char piece[16384];
    for (;;) {
        if (poll(ends, 2, -1) < 0)
            return;
        for (int i = 0; i < 2; i++) {
            ssize_t n = ends[i].revents ? read(ends[i].fd, piece, sizeof piece) : 0;
            if (ends[i].revents && n <= 0)
                return;
            if (n > 0 && (write(wire, piece, (size_t)n) != n ||
                          send(ends[!i].fd, piece, (size_t)n, MSG_NOSIGNAL) != n))
                return;
        }
    }
}

static int connect_to(const char *file, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    char address[64];
    int rc = file_read(&text, file, sizeof address - 1, err);
    (void)snprintf(address, sizeof address, "%.*s", (int)text.len, (const char *)text.data);
    address[strcspn(address, "\n")] = '\0';
    return rc < 0 ? rc : address_connect(address, false, 10, err);
}

static void serve_one(int here, const char *file, int wire)
{
    struct cofre_err err;
    CLEAN_FD there = connect_to(file, &err);
    if (there < 0)
        fprintf(stderr, "forward: %s\n", err.text);
    else
        carry(here, there, wire);
}

int main(int argc, char **argv)
{
    struct sockaddr_un at;
    char path[256];
    if (argc != 3 || !unix_address(&at, argv[1]))
        return 2;
    (void)snprintf(path, sizeof path, "%s.wire", argv[1]);
    int wire = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    (void)unlink(argv[1]); /* another test's */
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (wire < 0 || listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(listener, 8) < 0)
        return failed(argv[1]);
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        CLEAN_FD here = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (here >= 0 && fork() == 0) {
            serve_one(here, argv[2], wire);
            _exit(0);
        }
    }
}
