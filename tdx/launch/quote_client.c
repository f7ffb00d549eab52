#include "tdx/launch/quote_client.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "tdx/launch/quote_exchange.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"

#define LOG_ROOM "tdx"

struct request {
    bool used;
    uint64_t gpa, size; /* the guest's buffer */
    bool as_message;    /* the guest asked in the service's own message, and gets one back */
    struct quote_exchange exchange;
    struct cofre_err err; /* the last thing that went wrong */
};

struct quote_client {
    struct quote_client_config config;
    pthread_mutex_t lock; /* of what follows */
    pthread_t thread;
    int wake;
    bool stop;
    int64_t said; /* when a failure was last logged */
    struct request request[QUOTE_OUTSTANDING_MAX];
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The status last: it is what the guest looks at. The buffer was memory when the request was taken, and still is. */
static void write_answer(const struct quote_client *c, uint64_t gpa, uint64_t status, struct view answer)
{
    uint64_t *seen =
        guest_memory_at(c->config.memory, gpa + offsetof(struct tdx_quote_header, status), sizeof *seen);
    const uint32_t out_len = (uint32_t)answer.len;
    if (answer.len)
        (void)guest_memory_write(c->config.memory, gpa + TDX_QUOTE_HEADER_SIZE, answer.data, answer.len);
    (void)guest_memory_write(c->config.memory, gpa + offsetof(struct tdx_quote_header, out_len), &out_len,
                             sizeof out_len);
    __atomic_store_n(seen, status, __ATOMIC_RELEASE);
}

/* A guest can ask in a loop: it gets a line a second at most. */
static void say(struct quote_client *c, const struct request *r)
{
    const int64_t now = now_ms();
    const enum log_level level = now - c->said < 1000 ? LOG_DEBUG : LOG_WARN;
    log_line(LOG_ROOM, level, "the guest gets no quote: %s", r->err.text);
    if (level == LOG_WARN)
        c->said = now;
}

static void finish(struct quote_client *c, struct request *r)
{
    const uint64_t status = r->exchange.status;
    if (status != TDX_QUOTE_SUCCESS)
        say(c, r);
    write_answer(c, r->gpa, status,
                 r->as_message ? quote_exchange_answer(&r->exchange) : quote_exchange_quote(&r->exchange));
    quote_exchange_end(&r->exchange);
    r->used = false;
}

/* Advances every request; how many are over. */
static unsigned advance(struct quote_client *c)
{
    unsigned finished = 0;
    for (size_t i = 0; i < QUOTE_OUTSTANDING_MAX; i++) {
        struct request *r = &c->request[i];
        if (r->used && quote_exchange_advance(&r->exchange, now_ms(), &r->err)) {
            finish(c, r);
            finished++;
        }
    }
    return finished;
}

/* What to wait for; returns the time-out for poll(2). */
static int await(const struct quote_client *c, struct pollfd fds[1 + QUOTE_OUTSTANDING_MAX])
{
    int64_t first = INT64_MAX, now = now_ms();
    fds[0] = (struct pollfd){.fd = c->wake, .events = POLLIN};
    for (size_t i = 0; i < QUOTE_OUTSTANDING_MAX; i++) {
        fds[1 + i] = (struct pollfd){.fd = -1};
        if (!c->request[i].used)
            continue;
        int64_t at = quote_exchange_wait(&c->request[i].exchange, &fds[1 + i]);
        first = at < first ? at : first;
    }
    if (first == INT64_MAX)
        return -1;
    return first <= now ? 0 : first - now < INT32_MAX ? (int)(first - now) : INT32_MAX;
}

static void *run(void *context)
{
    struct quote_client *c = context;
    struct pollfd fds[1 + QUOTE_OUTSTANDING_MAX];
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        unsigned finished = advance(c);
        int timeout = await(c, fds);
        pthread_mutex_unlock(&c->lock);
        if (finished)
            c->config.notify(c->config.context);
        (void)poll(fds, 1 + QUOTE_OUTSTANDING_MAX, timeout);
        eventfd_t ignored;
        if (fds[0].revents)
            (void)eventfd_read(c->wake, &ignored);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void wake(struct quote_client *c)
{
    (void)eventfd_write(c->wake, 1);
}

int quote_client_new(struct quote_client **out, const struct quote_client_config *config,
                     struct cofre_err *err)
{
    CLEAN_FREE struct quote_client *c = calloc(1, sizeof *c);
    CLEAN_FD wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!c || wake < 0)
        return cofre_fail(err, COFRE_FAILED, "client of the quote generation service: %s", strerror(errno));
    c->config = *config;
    if (c->config.timeout_ms == 0)
        c->config.timeout_ms = QUOTE_TIMEOUT_MS;
    c->wake = wake;
    c->said = now_ms() - 1000;
    pthread_mutex_init(&c->lock, NULL);
    int rc = thread_start(&c->thread, "quotes", run, c, err);
    if (rc)
        return cofre_within(err, rc, "client of the quote generation service");
    (void)TAKE_FD(wake);
    *out = TAKE_PTR(c);
    return 0;
}

void quote_client_free(struct quote_client *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_mutex_unlock(&c->lock);
    wake(c);
    pthread_join(c->thread, NULL);
    for (size_t i = 0; i < QUOTE_OUTSTANDING_MAX; i++)
        if (c->request[i].used) {
            write_answer(c, c->request[i].gpa, TDX_QUOTE_SERVICE_UNAVAILABLE, (struct view){NULL, 0});
            quote_exchange_end(&c->request[i].exchange);
        }
    close(c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* A free place; NULL with *status where there is none or the buffer is in flight already. */
static struct request *find_place(struct quote_client *c, uint64_t gpa, uint64_t size, uint64_t *status)
{
    struct request *place = NULL;
    for (size_t i = 0; i < QUOTE_OUTSTANDING_MAX; i++) {
        struct request *r = &c->request[i];
        if (!r->used) {
            place = r;
        } else if (gpa < r->gpa + r->size && r->gpa < gpa + size) {
            *status = TDVMCALL_INVALID_OPERAND;
            return NULL;
        }
    }
    *status = place ? TDVMCALL_SUCCESS : TDVMCALL_RETRY;
    return place;
}

/* What a guest's buffer asks with, copied once. */
struct question {
    struct tdx_quote_header header;
    union {
        uint8_t report[TDX_REPORT_SIZE];
        struct quote_request message;
    };
};

/*
 * The TDREPORT that a quote is asked for, NULL where there is none: alone, as the GHCI has it and Linux sends it, or in the
 * service's own message, as Intel's library sends it without configfs-tsm. Such a message
 * is never handed on: the service has other requests too, which are not a guest's to make.
 */
static const uint8_t *report_of(const struct question *q, bool *as_message)
{
    const uint32_t len = q->header.in_len;
    *as_message = len == sizeof q->message;
    if (q->header.version != 1)
        return NULL;
    if (*as_message)
        return quote_request_is_one(&q->message) ? q->message.report : NULL;
    return len == TDX_REPORT_SIZE ? q->report : NULL;
}

static uint64_t take(struct quote_client *c, uint64_t gpa, uint64_t size, const uint8_t *report,
                     bool as_message)
{
    uint64_t status;
    struct request *r = find_place(c, gpa, size, &status);
    if (!r)
        return status;
    int64_t now = now_ms();
    const size_t before = TDX_QUOTE_HEADER_SIZE + (as_message ? QGS_ANSWER_HEAD : 0);
    if (quote_exchange_start(&r->exchange, c->config.backend, c->config.address, report, size - before, now,
                             now + c->config.timeout_ms, &r->err) < 0)
        return TDVMCALL_RETRY;
    r->gpa = gpa;
    r->size = size;
    r->as_message = as_message;
    r->used = true;
    write_answer(c, gpa, TDX_QUOTE_IN_FLIGHT, (struct view){NULL, 0});
    return TDVMCALL_SUCCESS;
}

uint64_t quote_client_request(struct quote_client *c, uint64_t gpa, uint64_t size)
{
    struct question q;
    bool as_message;
    if ((gpa | size) % TDX_PAGE_SIZE)
        return TDVMCALL_ALIGN_ERROR;
    if (!guest_memory_at(c->config.memory, gpa, size) ||
        !guest_memory_read(c->config.memory, gpa, &q, sizeof q))
        return TDVMCALL_INVALID_OPERAND;
    const uint8_t *report = report_of(&q, &as_message);
    if (!report)
        return TDVMCALL_INVALID_OPERAND;
    pthread_mutex_lock(&c->lock);
    uint64_t status = take(c, gpa, size, report, as_message);
    pthread_mutex_unlock(&c->lock);
    if (status == TDVMCALL_SUCCESS)
        wake(c);
    return status;
}
