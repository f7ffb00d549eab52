/* A whole machine on a KVM whose vCPUs do what a test tells them: exits, ends, and nothing that hangs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <poll.h>
#include <sched.h>

#include "tests/unit/kvm/fake.h"
#include "tests/unit/machine/staged.h"
#include "vmm/machine/acpi.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/parts.h"

#define CPUS 3

static struct boot_config boot;
static struct launch_image image;
static struct phases phases;
static struct machine_config config;
static struct machine *machine;
static struct machine_end end;
static struct cofre_err err;
static int output; /* the console's memfd */

/* vCPU 0's exits, one a KVM_RUN; afterwards, and for the others, KVM_RUN lasts until a signal. */
struct scripted {
    void (*leave)(struct kvm_run *run);
    void (*check)(const struct kvm_run *run); /* what the machine answered; called at the next KVM_RUN */
};
static const struct scripted *script;
static unsigned script_len, script_at;
static struct kvm_run *runs[CPUS];
static int run_of_fd[1024], vcpus;

static void *recording_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    void *p = fake_backend.mmap(address, length, protection, flags, fd, offset);
    run_of_fd[fd] = vcpus;
    runs[vcpus++] = p;
    return p;
}

static bool run_script(int fd, unsigned long request, void *argument, int *rc)
{
    (void)argument;
    if (request != KVM_RUN)
        return false;
    struct kvm_run *run = runs[run_of_fd[fd]];
    *rc = 0;
    if (run == runs[0] && script_at > 0 && script_at <= script_len && script[script_at - 1].check)
        script[script_at - 1].check(run);
    if (run == runs[0] && script_at < script_len) {
        script[script_at++].leave(run);
        return true;
    }
    while (!__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST))
        sched_yield(); /* a guest that runs: only a kick ends it */
    errno = EINTR;
    *rc = -1;
    return true;
}

static struct kvm_backend backend;

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    fake.answer = run_script;
    script_at = script_len = 0;
    vcpus = 0;
    backend = fake_backend;
    backend.mmap = recording_mmap;
    phases_start(&phases, true);
    output = memfd_create("console", MFD_CLOEXEC);
    boot =
        (struct boot_config){.memory = 256ull << 20, .cpus = CPUS, .kernel = {(const uint8_t *)"kernel", 6}};
    boot.window = staged_window(&boot);
    image = (struct launch_image){.entry = 0x100000, .cpus = CPUS};
    config = (struct machine_config){.backend = &backend,
                                     .boot = &boot,
                                     .image = &image,
                                     .phases = &phases,
                                     .console_in = -1,
                                     .console_out = output};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_free(machine);
    machine = NULL;
    close(output);
    return fake.open_files;
}

static void run_to_its_end(const struct scripted *steps, unsigned count)
{
    script = steps;
    script_len = count;
    assert_int_equal(machine_create(&machine, &config, NULL, &err), 0);
    assert_int_equal(machine_start(machine, &err), 0);
    machine_go(machine);
    struct pollfd fd = {.fd = machine_end_fd(machine), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 10000), 1);
    machine_join(machine, &end);
}

static void port(struct kvm_run *run, bool out, uint16_t number, uint8_t value)
{
    run->exit_reason = KVM_EXIT_IO;
    run->io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
    run->io.port = number;
    run->io.size = 1;
    run->io.count = 1;
    run->io.data_offset = 4096;
    ((uint8_t *)run)[4096] = value;
}

static void powers_off(struct kvm_run *run)
{
    port(run, true, ACPI_PORT_SLEEP_CONTROL, ACPI_POWER_OFF);
}
static void resets(struct kvm_run *run)
{
    port(run, true, ACPI_PORT_RESET, ACPI_RESET_VALUE);
}
static void writes_another_sleep_type(struct kvm_run *run)
{
    port(run, true, ACPI_PORT_SLEEP_CONTROL, 0x20 | 3 << 2);
}
static void reads_an_empty_port(struct kvm_run *run)
{
    port(run, false, 0x64, 0);
}
static void got_all_ones(const struct kvm_run *run)
{
    assert_int_equal(((const uint8_t *)run)[4096], 0xff);
}
static void prints(struct kvm_run *run)
{
    port(run, true, 0x3f8, 'h');
    run->io.count = 2;
    ((uint8_t *)run)[4097] = 'i';
}
static void reads_the_host_bridge(struct kvm_run *run)
{
    run->exit_reason = KVM_EXIT_MMIO;
    run->mmio.phys_addr = PCI_ECAM_BASE;
    run->mmio.len = 4;
    run->mmio.is_write = 0;
    memset(run->mmio.data, 0, sizeof run->mmio.data);
}
static void found_one(const struct kvm_run *run)
{
    uint32_t id;
    memcpy(&id, run->mmio.data, sizeof id);
    assert_int_not_equal(id, 0);
    assert_int_not_equal(id, UINT32_MAX);
}
static void reads_no_device(struct kvm_run *run)
{
    reads_the_host_bridge(run);
    run->mmio.phys_addr = 0xd0000000;
    run->mmio.len = 8;
}
static void mmio_got_all_ones(const struct kvm_run *run)
{
    for (int i = 0; i < 8; i++)
        assert_int_equal(run->mmio.data[i], 0xff);
}
static void asks_to_convert(struct kvm_run *run)
{
    run->exit_reason = KVM_EXIT_HYPERCALL;
    run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
    run->hypercall.args[0] = 0x1000;
    run->hypercall.args[1] = 1;
    run->hypercall.args[2] = UAPI_MAP_GPA_PRIVATE;
    run->hypercall.ret = 0;
}
static void asks_to_convert_the_world(struct kvm_run *run)
{
    asks_to_convert(run);
    run->hypercall.args[1] = UINT64_MAX;
}
static void asks_to_convert_what_it_has_not(struct kvm_run *run)
{
    asks_to_convert(run);
    run->hypercall.args[0] = 1ull << 40;
}
static void was_refused(const struct kvm_run *run)
{
    assert_int_equal(run->hypercall.ret, EINVAL);
}
static void touches_private_memory(struct kvm_run *run)
{
    run->exit_reason = KVM_EXIT_MEMORY_FAULT;
    *uapi_exit_memory_fault(run) =
        (struct uapi_exit_memory_fault){KVM_MEMORY_EXIT_FLAG_PRIVATE, 0xd0000000, 0x1000};
}
static void dies_of_a_triple_fault(struct kvm_run *run)
{
    run->exit_reason = KVM_EXIT_SHUTDOWN;
}
static void does_something_new(struct kvm_run *run)
{
    run->exit_reason = 4711;
}
static void shim_says_verified(struct kvm_run *run)
{
    port(run, true, SHIM_PORT, SHIM_PHASE_VERIFIED);
}
static void shim_says_another_kernel(struct kvm_run *run)
{
    port(run, true, SHIM_PORT, SHIM_PHASE_TERM | SHIM_TERM_KERNEL_HASH);
}
static void shim_says_an_unknown_code(struct kvm_run *run)
{
    port(run, true, SHIM_PORT, SHIM_PHASE_TERM | 0x7f);
}

#define RUN(...)                                                                                             \
    do {                                                                                                     \
        const struct scripted steps_[] = {__VA_ARGS__};                                                      \
        run_to_its_end(steps_, sizeof steps_ / sizeof steps_[0]);                                            \
    } while (0)

static void a_guest_that_powers_off_ends_with_0(void **state)
{
    (void)state;
    RUN({writes_another_sleep_type, NULL}, {powers_off, NULL});
    assert_int_equal(end.how, MACHINE_POWER_OFF);
    assert_int_equal(end.code, 0);
    assert_true(phases.seconds[PHASE_LAUNCHED] > 0 &&
                phases.seconds[PHASE_ENDED] >= phases.seconds[PHASE_LAUNCHED]);
}

static void a_guest_that_restarts_ends(void **state)
{
    (void)state;
    RUN({resets, NULL});
    assert_int_equal(end.how, MACHINE_RESET);
    assert_int_equal(end.code, 0);
}

static void a_guest_that_asks_for_nonsense_in_a_loop_fills_no_log(void **state)
{
    enum { TIMES = 100 };
    struct scripted steps[TIMES + 1];
    char said[8192] = {0};
    unsigned lines = 0;
    int log = memfd_create("log", MFD_CLOEXEC), before = dup(2);
    (void)state;
    for (unsigned i = 0; i < TIMES; i++)
        steps[i] = (struct scripted){asks_to_convert_what_it_has_not, was_refused};
    steps[TIMES] = (struct scripted){powers_off, NULL};
    dup2(log, 2);
    run_to_its_end(steps, TIMES + 1);
    dup2(before, 2);
    close(before);
    assert_true(pread(log, said, sizeof said - 1, 0) > 0);
    close(log);
    for (const char *at = said; (at = strstr(at, "vCPU 0: ")); at++)
        lines++;
    assert_int_equal(end.how, MACHINE_POWER_OFF);
    assert_int_equal(lines, LOG_ALLOWED);
    assert_non_null(strstr(said, "more such lines are left out"));
}

static void start_one_that_runs_for_ever(void)
{
    script_len = 0;
    assert_int_equal(machine_create(&machine, &config, NULL, &err), 0);
    assert_int_equal(machine_start(machine, &err), 0);
    machine_go(machine);
}

static void wait_for_its_end(void)
{
    int nothing[2];
    bool other = true;
    assert_int_equal(pipe(nothing), 0);
    assert_int_equal(machine_wait(machine, nothing[0], &other, &err), 0);
    assert_false(other);
    machine_join(machine, &end);
    close(nothing[0]);
    close(nothing[1]);
}

static void a_watchdog_that_expires_ends_the_guest_as_asked(void **state)
{
    (void)state;
    config.watchdog = WATCHDOG_RESET;
    start_one_that_runs_for_ever();
    machine_watchdog_set(machine, 1);
    wait_for_its_end();
    assert_int_equal(end.how, MACHINE_RESET);
    assert_int_equal(end.code, 0);
    assert_non_null(strstr(end.why.text, "watchdog"));
    assert_true(phases.seconds[PHASE_EXPIRED] > 0);

    tear_down(NULL);
    set_up(NULL);
    config.watchdog = WATCHDOG_STOP;
    start_one_that_runs_for_ever();
    machine_watchdog_set(machine, 1);
    wait_for_its_end();
    assert_int_equal(end.how, MACHINE_FAILED);
    assert_int_equal(end.code, COFRE_FAILED);
}

/* The waiting thread gets the first time, and a later one behind its back. */
static void a_watchdog_that_is_stopped_in_time_does_nothing(void **state)
{
    (void)state;
    config.watchdog = WATCHDOG_RESET;
    start_one_that_runs_for_ever();
    machine_watchdog_set(machine, 3600ull * 1000000000);
    machine_watchdog_set(machine, 0);
    machine_panicked(machine, PVPANIC_SHUTDOWN);
    wait_for_its_end();
    assert_int_equal(end.how, MACHINE_POWER_OFF);
    assert_true(phases.seconds[PHASE_EXPIRED] == 0);
}

static void a_panic_is_told_and_ends_the_guest_if_it_stands_still(void **state)
{
    (void)state;
    start_one_that_runs_for_ever();
    machine_panicked(machine, PVPANIC_PANICKED);
    assert_true(phases.seconds[PHASE_PANICKED] > 0);
    assert_true(atomic_load(&machine->alarm[ALARM_PANIC]) > 0);
    machine_alarm_set(machine, ALARM_PANIC, 1); /* as if its minute was over */
    wait_for_its_end();
    assert_int_equal(end.how, MACHINE_FAILED);
    assert_int_equal(end.code, COFRE_FAILED);
    assert_non_null(strstr(end.why.text, "panicked"));
}

static void a_guest_that_saves_a_dump_is_left_to_it(void **state)
{
    (void)state;
    start_one_that_runs_for_ever();
    machine_panicked(machine, PVPANIC_CRASH_LOADED);
    assert_true(phases.seconds[PHASE_DUMPING] > 0);
    assert_int_equal(atomic_load(&machine->alarm[ALARM_PANIC]), 0);
    machine_stop(machine);
    wait_for_its_end();
    assert_int_equal(end.how, MACHINE_STOPPED);
}

static void chooses_the_shutdown_status(struct kvm_run *run)
{
    port(run, true, 0x70, 0x8f);
}
static void chooses_it_for_a_warm_start(struct kvm_run *run)
{
    port(run, true, 0x70, 0x0f);
}
static void writes_0_to_cmos(struct kvm_run *run)
{
    port(run, true, 0x71, 0);
}
static void writes_10_to_cmos(struct kvm_run *run)
{
    port(run, true, 0x71, 0xa);
}

static void a_restart_through_the_bios_that_is_not_there_ends_too(void **state)
{
    (void)state;
    RUN({chooses_the_shutdown_status, NULL}, {writes_0_to_cmos, NULL});
    assert_int_equal(end.how, MACHINE_RESET);
}

static void other_writes_to_cmos_mean_nothing(void **state)
{
    (void)state;
    RUN({chooses_it_for_a_warm_start, NULL}, {writes_10_to_cmos, NULL}, {writes_0_to_cmos, NULL},
        {chooses_the_shutdown_status, NULL}, {writes_10_to_cmos, NULL}, {powers_off, NULL});
    assert_int_equal(end.how, MACHINE_POWER_OFF);
}

static void the_first_end_counts(void **state)
{
    (void)state;
    RUN({resets, NULL}, {powers_off, NULL});
    assert_int_equal(end.how, MACHINE_RESET);
}

static void what_nobody_answers_reads_as_ones(void **state)
{
    (void)state;
    RUN({reads_an_empty_port, got_all_ones}, {reads_no_device, mmio_got_all_ones}, {powers_off, NULL});
    assert_int_equal(end.how, MACHINE_POWER_OFF);
}

static void the_guest_finds_serial_port_and_pci(void **state)
{
    (void)state;
    RUN({prints, NULL}, {reads_the_host_bridge, found_one}, {powers_off, NULL});
    char text[3] = {0};
    assert_int_equal(pread(output, text, 2, 0), 2);
    assert_string_equal(text, "hi");
}

static void a_conversion_that_cannot_be_is_refused_and_the_guest_goes_on(void **state)
{
    (void)state;
    RUN({asks_to_convert, was_refused}, {asks_to_convert_the_world, was_refused}, {powers_off, NULL});
    assert_int_equal(end.how, MACHINE_POWER_OFF);
    assert_int_equal(fake_count(KVM_SET_MEMORY_ATTRIBUTES), 0);
}

static void a_guest_that_does_the_impossible_is_ended_with_a_sentence(void **state)
{
    (void)state;
    const struct {
        void (*leave)(struct kvm_run *run);
        const char *says;
    } cases[] = {
        {touches_private_memory, "0xd0000000 as private memory"},
        {dies_of_a_triple_fault, "triple fault on vCPU 0"},
        {does_something_new, "an unknown exit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (i) {
            tear_down(NULL);
            set_up(NULL);
        }
        RUN({cases[i].leave, NULL});
        assert_int_equal(end.how, MACHINE_FAILED);
        assert_int_equal(end.code, COFRE_FAILED);
        assert_non_null(strstr(end.why.text, cases[i].says));
    }
}

static void the_window_goes_when_the_shim_has_verified(void **state)
{
    (void)state;
    RUN({shim_says_verified, NULL}, {powers_off, NULL});
    assert_int_equal(fake.slot[2].guest_phys_addr, STAGING_BASE);
    assert_int_equal(fake.slot[2].memory_size, 0);
    assert_true(phases.seconds[PHASE_VERIFIED] > 0);
}

static void a_shim_that_refuses_the_kernel_says_so(void **state)
{
    (void)state;
    RUN({shim_says_another_kernel, NULL});
    assert_int_equal(end.how, MACHINE_FAILED);
    assert_int_equal(end.code, COFRE_NEGATIVE);
    assert_non_null(strstr(end.why.text, "kernel"));
}

static void an_unknown_code_of_the_shim_is_survived(void **state)
{
    (void)state;
    RUN({shim_says_an_unknown_code, NULL});
    assert_int_equal(end.code, COFRE_FAILED);
}

static void a_running_guest_can_be_stopped(void **state)
{
    (void)state;
    assert_int_equal(machine_create(&machine, &config, NULL, &err), 0);
    assert_int_equal(machine_start(machine, &err), 0);
    machine_go(machine);
    machine_stop(machine);
    machine_join(machine, &end);
    assert_int_equal(end.how, MACHINE_STOPPED);
    assert_int_equal(end.code, 0);
}

static void nothing_of_a_guest_runs_before_it_is_let(void **state)
{
    (void)state;
    assert_int_equal(machine_create(&machine, &config, NULL, &err), 0);
    assert_int_equal(machine_start(machine, &err), 0);
    machine_stop(machine);
    machine_join(machine, &end);
    assert_int_equal(end.how, MACHINE_STOPPED);
    assert_int_equal(fake_count(KVM_RUN), 0);
}

static bool refuse_third_vcpu(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    errno = ENOSPC;
    *rc = -1;
    return request == KVM_CREATE_VCPU && (uintptr_t)argument == 2;
}

static void a_machine_that_cannot_be_built_leaves_nothing(void **state)
{
    (void)state;
    fake.answer = refuse_third_vcpu;
    assert_int_equal(machine_create(&machine, &config, NULL, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "vCPU 2"));
    machine = NULL;
}

static unsigned tee_freed;
static void free_tee(struct tee *tee)
{
    (void)tee;
    assert_true(fake.open_files > 0); /* KVM is still open */
    tee_freed++;
}
static int refuse_vm(struct tee *tee, struct kvm *kvm, struct kvm_vm *vm, const struct kvm_cpuid2 *cpuid,
                     unsigned cpus, struct cofre_err *e)
{
    (void)tee, (void)kvm, (void)vm, (void)cpuid, (void)cpus;
    return cofre_fail(e, COFRE_LACKING, "no such firmware");
}

static void a_tee_that_refuses_is_freed_once_and_nothing_runs(void **state)
{
    (void)state;
    const struct tee_ops ops = {.vm_type = KVM_X86_SNP_VM, .vm_init = refuse_vm, .free = free_tee};
    fake.vm_types = 1u << KVM_X86_SNP_VM;
    config.tee_ops = &ops;
    assert_int_equal(machine_create(&machine, &config, NULL, &err), -COFRE_LACKING);
    assert_string_equal(err.text, "no such firmware");
    assert_int_equal(tee_freed, 1);
    assert_int_equal(fake_count(KVM_RUN), 0);
    machine = NULL;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_guest_that_powers_off_ends_with_0),
        TEST(a_guest_that_restarts_ends),
        TEST(a_guest_that_asks_for_nonsense_in_a_loop_fills_no_log),
        TEST(a_watchdog_that_expires_ends_the_guest_as_asked),
        TEST(a_watchdog_that_is_stopped_in_time_does_nothing),
        TEST(a_panic_is_told_and_ends_the_guest_if_it_stands_still),
        TEST(a_guest_that_saves_a_dump_is_left_to_it),
        TEST(a_restart_through_the_bios_that_is_not_there_ends_too),
        TEST(other_writes_to_cmos_mean_nothing),
        TEST(the_first_end_counts),
        TEST(what_nobody_answers_reads_as_ones),
        TEST(the_guest_finds_serial_port_and_pci),
        TEST(a_conversion_that_cannot_be_is_refused_and_the_guest_goes_on),
        TEST(a_guest_that_does_the_impossible_is_ended_with_a_sentence),
        TEST(the_window_goes_when_the_shim_has_verified),
        TEST(a_shim_that_refuses_the_kernel_says_so),
        TEST(an_unknown_code_of_the_shim_is_survived),
        TEST(a_running_guest_can_be_stopped),
        TEST(nothing_of_a_guest_runs_before_it_is_let),
        TEST(a_machine_that_cannot_be_built_leaves_nothing),
        TEST(a_tee_that_refuses_is_freed_once_and_nothing_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
