#include "vmm/machine/door.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

/* Between two processes of one program; what comes out of the jail is checked all the same. */
struct request {
    uint32_t to, number;
};

struct answer {
    int32_t error; /* errno, or 0: a descriptor comes with it */
};

/* Outside */

static bool answer(int fd, int error, int connection)
{
    struct answer a = {.error = error};
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {{0}};
    struct iovec data = {&a, sizeof a};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};
    if (!error) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(&control.header), &connection, sizeof connection);
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof a;
}

static bool serve(const struct door *door, int fd)
{
    struct request r;
    ssize_t n = recv(fd, &r, sizeof r, MSG_TRUNC);
    if (n < 0 && errno == EINTR)
        return true;
    if (n != (ssize_t)sizeof r)
        return false;
    if (r.to >= DOORS || !door->way[r.to].connect)
        return answer(fd, EACCES, -1);
    CLEAN_FD connection = door->way[r.to].connect(door->way[r.to].context, r.number);
    return answer(fd, connection < 0 ? errno : 0, connection);
}

int door_open(const struct door *door, pid_t *pid, int *fd, struct cofre_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return cofre_fail(err, COFRE_FAILED, "the door of the guest's process: %s", strerror(errno));
    *pid = fork();
    if (*pid == 0) {
        close(pair[1]);
        (void)prctl(PR_SET_NAME, "door");
        while (serve(door, pair[0]))
            continue;
        if (door->shut)
            door->shut(door->context);
        _exit(0);
    }
    close(pair[0]);
    *fd = pair[1];
    if (*pid > 0)
        return 0;
    close(pair[1]);
    return cofre_fail(err, COFRE_FAILED, "the door of the guest's process: %s", strerror(errno));
}

/* Inside */

static struct {
    pthread_mutex_t lock;
    int fd;
} inside = {PTHREAD_MUTEX_INITIALIZER, -1};

void door_use(int fd)
{
    inside.fd = fd;
}

static int receive(int fd)
{
    struct answer a;
    int connection = -1;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control;
    struct iovec data = {&a, sizeof a};
    struct msghdr m = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    while ((n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (n == (ssize_t)sizeof a && c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&connection, CMSG_DATA(c), sizeof connection);
    else
        errno = n == (ssize_t)sizeof a && a.error > 0 ? a.error : ECONNREFUSED;
    return connection;
}

int door_connect(enum door_to to, uint32_t number)
{
    const struct request r = {to, number};
    pthread_mutex_lock(&inside.lock);
    int connection = -1;
    if (send(inside.fd, &r, sizeof r, MSG_NOSIGNAL) == (ssize_t)sizeof r)
        connection = receive(inside.fd);
    int error = errno;
    pthread_mutex_unlock(&inside.lock);
    errno = error;
    return connection;
}
