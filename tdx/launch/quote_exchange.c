#include "tdx/launch/quote_exchange.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE_FIRST_MS 10
#define PAUSE_MAX_MS   1000
#define DROPPED_MAX    3 /* a service that falls over this TDREPORT is not asked for ever */

bool quote_request_is_one(const struct quote_request *request)
{
    const struct qgs_get_quote_req *m = &request->message;
    const uint32_t length = sizeof *request - QGS_LENGTH_SIZE;
    return qgs_length_get(request->length) == length && m->header.major_version == QGS_MAJOR_VERSION &&
           m->header.type == QGS_GET_QUOTE_REQ && m->header.size == length && m->header.error_code == 0 &&
           m->report_size == TDX_REPORT_SIZE && m->id_list_size == 0;
}

int quote_exchange_start(struct quote_exchange *x, const struct kvm_backend *backend, const char *address,
                         const uint8_t report[TDX_REPORT_SIZE], size_t quote_max, int64_t now,
                         int64_t deadline, struct cofre_err *err)
{
    *x = (struct quote_exchange){
        .backend = backend,
        .address = address,
        .request.message = {.header = {.major_version = QGS_MAJOR_VERSION,
                                       .minor_version = QGS_MINOR_VERSION,
                                       .type = QGS_GET_QUOTE_REQ,
                                       .size = sizeof x->request - QGS_LENGTH_SIZE},
                            .report_size = TDX_REPORT_SIZE},
        .fd = -1,
        .deadline = deadline,
        .retry_at = now,
        .pause = PAUSE_FIRST_MS,
        .status = TDX_QUOTE_IN_FLIGHT,
    };
    qgs_length_put(x->request.length, sizeof x->request - QGS_LENGTH_SIZE);
    memcpy(x->request.report, report, TDX_REPORT_SIZE);
    if (quote_max > TDX_QUOTE_MAX)
        quote_max = TDX_QUOTE_MAX;
    return bytes_alloc(&x->answer, QGS_ANSWER_HEAD + quote_max, err);
}

int64_t quote_exchange_wait(const struct quote_exchange *x, struct pollfd *fd)
{
    *fd = (struct pollfd){.fd = x->fd, .events = x->sent < sizeof x->request ? POLLOUT : POLLIN};
    return x->fd < 0 && x->retry_at < x->deadline ? x->retry_at : x->deadline;
}

static void hang_up(struct quote_exchange *x)
{
    if (x->fd >= 0)
        close(x->fd);
    x->fd = -1;
}

static void over(struct quote_exchange *x, uint64_t status)
{
    hang_up(x);
    x->status = status;
}

static void try_later(struct quote_exchange *x, int64_t now)
{
    hang_up(x);
    x->retry_at = now + x->pause;
    x->pause = 2 * x->pause < PAUSE_MAX_MS ? 2 * x->pause : PAUSE_MAX_MS;
}

/* The connection is gone: the service restarts, or it could not bear the request. */
static void dropped(struct quote_exchange *x, int64_t now, const char *why, struct cofre_err *err)
{
    (void)cofre_fail(err, COFRE_FAILED,
                     "the quote generation service ended the connection %s: %s; it was asked %u times",
                     x->received ? "in the middle of its answer" : "without an answer", why, x->dropped + 1);
    if (++x->dropped == DROPPED_MAX)
        over(x, TDX_QUOTE_SERVICE_UNAVAILABLE);
    else
        try_later(x, now);
}

static void unreachable(struct quote_exchange *x, int64_t now, int error, struct cofre_err *err)
{
    (void)cofre_fail(err, COFRE_LACKING,
                     "the quote generation service at %s cannot be reached: %s; is qgsd running?",
                     x->address ? x->address : KVM_QUOTE_SERVICE, strerror(error));
    if (error == EINVAL) /* no address at all */
        over(x, TDX_QUOTE_SERVICE_UNAVAILABLE);
    else
        try_later(x, now);
}

/* False: not now. */
static bool connect_again(struct quote_exchange *x, int64_t now, struct cofre_err *err)
{
    if (now < x->retry_at)
        return false;
    x->sent = x->received = 0;
    x->expected = QGS_LENGTH_SIZE;
    x->fd = x->backend->quote_service(x->address);
    if (x->fd < 0)
        unreachable(x, now, errno, err);
    return x->fd >= 0;
}

static bool would_wait(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* A vsock connects while we wait: until it has, or has failed, it is no connection. */
static void look_at_connection(struct quote_exchange *x, int64_t now, struct cofre_err *err)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
        unreachable(x, now, error ? error : errno, err);
}

/* Whole where the socket has room, as it has: the service copes badly with a request in pieces. */
static bool send_some(struct quote_exchange *x, int64_t now, struct cofre_err *err)
{
    ssize_t n = send(x->fd, (const uint8_t *)&x->request + x->sent, sizeof x->request - x->sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == ENOTCONN)
        look_at_connection(x, now, err);
    else if (n < 0 && !would_wait())
        dropped(x, now, strerror(errno), err);
    if (n < 0)
        return false;
    x->sent += (size_t)n;
    return true;
}

static bool receive_some(struct quote_exchange *x, int64_t now, struct cofre_err *err)
{
    ssize_t n = recv(x->fd, x->answer.data + x->received, x->expected - x->received, MSG_DONTWAIT);
    if (n < 0 && would_wait())
        return false;
    if (n <= 0) {
        dropped(x, now, n < 0 ? strerror(errno) : "closed", err);
        return false;
    }
    x->received += (size_t)n;
    return true;
}

static int check_length(const struct quote_exchange *x, uint32_t length, struct cofre_err *err)
{
    const size_t least = sizeof(struct qgs_get_quote_resp), most = x->answer.len - QGS_LENGTH_SIZE;
    if (length < least || length > most)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the quote generation service announces an answer of %u bytes, where %zu to %zu "
                          "are acceptable",
                          length, least, most);
    return 0;
}

static const char *error_name(uint32_t code)
{
    static const char *const names[] = {
        [QGS_ERROR_UNEXPECTED & 7] = "unexpected error; its log says more",
        [QGS_ERROR_OUT_OF_MEMORY & 7] = "out of memory",
        [QGS_ERROR_INVALID_PARAMETER & 7] = "invalid parameter",
        [QGS_ERROR_INVALID_VERSION & 7] = "invalid version",
        [QGS_ERROR_INVALID_TYPE & 7] = "invalid message type",
        [QGS_ERROR_INVALID_SIZE & 7] = "invalid message size",
        [QGS_ERROR_INVALID_CODE & 7] = "invalid error code",
    };
    return code >= QGS_ERROR_UNEXPECTED && code <= QGS_ERROR_INVALID_CODE ? names[code & 7]
                                                                          : "of its quoting library";
}

static int check_answer(const struct qgs_get_quote_resp *a, uint32_t length, struct cofre_err *err)
{
    static const char who[] = "the quote generation service";
    if (a->header.major_version != QGS_MAJOR_VERSION)
        return cofre_fail(err, COFRE_MALFORMED, "%s answers in version %u.%u, where 1 is known here", who,
                          a->header.major_version, a->header.minor_version);
    if (a->header.type != QGS_GET_QUOTE_RESP)
        return cofre_fail(err, COFRE_MALFORMED, "%s answers with a message of type %u, not a quote", who,
                          a->header.type);
    if (a->header.error_code != QGS_SUCCESS)
        return cofre_fail(err, COFRE_FAILED, "%s refuses with error 0x%x (%s)", who, a->header.error_code,
                          error_name(a->header.error_code));
    if (a->header.size != length || a->selected_id_size != 0 || a->quote_size == 0 ||
        a->quote_size != length - sizeof *a)
        return cofre_fail(err, COFRE_MALFORMED,
                          "%s answers with sizes that contradict each other: %u bytes, of them %u for a key "
                          "and %u for a quote, in a message of %u",
                          who, a->header.size, a->selected_id_size, a->quote_size, length);
    return 0;
}

static struct qgs_get_quote_resp answer_of(const struct quote_exchange *x)
{
    struct qgs_get_quote_resp answer;
    memcpy(&answer, x->answer.data + QGS_LENGTH_SIZE, sizeof answer);
    return answer;
}

/* What was expected is there: the length, or all of the answer. */
static void take(struct quote_exchange *x, struct cofre_err *err)
{
    const uint32_t length = qgs_length_get(x->answer.data);
    if (x->expected == QGS_LENGTH_SIZE) {
        if (check_length(x, length, err) < 0)
            over(x, TDX_QUOTE_ERROR);
        else
            x->expected += length;
        return;
    }
    const struct qgs_get_quote_resp answer = answer_of(x);
    over(x, check_answer(&answer, length, err) < 0 ? TDX_QUOTE_ERROR : TDX_QUOTE_SUCCESS);
}

/* One step; false when it has to wait. */
static bool step(struct quote_exchange *x, int64_t now, struct cofre_err *err)
{
    if (x->fd < 0)
        return connect_again(x, now, err);
    if (x->sent < sizeof x->request)
        return send_some(x, now, err);
    if (!receive_some(x, now, err))
        return false;
    if (x->received == x->expected)
        take(x, err);
    return true;
}

bool quote_exchange_advance(struct quote_exchange *x, int64_t now, struct cofre_err *err)
{
    while (x->status == TDX_QUOTE_IN_FLIGHT && step(x, now, err))
        continue;
    if (x->status == TDX_QUOTE_IN_FLIGHT && now >= x->deadline) {
        if (x->fd >= 0)
            (void)cofre_fail(err, COFRE_FAILED, "the quote generation service did not answer in time");
        over(x, TDX_QUOTE_SERVICE_UNAVAILABLE);
    }
    return x->status != TDX_QUOTE_IN_FLIGHT;
}

struct view quote_exchange_answer(const struct quote_exchange *x)
{
    const struct view none = {NULL, 0};
    return x->status == TDX_QUOTE_SUCCESS ? (struct view){x->answer.data, x->received} : none;
}

struct view quote_exchange_quote(const struct quote_exchange *x)
{
    const struct view answer = quote_exchange_answer(x);
    return answer.len ? (struct view){answer.data + QGS_ANSWER_HEAD, answer.len - QGS_ANSWER_HEAD} : answer;
}

void quote_exchange_end(struct quote_exchange *x)
{
    hang_up(x);
    bytes_free(&x->answer);
}
