#include "vmm/devices/rates.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define SECOND      1000000000ull
#define MILLISECOND 1000000ull
/* What may be saved up in any case: with less, whoever asks now and then, and every clock that is late, would lose of its rate. */
#define BURST_LEAST (50 * MILLISECOND)
#define BURST_MOST  (3600 * SECOND)
#define LOOK_AGAIN  (100 * MILLISECOND)
#define DEBT_MOST   (UINT64_MAX / 4)

int rates_open(struct rates *out, const char *file, struct cofre_err *err)
{
    struct stat st;
    *out = (struct rates){0};
    CLEAN_FD fd = file_open_named(file, O_RDONLY, 0);
    if (fd < 0 || fstat(fd, &st) < 0)
        return cofre_fail(err, COFRE_USAGE, "--rates %s: %s", file, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size != sizeof *out->file)
        return cofre_fail(err, COFRE_USAGE, "--rates %s: it is no file of rates, which has %zu bytes", file,
                          sizeof *out->file);
    void *mapped = mmap(NULL, sizeof *out->file, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return cofre_fail(err, COFRE_FAILED, "--rates %s: %s", file, strerror(errno));
    out->file = mapped;
    pthread_mutex_init(&out->lock, NULL);
    if (memcmp(out->file->magic, RATES_MAGIC, sizeof out->file->magic) == 0)
        return 0;
    rates_close(out);
    return cofre_fail(err, COFRE_USAGE, "--rates %s: it does not begin with %s", file, RATES_MAGIC);
}

void rates_close(struct rates *rates)
{
    if (!rates->file)
        return;
    munmap((void *)rates->file, sizeof *rates->file);
    pthread_mutex_destroy(&rates->lock);
    rates->file = NULL;
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

/* At another rate a debt of as many bytes takes another time. */
static uint64_t debt(struct pace *pace, uint64_t rate, uint64_t now)
{
    uint64_t left = pace->paid_at > now ? pace->paid_at - now : 0;
    if (left && pace->rate != rate) {
        unsigned __int128 at_this = (unsigned __int128)left * pace->rate / rate;
        left = at_this > DEBT_MOST ? DEBT_MOST : (uint64_t)at_this;
        pace->paid_at = now + left;
    }
    pace->rate = rate;
    return left;
}

uint64_t pace_wait(struct pace *pace, uint64_t rate, uint64_t burst, uint64_t now)
{
    if (!rate) {
        *pace = (struct pace){0};
        return 0;
    }
    uint64_t left = debt(pace, rate, now);
    return left > burst ? left - burst : 0;
}

void pace_add(struct pace *pace, uint64_t rate, uint64_t amount, uint64_t now)
{
    if (!rate)
        return;
    uint64_t left = debt(pace, rate, now);
    unsigned __int128 more = (unsigned __int128)amount * SECOND / rate + left;
    pace->paid_at = now + (more > DEBT_MOST ? DEBT_MOST : (uint64_t)more);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t read_rate(const struct rates *rates, enum rate rate)
{
    return atomic_load_explicit(&rates->file->rate[rate], memory_order_relaxed);
}

static uint64_t read_burst(const struct rates *rates)
{
    uint64_t saved =
        at_most(atomic_load_explicit(&rates->file->burst, memory_order_relaxed), BURST_MOST / MILLISECOND);
    return BURST_LEAST + saved * MILLISECOND;
}

static const enum rate of_disk[2][2] = {{RATE_READ_BYTES, RATE_READ_OPERATIONS},
                                        {RATE_WRITE_BYTES, RATE_WRITE_OPERATIONS}};

uint64_t rates_disk_wait(struct rates *rates, bool write)
{
    uint64_t wait = 0;
    if (!rates)
        return 0;
    pthread_mutex_lock(&rates->lock);
    for (unsigned i = 0; i < 2; i++) {
        enum rate which = of_disk[write][i];
        uint64_t rate = read_rate(rates, which);
        uint64_t one = rate || rates->disk[which].rate
                           ? pace_wait(&rates->disk[which], rate, read_burst(rates), now())
                           : 0;
        wait = one > wait ? one : wait;
    }
    pthread_mutex_unlock(&rates->lock);
    return at_most(wait, LOOK_AGAIN);
}

void rates_disk_began(struct rates *rates, bool write, uint64_t bytes)
{
    if (!rates)
        return;
    pthread_mutex_lock(&rates->lock);
    for (unsigned i = 0; i < 2; i++) {
        enum rate which = of_disk[write][i];
        uint64_t rate = read_rate(rates, which);
        if (rate)
            pace_add(&rates->disk[which], rate, i == 0 ? bytes : 1, now());
    }
    pthread_mutex_unlock(&rates->lock);
}

uint64_t rates_network_wait(const struct rates *rates, enum rate rate, struct pace *pace)
{
    uint64_t limit = rates ? read_rate(rates, rate) : 0;
    if (!limit && !pace->rate)
        return 0;
    return at_most(pace_wait(pace, limit, BURST_LEAST, now()), LOOK_AGAIN);
}

void rates_network_moved(const struct rates *rates, enum rate rate, struct pace *pace, uint64_t bytes)
{
    uint64_t limit = rates ? read_rate(rates, rate) : 0;
    if (limit)
        pace_add(pace, limit, bytes, now());
}
