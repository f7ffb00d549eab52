/* What outlives the machine: what was asked, acknowledged and seen, on a disk of its own whose blocks are outside when a write of them
 * returns. Each writer has two blocks and uses them in turns, so that one is always whole. */
#ifndef COFRE_TEST_LAB_RECORD_H
#define COFRE_TEST_LAB_RECORD_H

#include "tests/unit/host/cofred/kills.h"

/* What there is besides clients' objects. */
struct record {
    uint32_t rounds; /* that were checked; 0: there is nothing yet */
    uint32_t taps;
    char kernel[80];
    uint64_t heads;
    struct kills_head head[KILLS_HEADS];
};

/* False, and a sentence in k->why. An empty disk leaves k as it is, and *rounds 0. */
bool record_open(struct kills *k, const char *disk, uint32_t *rounds);
/* Each fails the test where it cannot. Of one client, by its process; what there is besides; and, while clients rest, all. */
void record_client(struct kills *k, unsigned client);
void record_whole(struct kills *k, uint32_t rounds);
void record_all(struct kills *k, uint32_t rounds);

#endif
