#include "vmm/devices/watchdog.h"

#include "vmm/base/bytes.h"

#define BAR_SIZE 4096
enum { TIMER1 = 0x00, TIMER2 = 0x04, RELOAD = 0x0c }; /* in the BAR */
enum { CONFIG = 0x60, CONTROL = 0x68 };               /* in configuration space; "lock register" */

#define PRELOAD_MASK 0xfffff
enum { RELOAD_TIMER = 1 << 8, RELOAD_TIMED_OUT = 1 << 9 };
enum { CONTROL_LOCK = 1 << 0, CONTROL_ENABLE = 1 << 1 };
enum { CONFIG_INTERRUPT = 3 << 0, CONFIG_FAST = 1 << 2, CONFIG_NO_OUTPUT = 1 << 5 };
enum { UNLOCK_1 = 0x80, UNLOCK_2 = 0x86, UNLOCKED = 2 };

#define TICK_SLOW (30ull << 15) /* nanoseconds: the PCI clock divided by 2^15 or 2^5 */
#define TICK_FAST (30ull << 5)

static void start(struct watchdog *w)
{
    uint64_t ticks = (uint64_t)w->preload[0] + w->preload[1];
    bool on = (w->control & CONTROL_ENABLE) && !(w->config & CONFIG_NO_OUTPUT);
    uint64_t period = (ticks ? ticks : 1) * (w->config & CONFIG_FAST ? TICK_FAST : TICK_SLOW);
    w->timer.set(w->timer.context, on ? period : 0);
}

/* One write follows each unlocking. */
static void write_unlocked(struct watchdog *w, uint64_t offset, uint64_t value)
{
    if (offset == TIMER1 || offset == TIMER2)
        w->preload[offset == TIMER2] = (uint32_t)value & PRELOAD_MASK;
    if (offset != RELOAD)
        return;
    if (value & RELOAD_TIMED_OUT)
        w->expired_before = false;
    if (value & RELOAD_TIMER)
        start(w);
}

static void bar_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct watchdog *w = device;
    (void)len;
    pthread_mutex_lock(&w->lock);
    if (offset == RELOAD && value == UNLOCK_1) {
        w->unlocked = 1;
    } else if (offset == RELOAD && value == UNLOCK_2 && w->unlocked == 1) {
        w->unlocked = UNLOCKED;
    } else {
        if (w->unlocked == UNLOCKED)
            write_unlocked(w, offset, value);
        w->unlocked = 0;
    }
    pthread_mutex_unlock(&w->lock);
}

static uint64_t bar_read(void *device, uint64_t offset, unsigned len)
{
    struct watchdog *w = device;
    (void)len;
    pthread_mutex_lock(&w->lock);
    uint64_t value = offset == RELOAD && w->expired_before ? RELOAD_TIMED_OUT : 0;
    pthread_mutex_unlock(&w->lock);
    return value;
}

/* The registers in configuration space are memory there; what a write means is seen afterwards. A lock is for good. */
static void config_access(void *device, unsigned offset, unsigned len, bool write)
{
    struct watchdog *w = device;
    if (!write || offset + len <= CONFIG || offset > CONTROL)
        return;
    uint8_t config[2], control;
    pthread_mutex_lock(&w->lock);
    pci_config_peek(&w->function, CONFIG, config, sizeof config);
    pci_config_peek(&w->function, CONTROL, &control, sizeof control);
    if (w->control & CONTROL_LOCK) {
        control = w->control;
        pci_config_poke(&w->function, CONTROL, &control, sizeof control);
    }
    bool changed = w->control != control || w->config != le16(config);
    w->config = le16(config);
    w->control = control;
    if (changed)
        start(w);
    pthread_mutex_unlock(&w->lock);
}

static const struct pci_function_ops function_ops = {.bar = {bar_read, bar_write},
                                                     .config_access = config_access};
static const struct pci_identity identity = {.vendor = 0x8086, .device = 0x25ab, .class_code = 0x088000};

int watchdog_attach(struct watchdog *w, struct pci_bus *pci, struct watchdog_timer timer, bool expired_before,
                    struct cofre_err *err)
{
    *w = (struct watchdog){
        .timer = timer, .preload = {PRELOAD_MASK, PRELOAD_MASK}, .expired_before = expired_before};
    pthread_mutex_init(&w->lock, NULL);
    pci_function_init(&w->function, "watchdog", &identity, BAR_SIZE, &function_ops, w);
    pci_config_allow(&w->function, CONFIG, CONFIG_INTERRUPT | CONFIG_FAST | CONFIG_NO_OUTPUT);
    pci_config_allow(&w->function, CONTROL, CONTROL_LOCK | CONTROL_ENABLE);
    return pci_bus_add(pci, &w->function, err);
}

void watchdog_destroy(struct watchdog *w)
{
    pci_function_destroy(&w->function);
    pthread_mutex_destroy(&w->lock);
}
