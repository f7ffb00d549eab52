/*
 * Rates as ratios to something that is measured beside it, in the same process and the same rounds, so that they say the
 * same on a slow machine as on a fast one. Time is the thread's own, and of several rounds the fastest counts.
 */
#ifndef COFRE_TESTS_BENCH_H
#define COFRE_TESTS_BENCH_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BENCH_ROUNDS 15

static inline double bench_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct bench_times {
    double measured, beside; /* seconds of one call */
};

static inline struct bench_times bench_by(clockid_t clock, void (*measured)(void *), void (*beside)(void *),
                                          void *context, unsigned count)
{
    struct bench_times best = {1e9, 1e9};
    for (unsigned round = 0; round < BENCH_ROUNDS; round++) {
        double start = bench_clock(clock);
        for (unsigned i = 0; i < count; i++)
            measured(context);
        double middle = bench_clock(clock);
        for (unsigned i = 0; i < count; i++)
            beside(context);
        double end = bench_clock(clock);
        if (middle - start < best.measured * count)
            best.measured = (middle - start) / count;
        if (end - middle < best.beside * count)
            best.beside = (end - middle) / count;
    }
    return best;
}

/* Calls both in turns: count times each in a round. */
static inline struct bench_times bench(void (*measured)(void *), void (*beside)(void *), void *context,
                                       unsigned count)
{
    return bench_by(CLOCK_THREAD_CPUTIME_ID, measured, beside, context, count);
}

/* The same by the time that passes: for work of several threads. */
static inline struct bench_times bench_elapsed(void (*measured)(void *), void (*beside)(void *),
                                               void *context, unsigned count)
{
    return bench_by(CLOCK_MONOTONIC, measured, beside, context, count);
}

static inline int bench_by_ratio(const void *a, const void *b)
{
    const struct bench_times *x = a, *y = b;
    const double difference = x->beside / x->measured - y->beside / y->measured;
    return (difference > 0) - (difference < 0);
}

/* Where the machine is others' as well, and fast and slow by turns: of so many rounds, which are sorted, the one whose ratio is the middle one. */
static inline struct bench_times bench_middle(struct bench_times *round, size_t rounds)
{
    qsort(round, rounds, sizeof *round, bench_by_ratio);
    return round[rounds / 2];
}

/* A row of the table in docs/performance.md, as tests/bench/table reads it. Texts go into it as they are. */
struct bench_figure {
    const char *figure, *of, *beside, *unit;
    double value, beside_value; /* rates: the more the better */
    double aim;                 /* their ratio, at least; 0: none */
};

/* Prints it; returns the ratio. */
static inline double bench_print(struct bench_figure f)
{
    printf("{\"figure\": \"%s\", \"of\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", \"beside\": \"%s\", "
           "\"beside_value\": %.4g",
           f.figure, f.of, f.value, f.unit, f.beside, f.beside_value);
    if (f.aim > 0)
        printf(", \"aim\": {\"of\": \"ratio\", \"at_least\": %g}", f.aim);
    printf("}\n");
    return f.value / f.beside_value;
}

/* Whether a ratio is one that only a fault explains: sanitizers and busy machines have room above the bound. */
static inline bool bench_is_fault(const char *of, double ratio, double bound)
{
    if (ratio < bound)
        printf("%s: %.2f is below the bound of %.2f\n", of, ratio, bound);
    return ratio < bound;
}

/* What must hold for a figure to mean anything. */
#define BENCH_CHECK(condition)                                                                               \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                   \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#endif
