#include "vmm/host/hands/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DESCRIPTORS 64 /* that there is room for in a message; a sender of ours has fewer */

union control {
    struct cmsghdr header; /* for its alignment */
    char room[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
};

int channel_send(int socket, const void *data, size_t size, const int *fds, unsigned count)
{
    union control control;
    struct iovec iov = {(void *)data, size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > DESCRIPTORS) {
        errno = EINVAL;
        return -1;
    }
    if (count) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    ssize_t n;
    while ((n = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 && errno == EINTR)
        continue;
    return n < 0 ? -1 : 0;
}

static void take_one(int fd, int *fds, unsigned *count, unsigned max, unsigned *more)
{
    if (*count < max) {
        fds[(*count)++] = fd;
        return;
    }
    close(fd);
    (*more)++;
}

static unsigned take(struct msghdr *message, int *fds, unsigned *count, unsigned max)
{
    unsigned more = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            take_one(fd, fds, count, max, &more);
        }
    }
    return more;
}

ssize_t channel_receive(int socket, void *out, size_t size, int *fds, unsigned *count, unsigned max)
{
    union control control;
    struct iovec iov = {out, size};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    *count = 0;
    ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return -1;
    unsigned more = take(&message, fds, count, max);
    if (n > 0 && !more && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return n;
    while (*count)
        close(fds[--*count]);
    errno = n == 0 ? ECONNRESET : EMSGSIZE;
    return -1;
}
