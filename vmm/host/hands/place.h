/*
 * A guest's directory, DIRECTORY/NUMBER, of which all but two are root's alone:
 *   record                            what the next hands has to know (record.h)
 *   console result log launches       what cofre-vmm writes, by descriptors that it is started with
 *   input                             a pipe, its standard input
 *   emulated/                         of an emulated guest: its copy of the platform's keys, to read
 *   run/                              the guest's user's: the run directory of cofre-vmm, with its sockets
 */
#ifndef COFRE_HOST_HANDS_PLACE_H
#define COFRE_HOST_HANDS_PLACE_H

#include <sys/types.h>

#include "vmm/host/hands/hands.h"

/* Returns a descriptor of DIRECTORY, which is made where it is not there. COFRE_USAGE where others than this user can write to it,
 * COFRE_LACKING where another process has it: it is for one alone, as long as the descriptor is open. */
int places_open(const char *directory, struct cofre_err *err);
/* Calls with the number of each guest that has a directory. */
int places_each(int places, void (*call)(void *context, uint32_t guest), void *context,
                struct cofre_err *err);

/* Returns a descriptor of the new directory. COFRE_USAGE where there is one. */
int place_make(int places, uint32_t guest, uid_t user, struct cofre_err *err);
/* The same for one that is there. */
int place_open(int places, uint32_t guest, struct cofre_err *err);
/* What was made for user and is still in run/ goes first. COFRE_FAILED where it is more than is removed at once: again. */
int place_remove(int places, uint32_t guest, uid_t user, struct cofre_err *err);

/* What the guest's devices hold to, in a file that cofre-vmm reads while the guest runs (vmm/devices/rates.h). */
int place_rates_set(int place, const struct hands_limits *limits, struct cofre_err *err);

/* For cofre-vmm, before it is started and after place_rates_set: each file of these, as it is to be inherited. */
struct place_files {
    int input, result, log, console, launches, rates;
};
int place_files_open(int place, struct place_files *out, struct cofre_err *err);
void place_files_close(struct place_files *files);

/* Copies the small files of a directory to emulated/, for the guest's user to read. */
int place_copy_emulated(int place, const char *from, uid_t user, struct cofre_err *err);

/* For the decider: a descriptor of that file. */
int place_file(int place, enum hands_file file, uint32_t guest, uid_t user, struct cofre_err *err);
/* Lines in the file launches. */
uint32_t place_launches(int place);

#endif
