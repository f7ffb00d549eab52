#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "attest/log/clock.h"
#include "vmm/host/clock/clock.h"

static int ask(struct tpm_clock *out, const char *path, const struct log_state *state, struct cofre_err *err)
{
    CLEAN_TPM tpm = {0};
    uint8_t qualifying[TPM_CLOCK_QUALIFYING_SIZE];
    int rc = log_clock_qualifying(qualifying, state, err);
    if (rc == 0)
        rc = tpm_open(&tpm, path, (struct view){0}, CLOCK_MILLISECONDS, err);
    return rc < 0 ? rc : tpm_clock_attest(out, &tpm, qualifying, err);
}

/* When it is sent, the TPM is closed: whoever ends this process then leaves nothing in it. */
static void answer(int fd, const char *path, const struct clock_question *q)
{
    struct clock_answer a = {.number = q->number};
    struct cofre_err err = {""};
    a.rc = ask(&a.clock, path, &q->state, &err);
    if (a.rc < 0)
        (void)snprintf(a.why, sizeof a.why, "%s", err.text);
    (void)send(fd, &a, sizeof a, MSG_NOSIGNAL);
}

int clock_serve(int fd, const char *tpm, struct cofre_err *err)
{
    for (;;) {
        struct clock_question q;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "waiting for a question to the TPM: %s", strerror(errno));
        const ssize_t len = recv(fd, &q, sizeof q, MSG_DONTWAIT | MSG_TRUNC);
        if (len == 0)
            return 0;
        if (len == sizeof q)
            answer(fd, tpm, &q);
        else if (len > 0 || (errno != EAGAIN && errno != EINTR))
            return cofre_fail(err, COFRE_FAILED, "the decider sends what is no question to the TPM");
    }
}
