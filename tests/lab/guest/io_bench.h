/* The parts of io-bench (io_bench.c): its disks, its network, and its turns. */
#ifndef COFRE_TESTS_LAB_GUEST_IO_BENCH_H
#define COFRE_TESTS_LAB_GUEST_IO_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENOUGH 100000000u /* nanoseconds after which a piece of a load ends */

/* What a piece of a load came to. */
struct piece {
    uint64_t count, nanoseconds;
};

/* Says what failed, by errno, and exits. */
_Noreturn void die(const char *what);
uint64_t now(void); /* nanoseconds */

/* ---- io_disk.c */

struct disk;
struct disk *disk_open(const char *path); /* heap, until the program ends */
const char *disk_load(unsigned index);    /* its name; NULL: there are no more */
struct piece disk_run(struct disk *d, unsigned index);

/* ---- io_net.c */

void put(int s, const void *data, size_t len);
bool get_all(int s, void *data, size_t len); /* false where the other end is silent before */
int connect_to(const char *address, uint16_t port);
int listen_at(uint16_t port);
int accept_one(int listener);

const char *net_load(unsigned index); /* its name; NULL: there are no more */
/* With the peer at an address. */
struct piece net_run(const char *address, unsigned index);
_Noreturn void net_peer(void);

#endif
