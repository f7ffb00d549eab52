/*
 * A guest that is nothing but a hostile driver. To each virtio device it does so many things wrong, by seed; after each the device
 * is dead (it asks for a reset) or right (it answers a request as it should), and after a reset it is right. The command line says
 * hostile=TEE,SEED,FAULTS with TEE p (none), s (SNP) or t (TDX).
 */
#include "tests/lab/hostile/faults.h"

void hostile_main(const char *cmdline);

static uint32_t read_number(const char **text)
{
    uint32_t n = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++)
        n = 10 * n + (uint32_t)(**text - '0');
    return n;
}

/* The device is as it should be, after a reset if it is dead. */
static bool recover(struct device *d, enum outcome outcome, uint32_t *deaths)
{
    if (outcome == DEAD) {
        ++*deaths;
        outcome = device_set_up(d);
    }
    if (outcome == WENT_ON)
        outcome = d->kind->right(d);
    d->requests += outcome == WENT_ON;
    if (outcome == DEAD)
        (void)wrong(d, "a request that is right ends it");
    return outcome == WENT_ON;
}

/* False: neither dead nor right. */
static bool endure(struct device *d, const struct fault *fault, uint32_t *deaths)
{
    enum outcome outcome = fault->commit(d);
    if (outcome == WENT_ON && fault->then != MUST_DIE)
        outcome = d->kind->right(d);
    d->requests += outcome == WENT_ON && fault->then != MUST_DIE;
    if (outcome == WENT_ON && fault->then == MUST_DIE)
        outcome = wrong(d, "it did not ask for a reset");
    if (outcome == DEAD && fault->then == MUST_GO_ON && !d->to_fill)
        outcome = wrong(d, "it asks for a reset");
    return outcome == WENT_ON || (outcome == DEAD && recover(d, DEAD, deaths));
}

static bool storm(struct device *d, uint32_t count)
{
    uint32_t deaths = 0, n = 0;
    const struct fault *fault = NULL;
    bool right = recover(d, device_set_up(d), &deaths);
    for (; right && n < count; n++) {
        fault = &faults[below(faults_count)];
        right = endure(d, fault, &deaths);
    }
    if (right)
        right = recover(d, device_set_up(d), &deaths);
    if (right)
        say("hostile: %s: %u faults, %u of them deaths, %u requests right\n", d->kind->name, n, deaths,
            d->requests);
    else
        say("hostile: WRONG: %s: %s after fault %u: %s\n", d->kind->name,
            fault ? fault->name : "the first request", n, d->why);
    return right;
}

void hostile_main(const char *cmdline)
{
    const char *at = cmdline;
    while (*at && memcmp(at, "hostile=", 8) != 0)
        at++;
    const char tee = *at ? at[8] : 'p';
    at += *at ? 10 : 0;
    guest_start(tee);
    seed = read_number(&at);
    at += *at == ',';
    const uint32_t count = read_number(&at);
    bool right = count > 0;
    for (unsigned slot = 0; right && slot < 32; slot++) {
        struct device d;
        if (device_find(&d, slot))
            right = storm(&d, count);
    }
    say(right ? "hostile: done\n" : "hostile: ended\n");
    power_off();
}
