/* What is wrong with how a device is set up and configured. */
#include "tests/lab/hostile/faults.h"

/* When to interrupt: it never need be true for a driver that polls. */
static enum outcome nonsensical_wishes(struct device *d)
{
    struct ring *r = request_ring(d);
    for (unsigned i = 0; i < 2; i++)
        if (r->packed || i == 0)
            r->driver[i] = (uint16_t)wild();
    r->driver[2 + QUEUE] = (uint16_t)wild();
    notify_device(d, d->kind->request);
    return WENT_ON;
}

/* Features, while they are in use: the device keeps those that it was told first. */
static enum outcome other_features(struct device *d)
{
    for (unsigned i = 0; i < 4; i++) {
        bar_write(d, d->common + DRIVER_FEATURE_SELECT, 4, wild());
        bar_write(d, d->common + DRIVER_FEATURE, 4, wild());
        bar_write(d, d->common + STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }
    bar_write(d, d->common + DRIVER_FEATURE_SELECT, 4, 0);
    const uint32_t kept = (uint32_t)bar_read(d, d->common + DRIVER_FEATURE, 4);
    return kept == (1u << FEATURE_INDIRECT) ? WENT_ON : wrong(d, "its features are others now");
}

/* A queue, while it is in use: it stays where it was. */
static enum outcome other_rings(struct device *d)
{
    bar_write(d, d->common + QUEUE_SELECT, 2, d->kind->request);
    for (unsigned i = 0; i < 4; i++)
        bar_write(d, d->common + QUEUE_DESC + 4 * below(6), below(2) ? 4 : 8, wild());
    bar_write(d, d->common + QUEUE_SIZE, 2, wild());
    bar_write(d, d->common + QUEUE_ENABLE, 2, wild());
    const uint64_t at = bar_read(d, d->common + QUEUE_DESC, 8);
    return at == (uintptr_t)request_ring(d)->desc - SHARED_VIEW ? WENT_ON
                                                                : wrong(d, "its rings are elsewhere now");
}

/* All of the BAR but the status, which would be a reset. Messages keep a mode that an interrupt controller without
 * interrupts enabled takes; the rest of them is nonsense. */
static enum outcome nonsense_in_bar(struct device *d)
{
    for (unsigned i = 0; i < 8; i++) {
        const uint32_t at = below(4) ? 0x1000 + below(0x7000) : below(0x40);
        const unsigned len = 1u << below(4);
        if (at / 8 == STATUS / 8)
            continue;
        bar_write(d, at, len, wild() & ~0x0000070000000700ull);
        (void)bar_read(d, below(0x8000), len);
    }
    return WENT_ON;
}

static enum outcome nonsense_in_messages(struct device *d)
{
    const uint32_t table = config_read(d, d->msix + 4) & ~7u,
                   vectors = 1 + (config_read(d, d->msix) >> 16 & 0x7ff);
    for (uint32_t i = 0; i < vectors; i++) {
        bar_write(d, table + 16 * i, 8, wild());
        bar_write(d, table + 16 * i + 8, 4, wild() & ~0x700ull);
        bar_write(d, table + 16 * i + 12, 4, below(4) ? 0 : wild());
    }
    bar_write(d, d->common + CONFIG_VECTOR, 2, below(2) ? 0 : wild());
    bar_write(d, d->common + QUEUE_SELECT, 2, d->kind->request);
    bar_write(d, d->common + QUEUE_VECTOR, 2, below(2) ? 1 : wild());
    config_write(d, d->msix + 2, 2, 0x8000 | below(2) << 14);
    return WENT_ON;
}

static enum outcome nonsense_in_configuration(struct device *d)
{
    for (unsigned i = 0; i < 8; i++)
        config_write(d, below(4) ? below(0x100) : below(0x1000), 1u << below(3), (uint32_t)wild());
    device_repair(d);
    return WENT_ON;
}

static enum outcome notifications_of_nothing(struct device *d)
{
    for (unsigned i = 0; i < 8; i++)
        bar_write(d, d->doorbells + below(0x1000 - 8), 1u << below(4), wild());
    return WENT_ON;
}

/* Work is under way when the device is reset. */
static enum outcome reset_under_load(struct device *d)
{
    for (uint16_t i = 0; i < 4; i++) {
        const struct buffer buffers[] = {{JUNK + 0x100u * i, 16, 0}, {JUNK + 0x2000, 0x4001, WRITE}};
        memset(shared(buffers[0].address), 0, 16);
        post(d, d->kind->request, (uint16_t)(SLOT + 2 * i), buffers, 2);
    }
    return device_set_up(d);
}

/* A driver that skips steps of setting up, and then does it as it should. */
static enum outcome wrong_start(struct device *d)
{
    if (device_reset(d) != WENT_ON)
        return WRONG;
    for (unsigned i = 0; i < 4; i++) {
        bar_write(d, d->common + DRIVER_FEATURE_SELECT, 4, below(2));
        bar_write(d, d->common + DRIVER_FEATURE, 4, wild());
        bar_write(d, d->common + STATUS, 1, 1 + below(255));
        device_queue_place(d, below(4), wild(), wild(), wild(), (uint16_t)wild());
        notify_device(d, below(4));
    }
    return device_set_up(d);
}

static enum outcome ring_outside(struct device *d)
{
    uint64_t at[3] = {SHARED_GPA, SHARED_GPA + 0x1000, SHARED_GPA + 0x2000};
    const uint32_t which = below(3);
    at[which] = below(2) ? outside(4) : at[which] + 1; /* a packed ring has structures of 4 bytes */
    if (device_reset(d) != WENT_ON)
        return WRONG;
    if (!device_negotiate(d))
        return wrong(d, "it refuses its own features");
    device_queue_place(d, 0, at[0], at[1], at[2], QUEUE);
    return device_dead(d) ? DEAD : WENT_ON;
}

const struct fault transport_faults[] = {
    {"a ring outside of memory", EITHER_RING, MUST_DIE, ring_outside},
    {"nonsensical wishes for interrupts", EITHER_RING, MUST_GO_ON, nonsensical_wishes},
    {"features changed in flight", EITHER_RING, MUST_GO_ON, other_features},
    {"rings changed in flight", EITHER_RING, MUST_GO_ON, other_rings},
    {"nonsense in the BAR", EITHER_RING, MUST_GO_ON, nonsense_in_bar},
    {"nonsense in the BAR", EITHER_RING, MUST_GO_ON, nonsense_in_bar},
    {"nonsensical MSI-X messages", EITHER_RING, MUST_GO_ON, nonsense_in_messages},
    {"nonsensical MSI-X messages", EITHER_RING, MUST_GO_ON, nonsense_in_messages},
    {"nonsense in configuration space", EITHER_RING, MUST_GO_ON, nonsense_in_configuration},
    {"nonsense in configuration space", EITHER_RING, MUST_GO_ON, nonsense_in_configuration},
    {"notifications of nothing", EITHER_RING, MUST_GO_ON, notifications_of_nothing},
    {"a reset under load", EITHER_RING, OURS_GOES_ON, reset_under_load},
    {"a start in a wrong order", EITHER_RING, OURS_GOES_ON, wrong_start},
};
const unsigned transport_faults_count = sizeof transport_faults / sizeof *transport_faults;
