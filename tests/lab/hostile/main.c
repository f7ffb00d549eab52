/*
 * A guest that is nothing but a hostile driver. To each virtio device it does so many things wrong, by seed; after each the device
 * is dead (it asks for a reset) or right (it answers a request as it should), and after a reset it is right. The command line says
 * hostile=LETTERS,SEED,FAULTS. The first letter is the TEE, p (none), s (SNP) or t (TDX); then p for packed rings; then o where
 * only devices are meant that others serve. Such a device need not answer what is no request; it may be a program that ends of what it
 * is told, and then the device does not come back: the next of its kind has the rest of its faults.
 */
#include "tests/lab/hostile/faults.h"

void hostile_main(const char *cmdline);

struct score {
    uint32_t deaths, silences;
};

static enum outcome right_request(struct device *d)
{
    const enum outcome outcome = d->kind->right(d);
    d->requests += outcome == WENT_ON;
    return outcome;
}

/* The device is as it should be after a reset, or, DEAD, does not come back and need not. */
static enum outcome restart(struct device *d)
{
    enum outcome outcome = device_set_up(d);
    if (outcome == DEAD && d->others && d->kind->by == PROGRAMS)
        return DEAD;
    if (outcome == WENT_ON)
        outcome = right_request(d);
    else if (outcome == DEAD)
        (void)wrong(d, "it needs a reset right after one");
    if (outcome == DEAD)
        (void)wrong(d, "a request that is right ends it");
    return outcome == WENT_ON ? WENT_ON : WRONG;
}

/* What may not be, for the kind of fault that it was. */
static enum outcome judge(struct device *d, const struct fault *fault, enum outcome outcome)
{
    const bool others = d->others;
    if (outcome == WENT_ON && fault->then == MUST_DIE && !others)
        return wrong(d, "it did not ask for a reset");
    if (outcome == DEAD && !d->to_fill &&
        (fault->then == MUST_GO_ON || (fault->then == OURS_GOES_ON && !others)))
        return wrong(d, "it asks for a reset");
    if (outcome == SILENT && fault->then == MUST_GO_ON)
        return wrong(d, "it does not answer");
    return outcome;
}

/* WENT_ON: it is right again. DEAD: it is gone for good. */
static enum outcome endure(struct device *d, const struct fault *fault, struct score *score)
{
    d->impatient = d->others;
    enum outcome outcome = judge(d, fault, fault->commit(d));
    d->impatient = false;
    const bool astray = outcome == WENT_ON && fault->then == MUST_DIE; /* who knows where in the rings */
    if (outcome == WENT_ON && !astray)
        outcome = judge(d, fault, right_request(d));
    score->deaths += outcome == DEAD;
    score->silences += outcome == SILENT;
    return outcome == DEAD || outcome == SILENT || astray ? restart(d) : outcome;
}

/* Where a program may end of a fault, most of those are left out, so that it lives to see others. */
static const struct fault *choose(const struct device *d)
{
    const struct fault *fault;
    do {
        const uint32_t n = below(chain_faults_count + transport_faults_count);
        fault = n < chain_faults_count ? &chain_faults[n] : &transport_faults[n - chain_faults_count];
    } while (fault->format == (packed_rings ? SPLIT : PACKED) ||
             (d->others && d->kind->by == PROGRAMS && fault->then != MUST_GO_ON && below(4)));
    return fault;
}

/* Of so many faults the device has seen *n when it is gone; they are left to the next. */
static bool storm(struct device *d, uint32_t count, uint32_t *n)
{
    struct score score = {0};
    const struct fault *fault = NULL;
    enum outcome outcome = restart(d);
    for (*n = 0; outcome == WENT_ON && *n < count; ++*n) {
        fault = choose(d);
        outcome = endure(d, fault, &score);
    }
    if (outcome == WENT_ON)
        outcome = restart(d);
    if (outcome ==
        WENT_ON) /* the next device has its rings in the same places, and a frame may come for this one at any time */
        outcome = device_reset(d);
    if (outcome == WRONG)
        say("hostile: WRONG: %s: %s after fault %u: %s\n", d->kind->name,
            fault ? fault->name : "the first request", *n, d->why);
    else
        say("hostile: %s: %u faults, %u of them deaths, %u silences, %u requests right%s\n", d->kind->name,
            *n, score.deaths, score.silences, d->requests, outcome == DEAD ? "; it is gone" : "");
    return outcome != WRONG;
}

/* The TEE's. */
static char read_letters(const char **at)
{
    const char tee = **at;
    for (*at += tee != 0; **at && **at != ','; ++*at) {
        packed_rings |= **at == 'p';
        served_by_others |= **at == 'o';
    }
    return tee;
}

static uint32_t read_number(const char **text)
{
    uint32_t n = 0;
    for (*text += **text == ','; **text >= '0' && **text <= '9'; (*text)++)
        n = 10 * n + (uint32_t)(**text - '0');
    return n;
}

void hostile_main(const char *cmdline)
{
    const char *at = cmdline;
    while (*at && memcmp(at, "hostile=", 8) != 0)
        at++;
    at += *at ? 8 : 0;
    guest_start(read_letters(&at));
    seed = read_number(&at);
    const uint32_t count = read_number(&at);
    uint32_t left[KINDS], seen;
    for (unsigned i = 0; i < KINDS; i++)
        left[i] = count;
    bool right = count > 0;
    for (unsigned slot = 0; right && slot < 32; slot++) {
        struct device d;
        if (!device_find(&d, slot) || (served_by_others && !d.others))
            continue;
        uint32_t *faults_left = &left[d.kind - kinds];
        right = storm(&d, *faults_left, &seen);
        *faults_left -= d.others ? seen : 0;
    }
    say(right ? "hostile: done\n" : "hostile: ended\n");
    power_off();
}
