/*
 * A host that changes what it was told to boot: cofre run's own machine, but one bit of the staging window flips after the
 * guest was measured and loaded. The guest must refuse before Linux starts.
 *   host-change none|snp kernel|initrd|cmdline|nothing KERNEL INITRD CMDLINE
 * Prints how it ended; the exit code is the machine's.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sev/launch/launch.h"
#include "vmm/machine/guest.h"
#include "vmm/machine/parts.h"

static int change(struct machine *machine, const struct boot_config *boot, const char *item,
                  struct cofre_err *err)
{
    struct boot_staging at;
    int rc = boot_staging_layout(boot, &at, err);
    if (rc || strcmp(item, "nothing") == 0)
        return rc;
    const struct {
        const char *name;
        uint64_t last;
    } items[] = {
        {"kernel", at.kernel + boot->kernel.len - 1},
        {"initrd", at.initrd + boot->initrd.len - 1},
        {"cmdline", at.cmdline + boot->cmdline.len - 1},
    };
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        if (strcmp(items[i].name, item) == 0) {
            machine->memory.staging[items[i].last] ^= 1;
            return 0;
        }
    return cofre_fail(err, COFRE_USAGE, "there is no %s to change", item);
}

static int run(char **argv, struct machine_end *end, struct cofre_err *err)
{
    const struct tee_ops *ops = strcmp(argv[1], "snp") == 0 ? &snp_tee_ops : NULL;
    const struct guest_spec spec = {
        .kernel = argv[3], .initrd = argv[4], .cmdline = argv[5], .cpus = 1, .memory = BOOT_MEMORY_MIN};
    struct guest guest;
    struct phases phases;
    struct tee_measurement measurement;
    struct machine *machine;
    struct machine_config config = {
        .backend = ops ? &kvm_backend_emulated : &kvm_backend_kernel,
        .tee_ops = ops,
        .boot = &guest.config,
        .image = &guest.image,
        .phases = &phases,
        .console_in = -1,
        .console_out = STDOUT_FILENO,
    };
    phases_start(&phases, false);
    int rc = guest_load(&guest, &spec, ops ? ops->boot_tee : BOOT_PLAIN, err);
    if (rc == 0 && ops)
        rc = ops->new (&config.tee, err);
    if (rc == 0)
        rc = machine_create(&machine, &config, &measurement, err);
    if (rc)
        return rc;
    rc = change(machine, &guest.config, argv[2], err);
    if (rc == 0)
        rc = machine_start(machine, err);
    struct pollfd ended = {.fd = machine_end_fd(machine), .events = POLLIN};
    while (rc == 0 && poll(&ended, 1, -1) < 0)
        ;
    machine_stop(machine);
    machine_join(machine, end);
    machine_free(machine);
    guest_free(&guest);
    return rc;
}

int main(int argc, char **argv)
{
    struct machine_end end = {0};
    struct cofre_err err = {{0}};
    if (argc != 6) {
        fprintf(stderr, "usage: host-change none|snp kernel|initrd|cmdline|nothing KERNEL INITRD CMDLINE\n");
        return COFRE_USAGE;
    }
    int rc = run(argv, &end, &err);
    printf("%s %s\n", machine_ending_name(end.how), rc ? err.text : end.why.text);
    return rc ? -rc : end.code;
}
