/*
 * Disk and network as guests see them, measured from within them, in turns: several guests are up, one after the other runs a
 * piece of the same load, and again, so that what is compared was measured within a second.
 *   io-bench guest NAME DISK... -- ADDRESS...   in a guest: does what the conductor at the first address says, to these disks
 *                                               (read and overwritten past the page cache) and to peers at these addresses
 *   io-bench conduct ROUNDS NAME...             on the host: waits for guests of these names, and prints a line
 *                                               "LOAD ROUND NAME NANOSECONDS" for each piece: what one operation, or 64 KiB of a
 *                                               stream, took by the guest's clock
 *   io-bench peer                               on the host: the other end of connections, on all its addresses
 * What fails ends the program with a sentence.
 */
#include "tests/lab/guest/io_bench.h"
#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GUESTS_MAX 8
#define TARGETS    2 /* disks of a guest, and networks */
#define NAME_LEN   32
#define PORT       9001 /* the conductor's */

_Noreturn void die(const char *what)
{
    fprintf(stderr, "io-bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A guest says its name, is told which of its targets gets which load, and answers with what came of it. */
struct order {
    uint8_t network, target, load;
};

static int run_guest(const char *name, char **disks, unsigned ndisks, char **addresses, unsigned naddresses)
{
    struct disk *disk[TARGETS];
    char words[NAME_LEN] = "";
    struct order order;
    for (unsigned i = 0; i < ndisks; i++)
        disk[i] = disk_open(disks[i]);
    snprintf(words, sizeof words, "%s", name);
    int conductor = connect_to(addresses[0], PORT);
    put(conductor, words, sizeof words);
    while (get_all(conductor, &order, sizeof order)) {
        if (order.target >= (order.network ? naddresses : ndisks))
            die("an order for what is not there");
        struct piece piece = order.network ? net_run(addresses[order.target], order.load)
                                           : disk_run(disk[order.target], order.load);
        put(conductor, &piece, sizeof piece);
    }
    return 0;
}

struct guest {
    const char *name;
    int s;
};

static void await_guests(struct guest *guest, unsigned guests)
{
    int listener = listen_at(PORT);
    for (unsigned here = 0; here < guests;) {
        char name[NAME_LEN];
        int s = accept_one(listener);
        if (!get_all(s, name, sizeof name))
            die("a guest without a name");
        name[sizeof name - 1] = 0;
        for (unsigned i = 0; i < guests; i++)
            if (strcmp(guest[i].name, name) == 0) {
                guest[i].s = s;
                here++;
            }
    }
    close(listener);
}

/* The first round is for caches and windows to fill, and is not told. Whoever came last comes first in the next. */
static void conduct(struct guest *guest, unsigned guests, unsigned rounds, struct order order,
                    const char *load)
{
    static const char *const kinds[] = {"disk", "net"};
    for (unsigned round = 0; round <= rounds; round++)
        for (unsigned n = 0; n < guests; n++) {
            const unsigned i = round % 2 ? n : guests - 1 - n;
            struct piece piece;
            put(guest[i].s, &order, sizeof order);
            if (!get_all(guest[i].s, &piece, sizeof piece) || piece.count == 0)
                die(guest[i].name);
            if (round)
                printf("%s%u-%s %u %s %llu\n", kinds[order.network], order.target, load, round, guest[i].name,
                       (unsigned long long)(piece.nanoseconds / piece.count));
        }
    fflush(stdout);
}

static int run_conductor(unsigned rounds, char **names, unsigned guests)
{
    struct guest guest[GUESTS_MAX] = {{0}};
    for (unsigned i = 0; i < guests; i++)
        guest[i].name = names[i];
    await_guests(guest, guests);
    for (uint8_t target = 0; target < TARGETS; target++)
        for (uint8_t i = 0; disk_load(i); i++)
            conduct(guest, guests, rounds, (struct order){0, target, i}, disk_load(i));
    for (uint8_t target = 0; target < TARGETS; target++)
        for (uint8_t i = 0; net_load(i); i++)
            conduct(guest, guests, rounds, (struct order){1, target, i}, net_load(i));
    return 0;
}

/* guest NAME DISK... -- ADDRESS... */
static int main_guest(int argc, char **argv)
{
    unsigned ndisks = 0, before = 0;
    while (3 + (int)ndisks < argc && strcmp(argv[3 + ndisks], "--") != 0)
        ndisks++;
    before = 3 + ndisks + 1;
    return ndisks <= TARGETS && (int)before < argc
               ? run_guest(argv[2], argv + 3, ndisks, argv + before, (unsigned)argc - before)
               : 2;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "peer") == 0)
        net_peer();
    if (argc > 3 && argc - 3 <= GUESTS_MAX && strcmp(argv[1], "conduct") == 0)
        return run_conductor((unsigned)atoi(argv[2]), argv + 3, (unsigned)argc - 3);
    if (argc > 4 && strcmp(argv[1], "guest") == 0)
        return main_guest(argc, argv);
    fprintf(stderr, "io-bench guest NAME DISK... -- ADDRESS... | conduct ROUNDS NAME... | peer\n");
    return 2;
}
