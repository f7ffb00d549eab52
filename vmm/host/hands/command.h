/* The command line of cofre-vmm for one guest, from the typed message: no word of it is the caller's but the kernel's command
 * line, which is one word behind its option. */
#ifndef COFRE_HOST_HANDS_COMMAND_H
#define COFRE_HOST_HANDS_COMMAND_H

#include "vmm/host/hands/hands.h"

#define COMMAND_WORDS_MAX 128
#define COMMAND_TEXT_MAX  16384

/* Open descriptors, as cofre-vmm will inherit them; -1 where there is none. Its standard input is the console's. */
struct command_descriptors {
    int file[5]; /* of enum hands_given, in order */
    int disk[HANDS_DISKS_MAX];
    int tap[HANDS_NETWORKS_MAX];
    int console, launches, rates;
};

struct command {
    char *argv[COMMAND_WORDS_MAX + 1]; /* ended by NULL; within text */
    unsigned words;
    size_t used;
    char text[COMMAND_TEXT_MAX];
};

/* The message has been checked. program is what argv[0] says. */
void command_make(struct command *out, const char *program, uint32_t guest, const struct hands_start *start,
                  const struct command_descriptors *descriptors);
/* Its directory within the run directory that COFRE_RUN_DIR names: "guest-7". */
#define COMMAND_NAME_SIZE 24
void command_name(char out[COMMAND_NAME_SIZE], uint32_t guest);

#endif
