/*
 * The emulated host's quote generation service. It speaks what Intel's qgsd does today (tdx/qgs.h has the messages
 * and their source): packed structures, not protobuf, one request and one answer a connection. What it does not take
 * apart it does not answer: it closes, as qgsd does. Collateral and platform information it does not have, and says so.
 * The raw form without messages (a bare TDREPORT, a bare quote), which is for guests that reach qgsd themselves, is not
 * offered.
 */
#include "tdx/model/quote_service.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "tdx/model/platform.h"
#include "tdx/qgs.h"
#include "tdx/report.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/number.h"

#define LOG_ROOM "tdx"
#include "vmm/base/log.h"

#define REQUEST_MAX 4092u /* qgsd's buffer, less the length before it */
#define ANSWER_MAX  (64u << 10)

/* Requests that qgsd knows, and the size of an answer that has nothing but an error. */
static const struct {
    uint32_t type;
    uint32_t answer_size;
} requests[] = {
    {QGS_GET_QUOTE_REQ, sizeof(struct qgs_get_quote_resp)},
    {2, 48}, /* GET_COLLATERAL_REQ */
    {4, 28}, /* GET_PLATFORM_INFO_REQ */
};

#define EXIT_WAIT_SECONDS 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tdx_platform *platform; /* opened once; threads only read it */

/* A thread and its end of a socket. */
struct connection {
    int fd;
    struct connection *next;
};
static struct connection *connections;
static pthread_cond_t none_left = PTHREAD_COND_INITIALIZER;

/* OpenSSL takes itself apart at the end of the process: no thread may be within it then. */
static void end_connections(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += EXIT_WAIT_SECONDS; /* a child of fork has the list and not the threads */
    pthread_mutex_lock(&lock);
    for (struct connection *c = connections; c; c = c->next)
        (void)shutdown(c->fd, SHUT_RDWR);
    while (connections && pthread_cond_timedwait(&none_left, &lock, &until) == 0)
        ;
    pthread_mutex_unlock(&lock);
}

/* $COFRE_EMULATED_QUOTE: the version of quotes. */
static int open_platform(struct cofre_err *err)
{
    struct tdx_platform_options options = {0};
    const char *version = getenv("COFRE_EMULATED_QUOTE");
    uint64_t number = 0;
    int rc = version ? number_parse(&number, version, "COFRE_EMULATED_QUOTE", 4, 5, err) : 0;
    options.quote_version = (unsigned)number;
    pthread_mutex_lock(&lock);
    if (rc == 0 && !platform) {
        rc = tdx_platform_open(&platform, NULL, &options, err);
        if (rc == 0)
            (void)atexit(end_connections); /* after OpenSSL's own, and so before it */
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static bool receive(int fd, void *data, size_t len)
{
    return recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static void answer(int fd, const uint8_t *message, size_t len)
{
    uint8_t prefix[QGS_LENGTH_SIZE];
    qgs_length_put(prefix, (uint32_t)len);
    if (send(fd, prefix, sizeof prefix, MSG_NOSIGNAL | MSG_MORE) < 0)
        return; /* the caller is gone */
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, message + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        sent += (size_t)n;
    }
}

static struct qgs_header answer_header(uint32_t request_type, uint32_t size, uint32_t error)
{
    return (struct qgs_header){.major_version = QGS_MAJOR_VERSION,
                               .minor_version = QGS_MINOR_VERSION,
                               .type = request_type + 1,
                               .size = size,
                               .error_code = error};
}

static void answer_error(int fd, uint32_t request_type, uint32_t size)
{
    uint8_t message[64] = {0};
    struct qgs_header header = answer_header(request_type, size, QGS_ERROR_UNEXPECTED);
    memcpy(message, &header, sizeof header);
    answer(fd, message, size);
}

/* The request's TDREPORT, where all its sizes fit. */
static bool report_of(struct tdx_report *report, const uint8_t *message, size_t len)
{
    struct qgs_get_quote_req request;
    struct view view;
    struct cofre_err err;
    if (len < sizeof request)
        return false;
    memcpy(&request, message, sizeof request);
    uint64_t size = (uint64_t)sizeof request + request.report_size + request.id_list_size;
    return request.header.error_code == 0 && size == len &&
           view_sub((struct view){message, len}, sizeof request, request.report_size, &view) &&
           tdx_report_parse(report, view, &err) == 0;
}

static void answer_quote(int fd, const uint8_t *message, size_t len)
{
    struct tdx_report report;
    struct qgs_get_quote_resp response;
    CLEAN_BYTES quote = {0};
    CLEAN_BYTES whole = {0};
    struct cofre_err err = {"the request is not one for a TDREPORT"};
    if (!report_of(&report, message, len) || tdx_platform_quote(platform, &report, &quote, &err) < 0 ||
        bytes_alloc(&whole, sizeof response + quote.len, &err) < 0) {
        log_info("emulated quote service: %s", err.text);
        answer_error(fd, QGS_GET_QUOTE_REQ, sizeof response);
        return;
    }
    response = (struct qgs_get_quote_resp){
        .header = answer_header(QGS_GET_QUOTE_REQ, (uint32_t)whole.len, QGS_SUCCESS),
        .quote_size = (uint32_t)quote.len,
    };
    memcpy(whole.data, &response, sizeof response);
    memcpy(whole.data + sizeof response, quote.data, quote.len);
    answer(fd, whole.data, whole.len);
}

static void serve_message(int fd, const uint8_t *message, size_t len)
{
    struct qgs_header header;
    memcpy(&header, message, sizeof header);
    if (header.major_version != QGS_MAJOR_VERSION || header.size != len)
        return;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (requests[i].type != header.type)
            continue;
        if (header.type == QGS_GET_QUOTE_REQ)
            answer_quote(fd, message, len);
        else
            answer_error(fd, header.type, requests[i].answer_size);
    }
}

static void serve_connection(int fd)
{
    uint8_t prefix[QGS_LENGTH_SIZE], message[REQUEST_MAX];
    if (!receive(fd, prefix, sizeof prefix))
        return;
    uint32_t len = qgs_length_get(prefix);
    if (len >= sizeof(struct qgs_header) && len <= sizeof message && receive(fd, message, len))
        serve_message(fd, message, len);
}

static void *serve(void *argument)
{
    struct connection *connection = argument;
    serve_connection(connection->fd);
    OPENSSL_thread_stop();
    pthread_mutex_lock(&lock);
    struct connection **at = &connections;
    while (*at != connection)
        at = &(*at)->next;
    *at = connection->next;
    if (!connections)
        pthread_cond_broadcast(&none_left);
    pthread_mutex_unlock(&lock);
    close(connection->fd);
    free(connection);
    return NULL;
}

/* The thread owns the connection, unless an error is returned. */
static int start(struct connection *connection)
{
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&lock);
    int error = pthread_create(&thread, &detached, serve, connection);
    if (!error) {
        connection->next = connections;
        connections = connection;
    }
    pthread_mutex_unlock(&lock);
    pthread_attr_destroy(&detached);
    return error;
}

int tdx_quote_service_connect(struct cofre_err *err)
{
    int ends[2];
    if (open_platform(err) < 0)
        return -1;
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        (void)cofre_fail(err, COFRE_FAILED, "emulated quote service: no socket: %m");
        free(connection);
        return -1;
    }
    connection->fd = ends[0];
    CLEAN_FD theirs = ends[1];
    (void)fcntl(theirs, F_SETFL, O_RDWR | O_NONBLOCK);
    int error = start(connection);
    if (error) {
        (void)cofre_fail(err, COFRE_FAILED, "emulated quote service: no thread: %s", strerror(error));
        close(connection->fd);
        free(connection);
        return -1;
    }
    return TAKE_FD(theirs);
}
