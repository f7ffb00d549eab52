/* A set of guest frame numbers, kept as sorted disjoint ranges: page attributes and states come in long runs. */
#ifndef COFRE_EMU_GFN_SET_H
#define COFRE_EMU_GFN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gfn_range {
    uint64_t start, end; /* [start, end) */
};

struct gfn_set {
    struct gfn_range *range;
    size_t count, capacity;
};

void gfn_set_free(struct gfn_set *set);
/* [start, end) must not be empty. 0, or -ENOMEM with the set unchanged. */
int gfn_set_add(struct gfn_set *set, uint64_t start, uint64_t end);
int gfn_set_remove(struct gfn_set *set, uint64_t start, uint64_t end);

bool gfn_set_has(const struct gfn_set *set, uint64_t gfn);
/* The first frame after gfn that is in the set where gfn is not, or not where gfn is; at most limit. */
uint64_t gfn_set_run_end(const struct gfn_set *set, uint64_t gfn, uint64_t limit);
bool gfn_set_has_all(const struct gfn_set *set, uint64_t start, uint64_t end);
bool gfn_set_has_none(const struct gfn_set *set, uint64_t start, uint64_t end);

#endif
