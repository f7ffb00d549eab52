#include "vmm/emu/gfn_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void gfn_set_free(struct gfn_set *set)
{
    free(set->range);
    *set = (struct gfn_set){0};
}

/* The first range that ends after gfn (or at it, with touching), else count. */
static size_t first_ending_after(const struct gfn_set *set, uint64_t gfn, bool touching)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t end = set->range[middle].end;
        if (end > gfn || (touching && end == gfn))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Puts the n ranges of with in the place of [from, to). */
static int replace(struct gfn_set *set, size_t from, size_t to, const struct gfn_range *with, size_t n)
{
    size_t count = set->count - (to - from) + n;
    if (count > set->capacity) {
        size_t capacity = count * 2;
        struct gfn_range *range = realloc(set->range, capacity * sizeof(*range));
        if (!range)
            return -ENOMEM;
        set->range = range;
        set->capacity = capacity;
    }
    if (set->range)
        memmove(set->range + from + n, set->range + to, (set->count - to) * sizeof(*set->range));
    for (size_t i = 0; i < n; i++)
        set->range[from + i] = with[i];
    set->count = count;
    return 0;
}

int gfn_set_add(struct gfn_set *set, uint64_t start, uint64_t end)
{
    size_t from = first_ending_after(set, start, true);
    size_t to = from;
    struct gfn_range joined = {start, end};
    for (; to < set->count && set->range[to].start <= end; to++) {
        if (set->range[to].start < joined.start)
            joined.start = set->range[to].start;
        if (set->range[to].end > joined.end)
            joined.end = set->range[to].end;
    }
    return replace(set, from, to, &joined, 1);
}

int gfn_set_remove(struct gfn_set *set, uint64_t start, uint64_t end)
{
    size_t from = first_ending_after(set, start, false);
    size_t to = from;
    struct gfn_range rest[2];
    size_t n = 0;
    for (; to < set->count && set->range[to].start < end; to++) {
        if (set->range[to].start < start)
            rest[n++] = (struct gfn_range){set->range[to].start, start};
        if (set->range[to].end > end)
            rest[n++] = (struct gfn_range){end, set->range[to].end};
    }
    return to == from ? 0 : replace(set, from, to, rest, n);
}

bool gfn_set_has(const struct gfn_set *set, uint64_t gfn)
{
    size_t i = first_ending_after(set, gfn, false);
    return i < set->count && set->range[i].start <= gfn;
}

uint64_t gfn_set_run_end(const struct gfn_set *set, uint64_t gfn, uint64_t limit)
{
    size_t i = first_ending_after(set, gfn, false);
    uint64_t end = limit;
    if (i < set->count)
        end = set->range[i].start <= gfn ? set->range[i].end : set->range[i].start;
    return end < limit ? end : limit;
}

bool gfn_set_has_all(const struct gfn_set *set, uint64_t start, uint64_t end)
{
    return gfn_set_has(set, start) && gfn_set_run_end(set, start, end) == end;
}

bool gfn_set_has_none(const struct gfn_set *set, uint64_t start, uint64_t end)
{
    return !gfn_set_has(set, start) && gfn_set_run_end(set, start, end) == end;
}
