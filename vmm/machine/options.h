/* The command line of cofre-vmm. */
#ifndef COFRE_MACHINE_OPTIONS_H
#define COFRE_MACHINE_OPTIONS_H

#include "vmm/machine/guest.h"
#include "vmm/machine/machine.h"

#define OPTIONS_TEE_MAX 16

struct run_options {
    struct guest_spec guest;
    const struct tee_ops *tee; /* NULL: plain */
    struct {
        const char *name, *value;
    } tee_option[OPTIONS_TEE_MAX]; /* in the order given */
    unsigned tee_options;
    bool emulated, no_reboot, json, help;
    struct device_request device[MACHINE_DEVICES_MAX]; /* in the order given */
    unsigned devices;
    struct memory_kind memory;
    struct machine_numa numa;
    uint32_t vsock_cid; /* 0: none */
    enum machine_watchdog watchdog;
    const char *name;          /* NULL: by process id */
    const char *console;       /* NULL: standard output, or standard error with json */
    const char *console_input; /* NULL: standard input where there is no console either, else none */
    const char *launches;      /* NULL: none */
    const char *rates;         /* NULL: none */
    bool expects;
    uint8_t expected[48];
};

/* tees is ended by NULL. The strings are argv's. COFRE_USAGE. */
int run_options_parse(struct run_options *out, int argc, char **argv, const struct tee_ops *const *tees,
                      struct cofre_err *err);
void run_options_help(const struct tee_ops *const *tees);

#endif
