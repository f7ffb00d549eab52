/*
 * How much the guest's disks and networks may move in a second, and how much of what they did not use they may make up
 * for: what the devices themselves hold to. It bounds a guest, not whoever has taken this process over; for that the
 * kernel's limits are there, where it has some (io.max, a tap's queueing disciplines).
 *
 * The numbers are in a file, which whoever started this program may write to while the guest runs, each by itself:
 * "cofre-r1", and then seven numbers of 8 bytes in the host's byte order, struct rates_file. A change is seen at the next
 * request, or within 100 ms where requests wait.
 */
#ifndef COFRE_DEVICES_RATES_H
#define COFRE_DEVICES_RATES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

enum rate {
    RATE_READ_BYTES, /* of all disks together, as are the next three */
    RATE_WRITE_BYTES,
    RATE_READ_OPERATIONS,
    RATE_WRITE_OPERATIONS,
    RATE_NETWORK_IN, /* bytes, of each network that passt serves, as the guest sees it */
    RATE_NETWORK_OUT,
    RATES,
};

#define RATES_MAGIC "cofre-r1"
struct rates_file {
    char magic[8];
    _Atomic uint64_t burst;       /* of disks: milliseconds' worth of each rate that may be saved up */
    _Atomic uint64_t rate[RATES]; /* a second; 0: no limit */
};
_Static_assert(sizeof(struct rates_file) == 64, "as the file has it");

/* Something that moves at a rate. It may begin whatever it likes while it is not in debt beyond its burst, and what it began
 * is its debt, which time pays off. All zero at the beginning. */
struct pace {
    uint64_t rate;    /* that the next was reckoned by */
    uint64_t paid_at; /* when no debt is left, in nanoseconds of the monotonic clock */
};

struct rates {
    const struct rates_file *file;
    pthread_mutex_t lock; /* of the next: disks have threads of their own */
    struct pace disk[RATE_NETWORK_IN];
};

/* F is a file's name or "fd=N" (file_open_named). COFRE_USAGE where it is no such file. */
int rates_open(struct rates *out, const char *file, struct cofre_err *err);
void rates_close(struct rates *rates);

/* Nanoseconds until a disk may begin its next request, at most 100 ms, and 0: now. Rates may be NULL. */
uint64_t rates_disk_wait(struct rates *rates, bool write);
void rates_disk_began(struct rates *rates, bool write, uint64_t bytes);
/* The same for one direction of a network, whose pace is the caller's. */
uint64_t rates_network_wait(const struct rates *rates, enum rate rate, struct pace *pace);
void rates_network_moved(const struct rates *rates, enum rate rate, struct pace *pace, uint64_t bytes);

/* What the above come to, by a clock of the caller's: now, and burst in nanoseconds. */
uint64_t pace_wait(struct pace *pace, uint64_t rate, uint64_t burst, uint64_t now);
void pace_add(struct pace *pace, uint64_t rate, uint64_t amount, uint64_t now);

#endif
