#include "vmm/host/front/pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(PAIR_DESCRIPTORS_MAX * sizeof(int))];
};

int pair_send(int to, struct view message, const int *fd, size_t count)
{
    union control control = {0};
    struct iovec piece = {(void *)message.data, message.len};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    if (count) {
        header.msg_control = control.room;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(rights), fd, count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(to, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static size_t take(struct msghdr *header, int got[PAIR_DESCRIPTORS_MAX])
{
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here && count < PAIR_DESCRIPTORS_MAX; i++) /* there is room for no more */
            memcpy(&got[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return count;
}

ssize_t pair_receive(int from, void *out, size_t room, int *fd, size_t count)
{
    union control control;
    struct iovec piece = {out, room};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    int got[PAIR_DESCRIPTORS_MAX];
    ssize_t len;
    do {
        header.msg_control =
            count ? control.room : NULL; /* without room the kernel keeps what was sent along */
        header.msg_controllen = count ? sizeof control.room : 0;
        len = recvmsg(from, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (len < 0 && errno == EINTR);
    if (len < 0)
        return -errno;
    const size_t taken = take(&header, got);
    const bool good = taken <= count && !(header.msg_flags & (MSG_TRUNC | (count ? MSG_CTRUNC : 0)));
    for (size_t i = 0; i < count; i++)
        fd[i] = good && i < taken ? got[i] : -1;
    for (size_t i = 0; !good && i < taken; i++)
        close(got[i]);
    return good ? len : -EBADMSG;
}
