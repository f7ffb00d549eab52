#include "vmm/tpm/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"

#define MAGIC       0x434f46524554504dULL /* "COFRETPM" */
#define ANSWER_MAX  4096                  /* as the kernel has it */
#define HEADER_SIZE 10                    /* tag, size of the whole, code: TPM 2.0 part 1, 18 */

struct tpm_link {
    TSS2_TCTI_CONTEXT_COMMON_V2 common; /* what tpm2-tss sees; first */
    int fd;
    bool socket;
    unsigned milliseconds;
    int64_t end;
    size_t have; /* bytes of the answer that is being had */
    uint8_t answer[ANSWER_MAX];
    char why[160]; /* empty while it is good */
};

static int64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* Nothing goes over it any more: what comes late would be taken for another answer. */
static TSS2_RC give_up(struct tpm_link *link, const char *why)
{
    (void)snprintf(link->why, sizeof link->why, "%s", why);
    return TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC give_up_waiting(struct tpm_link *link)
{
    (void)snprintf(link->why, sizeof link->why, "has not answered within %u milliseconds",
                   link->milliseconds);
    return TSS2_TCTI_RC_IO_ERROR;
}

/* What is there by the end counts, however late this looks. */
static TSS2_RC wait_for(struct tpm_link *link, short events)
{
    for (;;) {
        struct pollfd p = {.fd = link->fd, .events = events};
        const int64_t left = link->end - now();
        const int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n > 0)
            return TSS2_RC_SUCCESS;
        if (n == 0)
            return give_up_waiting(link);
        if (errno != EINTR)
            return give_up(link, strerror(errno));
    }
}

static bool again(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Who ends the connection at a socket would end this process by a signal. */
static ssize_t put(const struct tpm_link *link, const uint8_t *data, size_t len)
{
    return link->socket ? send(link->fd, data, len, MSG_NOSIGNAL) : write(link->fd, data, len);
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
    struct tpm_link *link = (struct tpm_link *)context;
    TSS2_RC rc = *link->why ? TSS2_TCTI_RC_IO_ERROR : TSS2_RC_SUCCESS;
    while (rc == TSS2_RC_SUCCESS && size) {
        rc = wait_for(link, POLLOUT);
        const ssize_t n = rc == TSS2_RC_SUCCESS ? put(link, command, size) : 0;
        if (n < 0 && !again())
            return give_up(link, "ended without an answer");
        if (n > 0) {
            command += n;
            size -= (size_t)n;
        }
    }
    return rc;
}

/* The size of the whole answer, by its first bytes. */
static size_t answer_size(const uint8_t *response)
{
    return (size_t)response[2] << 24 | (size_t)response[3] << 16 | (size_t)response[4] << 8 |
           (size_t)response[5];
}

/* Nothing is asked before the last answer was had, so whatever comes belongs to this one. */
static TSS2_RC read_answer(struct tpm_link *link)
{
    size_t whole = HEADER_SIZE;
    while (link->have < whole) {
        TSS2_RC rc = *link->why ? TSS2_TCTI_RC_IO_ERROR : wait_for(link, POLLIN);
        if (rc != TSS2_RC_SUCCESS)
            return rc;
        const ssize_t n = read(link->fd, link->answer + link->have, sizeof link->answer - link->have);
        if (n < 0 && again())
            continue;
        if (n <= 0)
            return give_up(link, link->have ? "ended in the middle of an answer" : "ended without an answer");
        link->have += (size_t)n;
        if (link->have >= HEADER_SIZE)
            whole = answer_size(link->answer);
        if (link->have >= HEADER_SIZE && (whole < link->have || whole > sizeof link->answer))
            return give_up(link, "gives an answer whose size is not what it says");
    }
    return TSS2_RC_SUCCESS;
}

/* Without a place for it, its size; it stays to be had. There is a limit of our own in place of the timeout. */
static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
    struct tpm_link *link = (struct tpm_link *)context;
    const size_t room = *size;
    (void)timeout;
    TSS2_RC rc = read_answer(link);
    if (rc != TSS2_RC_SUCCESS)
        return rc;
    *size = link->have;
    if (!response)
        return TSS2_RC_SUCCESS;
    if (room < link->have)
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    memcpy(response, link->answer, link->have);
    link->have = 0;
    return TSS2_RC_SUCCESS;
}

/* What is under way is given up by closing. */
static TSS2_RC cancel(TSS2_TCTI_CONTEXT *context)
{
    (void)context;
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static void finalize(TSS2_TCTI_CONTEXT *context)
{
    (void)context; /* tpm_link_close */
}

static bool is_socket(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Another file would take what was written as if it were a TPM. */
static bool is_device(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode);
}

int tpm_link_open(struct tpm_link **out, const char *path, unsigned milliseconds, struct cofre_err *err)
{
    const bool at_socket = is_socket(path);
    CLEAN_FD fd = at_socket ? unix_connect(path) : open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING, "the TPM %s cannot be opened: %s", path, strerror(errno));
    if (!at_socket && !is_device(fd))
        return cofre_fail(err, COFRE_USAGE, "the TPM %s is neither a device nor a socket", path);
    struct tpm_link *link = calloc(1, sizeof *link);
    if (!link)
        return cofre_fail(err, COFRE_FAILED, "the TPM %s: out of memory", path);
    *link = (struct tpm_link){
        .common = {.v1 = {MAGIC, 2, transmit, receive, finalize, cancel, NULL, NULL}, .makeSticky = NULL},
        .fd = TAKE_FD(fd),
        .socket = at_socket,
        .milliseconds = milliseconds,
        .end = now() + milliseconds};
    *out = link;
    return 0;
}

void tpm_link_close(struct tpm_link *link)
{
    if (!link)
        return;
    close(link->fd);
    free(link);
}

TSS2_TCTI_CONTEXT *tpm_link_tcti(struct tpm_link *link)
{
    return (TSS2_TCTI_CONTEXT *)&link->common;
}

const char *tpm_link_why(const struct tpm_link *link)
{
    return *link->why ? link->why : NULL;
}
