#include "tests/unit/tdx/service_double.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define REQUEST_SIZE    (4 + 24 + 1024)
#define ANSWER_MAX      (4 + 24 + 0x40000)

static struct {
    pthread_mutex_t lock;
    pthread_t thread[CONNECTIONS_MAX];
    unsigned connections;
    int refuse_error;
    unsigned refuse_times;
    uint8_t killed[65536]; /* by seed */
} service = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint32_t double_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

uint32_t double_quote(uint8_t *out, const struct double_order *order)
{
    uint32_t state = order->seed, len = 1 + double_random(&state) % order->room;
    for (uint32_t i = 0; i < len; i++)
        out[i] = (uint8_t)double_random(&state);
    return len;
}

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static void put_length(uint8_t *p, uint32_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

/* length | major 1, minor 1 | type 1 | size | error | id size | quote size | quote */
static uint32_t make_answer(uint8_t *out, uint32_t quote_len)
{
    const uint32_t size = 24 + quote_len;
    put_length(out, size);
    put32(out + 4, 0x00010001);
    put32(out + 8, 1);
    put32(out + 12, size);
    put32(out + 16, 0);
    put32(out + 20, 0);
    put32(out + 24, quote_len);
    return 4 + size;
}

static bool receive_all(int fd, uint8_t *out, size_t len)
{
    while (len) {
        ssize_t n = recv(fd, out, len, 0);
        if (n <= 0)
            return false;
        out += n;
        len -= (size_t)n;
    }
    return true;
}

static void send_all(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

static void wait_for_hang_up(int fd)
{
    uint8_t byte;
    (void)receive_all(fd, &byte, 1);
}

static unsigned times_before(const struct double_order *order)
{
    pthread_mutex_lock(&service.lock);
    unsigned n = service.killed[order->seed % sizeof service.killed]++;
    pthread_mutex_unlock(&service.lock);
    return n;
}

static const uint32_t error_codes[] = {0x12001, 0x12002, 0x12003, 0x12007, 0xe001, 1, 0xffffffff};

/* a: a good answer of len bytes, in a buffer of ANSWER_MAX. */
static void play_fault(int fd, const struct double_order *order, uint8_t *a, uint32_t len)
{
    uint32_t state = order->seed ^ 0x5eed;
    const uint32_t r = double_random(&state);
    switch ((enum double_fault)order->fault) {
    case DOUBLE_GOOD:
        break;
    case DOUBLE_GOOD_IN_PIECES:
        for (uint32_t piece; len; a += piece, len -= piece) {
            piece = 1 + double_random(&state) % (len < 300 ? len : 300);
            send_all(fd, a, piece);
        }
        return;
    case DOUBLE_GOOD_TWICE:
        memcpy(a + len, a, len);
        len *= 2;
        break;
    case DOUBLE_GOOD_MINOR_VERSION:
        a[6] = (uint8_t)r;
        break;
    case DOUBLE_GOOD_AFTER_KILLS:
        break; /* see play */
    case DOUBLE_GOOD_AFTER_TRUNCATED:
        if (times_before(order) == 0)
            len = r % len;
        break;
    case DOUBLE_KILLED:
    case DOUBLE_CLOSED:
        return;
    case DOUBLE_TRUNCATED:
        len = r % len;
        break;
    case DOUBLE_LENGTH_BEYOND:
        put_length(a, len - 4 + 1);
        break;
    case DOUBLE_LENGTH_HUGE:
        put_length(a, 0x80000000u | r);
        break;
    case DOUBLE_LENGTH_SHORT:
        put_length(a, r % 24);
        break;
    case DOUBLE_QUOTE_TOO_BIG:
        len = make_answer(a, order->room + 1 + r % 0x10000);
        break;
    case DOUBLE_QUOTE_EMPTY:
        len = make_answer(a, 0);
        break;
    case DOUBLE_ERROR_CODE:
        len = make_answer(a, 0);
        put32(a + 16, error_codes[r % (sizeof error_codes / sizeof *error_codes)]);
        break;
    case DOUBLE_WRONG_TYPE:
        put32(a + 8, r % 2 ? 0 : 2 + r % 5);
        break;
    case DOUBLE_WRONG_VERSION:
        a[4] = r % 2 ? 0 : 2;
        break;
    case DOUBLE_GARBLED:
        a[(const uint8_t[]){4,  5,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                            17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27}[r % 22]] ^=
            (uint8_t)(1 + double_random(&state) % 255);
        break;
    case DOUBLE_NOISE: /* its length is 64 KiB or more, beyond any buffer of the tests */
        for (uint32_t i = 0; i < len; i++)
            a[i] = (uint8_t)double_random(&state);
        a[1] |= 1;
        break;
    case DOUBLE_SILENT:
        len = 0;
        break;
    case DOUBLE_STUCK:
        len = 1 + r % (len - 1);
        break;
    case DOUBLE_FAULTS:
        abort();
    }
    send_all(fd, a, len);
    if (order->fault == DOUBLE_SILENT || order->fault == DOUBLE_STUCK)
        wait_for_hang_up(fd);
}

/* The order is looked at before anything is read, for those that close without reading. */
static bool closes_at_once(int fd, struct double_order *order)
{
    uint8_t start[28 + sizeof *order];
    if (recv(fd, start, sizeof start, MSG_PEEK | MSG_WAITALL) != sizeof start)
        return true;
    memcpy(order, start + 28, sizeof *order);
    return order->fault == DOUBLE_KILLED ||
           (order->fault == DOUBLE_GOOD_AFTER_KILLS && times_before(order) < 2);
}

static bool request_is_right(const uint8_t *q)
{
    static const uint8_t expected[28] = {0, 0, 4, 24, 1, 0, 1, 0, 0, 0, 0, 0, 24, 4, 0, 0, 0, 0, 0, 0, 0, 4};
    return memcmp(q, expected, sizeof expected) == 0;
}

static void *play(void *argument)
{
    int fd = (int)(intptr_t)argument;
    uint8_t request[REQUEST_SIZE], *answer = calloc(1, ANSWER_MAX);
    struct double_order order;
    if (!closes_at_once(fd, &order) && receive_all(fd, request, sizeof request)) {
        if (!request_is_right(request))
            abort();
        play_fault(fd, &order, answer, make_answer(answer, double_quote(answer + 28, &order)));
    }
    free(answer);
    close(fd);
    return NULL;
}

static int double_quote_service(const char *address)
{
    (void)address;
    pthread_mutex_lock(&service.lock);
    if (service.refuse_times) {
        service.refuse_times--;
        pthread_mutex_unlock(&service.lock);
        errno = service.refuse_error;
        return -1;
    }
    int fds[2];
    if (service.connections == CONNECTIONS_MAX ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ||
        pthread_create(&service.thread[service.connections++], NULL, play, (void *)(intptr_t)fds[1]))
        abort();
    pthread_mutex_unlock(&service.lock);
    return fds[0];
}

const struct kvm_backend double_backend = {.name = "double", .quote_service = double_quote_service};

void double_refuse(int error, unsigned times)
{
    pthread_mutex_lock(&service.lock);
    service.refuse_error = error;
    service.refuse_times = times;
    pthread_mutex_unlock(&service.lock);
}

unsigned double_connections(void)
{
    pthread_mutex_lock(&service.lock);
    unsigned n = service.connections;
    pthread_mutex_unlock(&service.lock);
    return n;
}

void double_join(void)
{
    for (unsigned i = 0; i < service.connections; i++)
        pthread_join(service.thread[i], NULL);
    service.connections = 0;
    service.refuse_times = 0;
    memset(service.killed, 0, sizeof service.killed);
}
