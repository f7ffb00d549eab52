/* The launch sequence against a KVM that only records and answers as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sev/cert_table.h"
#include "sev/id_block.h"
#include "sev/launch/error.h"
#include "sev/launch/launch.h"
#include "vmm/devices/memory.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/shim/abi.h"

enum { KVM_FD = 100, SEV_FD, VM_FD, VCPU_FD };

static struct {
    uint32_t commands[64];
    size_t count;
    uint32_t fail_command; /* this command fails ... */
    int fail_errno;        /* ... so */
    uint32_t fail_fw_status;
    unsigned fail_times;     /* and so often */
    uint64_t update_at_most; /* bytes that one LAUNCH_UPDATE takes; 0: all */
    bool update_stuck;       /* says 0 and does nothing */
    bool correct_cpuid;      /* the firmware's corrections appear in the page */
    bool has_req_certs;
    struct uapi_snp_launch_start start;
    struct uapi_snp_launch_finish finish;
    struct snp_id_block id_block;
    uint8_t update_types[64];
} fake;

static int fake_open(const char *path, int flags)
{
    (void)flags;
    return strcmp(path, "/dev/sev") == 0 ? SEV_FD : KVM_FD;
}

static int fake_close(int fd)
{
    (void)fd;
    return 0;
}

static bool fails(struct uapi_sev_cmd *cmd)
{
    if (fake.fail_command != cmd->id || fake.fail_times == 0)
        return false;
    fake.fail_times--;
    cmd->error = fake.fail_fw_status;
    errno = fake.fail_errno;
    return true;
}

static int fake_update(struct uapi_sev_cmd *cmd)
{
    struct uapi_snp_launch_update *u = (void *)(uintptr_t)cmd->data;
    fake.update_types[fake.count - 1] = u->type;
    if (fails(cmd)) {
        if (fake.correct_cpuid && u->type == SNP_PAGE_CPUID)
            ((struct snp_cpuid_page *)(uintptr_t)u->uaddr)->fn[0].ecx ^= 1u << 24;
        return -1;
    }
    if (fake.update_stuck)
        return 0;
    uint64_t done = fake.update_at_most && fake.update_at_most < u->len ? fake.update_at_most : u->len;
    u->gfn_start += done / SNP_PAGE_SIZE;
    u->uaddr += u->uaddr ? done : 0;
    u->len -= done;
    return 0;
}

static int fake_sev(struct uapi_sev_cmd *cmd)
{
    assert_true(fake.count < 64);
    fake.commands[fake.count++] = cmd->id;
    if (cmd->id == UAPI_SEV_SNP_LAUNCH_UPDATE)
        return fake_update(cmd);
    if (fails(cmd))
        return -1;
    if (cmd->id == UAPI_SEV_SNP_LAUNCH_START)
        fake.start = *(struct uapi_snp_launch_start *)(uintptr_t)cmd->data;
    if (cmd->id == UAPI_SEV_SNP_LAUNCH_FINISH) {
        fake.finish = *(struct uapi_snp_launch_finish *)(uintptr_t)cmd->data;
        if (fake.finish.id_block_en)
            fake.id_block = *(struct snp_id_block *)(uintptr_t)fake.finish.id_block_uaddr;
    }
    return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    if (request == KVM_MEMORY_ENCRYPT_OP)
        return fake_sev(argument);
    if (request == KVM_GET_DEVICE_ATTR) {
        struct kvm_device_attr *attr = argument;
        if (attr->attr == UAPI_X86_SEV_REQ_CERTS && fake.has_req_certs) {
            *(uint64_t *)(uintptr_t)attr->addr = 1;
            return 0;
        }
        errno = ENXIO;
        return -1;
    }
    return 0;
}

static const struct kvm_backend fake_backend = {
    .name = "fake", .open = fake_open, .ioctl = fake_ioctl, .close = fake_close};

/* A guest of two data pages, a CPUID and a secrets page, and two vCPUs. */
static uint8_t pages[2 * SNP_PAGE_SIZE] __attribute__((aligned(SNP_PAGE_SIZE)));
static const struct launch_image image = {
    .range = {{LAUNCH_MEASURED, 0x100000, sizeof pages, pages},
              {LAUNCH_CPUID, 0x109000, SNP_PAGE_SIZE, NULL},
              {LAUNCH_SECRETS, 0x10a000, SNP_PAGE_SIZE, NULL}},
    .count = 3,
    .entry = 0x100000,
    .cpus = 2,
};

struct launch {
    struct kvm kvm;
    struct kvm_vm vm;
    struct tee *tee;
    struct tee_measurement predicted, given;
    struct cofre_err err;
};

static int begin(void **state)
{
    struct launch *l = calloc(1, sizeof *l);
    memset(&fake, 0, sizeof fake);
    memset(pages, 0x5a, sizeof pages);
    l->kvm = (struct kvm){.backend = &fake_backend, .fd = KVM_FD};
    l->vm = (struct kvm_vm){.kvm = &l->kvm, .fd = VM_FD};
    assert_int_equal(snp_tee_ops.new(&l->tee, &l->err), 0);
    *state = l;
    return 0;
}

static int end(void **state)
{
    struct launch *l = *state;
    snp_tee_ops.free(l->tee);
    free(l);
    return 0;
}

static int init_vcpus(struct launch *l)
{
    int rc = 0;
    for (unsigned i = 0; i < image.cpus && rc == 0; i++) {
        struct kvm_vcpu vcpu = {.vm = &l->vm, .fd = VCPU_FD, .id = i};
        struct {
            struct kvm_cpuid2 head;
            struct kvm_cpuid_entry2 entries[2];
        } table = {
            .head.nent = 2,
            .entries = {{.function = 1, .eax = 0xa00f11}, {.function = 0x8000001f, .ebx = 51 | 1 << 6}}};
        rc = snp_tee_ops.vcpu_init(l->tee, &vcpu, i, &table.head, &image, &l->err);
    }
    return rc;
}

static int launch(struct launch *l)
{
    int rc = snp_tee_ops.measure(l->tee, &image, &l->predicted, &l->err);
    if (rc == 0)
        rc = snp_tee_ops.vm_init(l->tee, &l->kvm, &l->vm, NULL, 2, &l->err);
    if (rc == 0)
        rc = init_vcpus(l);
    if (rc == 0)
        rc = snp_tee_ops.load(l->tee, &image, &l->err);
    return rc < 0 ? rc : snp_tee_ops.finish(l->tee, &l->given, &l->err);
}

static void assert_commands(const uint32_t *expected, size_t count)
{
    assert_int_equal(fake.count, count);
    assert_memory_equal(fake.commands, expected, count * sizeof *expected);
}

static void commands_come_in_the_kernels_order(void **state)
{
    struct launch *l = *state;
    assert_int_equal(launch(l), 0);
    const uint32_t expected[] = {22, 100, 101, 101, 101, 102};
    assert_commands(expected, 6);
    const uint8_t types[] = {0, 0, SNP_PAGE_NORMAL, SNP_PAGE_CPUID, SNP_PAGE_SECRETS};
    assert_memory_equal(fake.update_types, types, sizeof types);
    assert_memory_equal(l->predicted.value, l->given.value, 48);
    assert_int_equal(fake.start.policy, 0x30000);
    assert_int_equal(fake.finish.id_block_en, 0);
}

static void a_partial_update_is_continued_to_its_end(void **state)
{
    struct launch *l = *state;
    fake.update_at_most = SNP_PAGE_SIZE;
    assert_int_equal(launch(l), 0);
    const uint32_t expected[] = {22, 100, 101, 101, 101, 101, 102};
    assert_commands(expected, 7);
}

static void an_update_without_progress_fails_instead_of_looping(void **state)
{
    struct launch *l = *state;
    fake.update_stuck = true;
    assert_int_equal(launch(l), -COFRE_FAILED);
    assert_non_null(strstr(l->err.text, "guest memory at 0x100000"));
}

static void a_cpuid_page_is_given_again_as_the_firmware_corrected_it(void **state)
{
    struct launch *l = *state;
    /* Only the CPUID page's update fails, once: the first update is the data pages'. */
    fake.fail_command = UAPI_SEV_SNP_LAUNCH_UPDATE;
    fake.fail_errno = EIO;
    fake.fail_fw_status = 0x16;
    fake.correct_cpuid = true;
    assert_int_equal(snp_tee_ops.vm_init(l->tee, &l->kvm, &l->vm, NULL, 2, &l->err), 0);
    assert_int_equal(init_vcpus(l), 0);
    const struct launch_image only_cpuid = {.range = {image.range[1]}, .count = 1, .cpus = 2};
    fake.fail_times = 1;
    assert_int_equal(snp_tee_ops.load(l->tee, &only_cpuid, &l->err), 0);
    fake.fail_times = 2;
    assert_int_equal(snp_tee_ops.load(l->tee, &only_cpuid, &l->err), -COFRE_FAILED);
    assert_non_null(strstr(l->err.text, "as the firmware corrected it"));
}

static void a_cpuid_page_refused_without_correction_fails(void **state)
{
    struct launch *l = *state;
    fake.fail_command = UAPI_SEV_SNP_LAUNCH_UPDATE;
    fake.fail_errno = EIO;
    fake.fail_fw_status = 0x16;
    assert_int_equal(snp_tee_ops.vm_init(l->tee, &l->kvm, &l->vm, NULL, 2, &l->err), 0);
    assert_int_equal(init_vcpus(l), 0);
    const struct launch_image only_cpuid = {.range = {image.range[1]}, .count = 1, .cpus = 2};
    fake.fail_times = 1;
    assert_int_equal(snp_tee_ops.load(l->tee, &only_cpuid, &l->err), -COFRE_FAILED);
    assert_non_null(strstr(l->err.text, "INVALID_PARAM"));
}

static void memory_changed_after_the_prediction_ends_the_launch_before_finish(void **state)
{
    struct launch *l = *state;
    assert_int_equal(snp_tee_ops.measure(l->tee, &image, &l->predicted, &l->err), 0);
    assert_int_equal(snp_tee_ops.expect(l->tee, &l->predicted, &l->err), 0);
    pages[SNP_PAGE_SIZE] ^= 1;
    assert_int_equal(launch(l), -COFRE_NEGATIVE);
    assert_non_null(strstr(l->err.text, "no vCPU ran"));
    assert_int_not_equal(fake.commands[fake.count - 1], UAPI_SEV_SNP_LAUNCH_FINISH);
}

static void an_expected_digest_is_put_before_the_firmware(void **state)
{
    struct launch *l = *state;
    assert_int_equal(snp_tee_ops.measure(l->tee, &image, &l->predicted, &l->err), 0);
    assert_int_equal(snp_tee_ops.expect(l->tee, &l->predicted, &l->err), 0);
    assert_int_equal(launch(l), 0);
    assert_int_equal(fake.finish.id_block_en, 1);
    assert_int_equal(fake.finish.auth_key_en, 0);
    assert_memory_equal(fake.id_block.launch_digest, l->predicted.value, 48);
    assert_int_equal(fake.id_block.policy, fake.start.policy);
}

static void a_digest_that_the_firmware_refuses_is_a_negative_outcome(void **state)
{
    struct launch *l = *state;
    fake.fail_command = UAPI_SEV_SNP_LAUNCH_FINISH;
    fake.fail_errno = EIO;
    fake.fail_fw_status = 0x0b;
    fake.fail_times = 1;
    assert_int_equal(launch(l), -COFRE_NEGATIVE);
    assert_non_null(strstr(l->err.text, "BAD_MEASUREMENT"));
}

static void options_by_name_reach_the_firmware(void **state)
{
    struct launch *l = *state;
    char host_data[65];
    memset(host_data, 'a', 64);
    host_data[64] = 0;
    assert_int_equal(snp_tee_ops.set_option(l->tee, "policy", "smt,debug", &l->err), 0);
    assert_int_equal(snp_tee_ops.set_option(l->tee, "host-data", host_data, &l->err), 0);
    assert_int_equal(launch(l), 0);
    assert_int_equal(fake.start.policy, 0xb0000);
    assert_int_equal(fake.finish.host_data[0], 0xaa);
    assert_int_equal(fake.finish.host_data[31], 0xaa);
}

static void options_that_cannot_be_are_refused_by_name(void **state)
{
    struct launch *l = *state;
    assert_int_equal(snp_tee_ops.set_option(l->tee, "host-data", "aa", &l->err), -COFRE_USAGE);
    assert_non_null(strstr(l->err.text, "--host-data aa"));
    assert_true(snp_tee_ops.set_option(l->tee, "policy", "smt,fast", &l->err) < 0);
    assert_true(snp_tee_ops.set_option(l->tee, "id-block", "/nonexistent", &l->err) < 0);
    assert_non_null(strstr(l->err.text, "/nonexistent"));
    assert_int_equal(snp_tee_ops.set_option(l->tee, "mrowner", "00", &l->err), -COFRE_USAGE);
}

/* Writes a file and gives it to --certificates. */
static int give_file(struct launch *l, struct view data)
{
    char path[] = "/tmp/cofre-certificates-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, data.data, data.len), data.len);
    close(fd);
    int rc = snp_tee_ops.set_option(l->tee, "certificates", path, &l->err);
    unlink(path);
    return rc;
}

/* A table of one certificate, two pages in all. */
#define TABLE_SIZE (2 * 24 + 5000)
static void give_certificates(struct launch *l)
{
    static uint8_t certificate[5000];
    memset(certificate, 0xc7, sizeof certificate);
    const struct snp_cert_entry entry = {.kind = SNP_CERT_VCEK, .data = {certificate, sizeof certificate}};
    struct bytes table;
    assert_int_equal(snp_cert_table_build(&table, &entry, 1, &l->err), 0);
    assert_int_equal(table.len, TABLE_SIZE);
    assert_int_equal(give_file(l, bytes_view(&table)), 0);
    bytes_free(&table);
}

static void certificates_that_are_none_are_refused(void **state)
{
    struct launch *l = *state;
    assert_int_equal(give_file(l, (struct view){(const uint8_t *)"no table", 8}), -COFRE_MALFORMED);
    assert_int_equal(give_file(l, (struct view){NULL, 0}), -COFRE_MALFORMED);
    assert_non_null(strstr(l->err.text, "--certificates"));
}

static bool was_given(uint32_t command)
{
    for (size_t i = 0; i < fake.count; i++)
        if (fake.commands[i] == command)
            return true;
    return false;
}

static void a_kernel_that_never_asks_for_certificates_does_not_stop_the_launch(void **state)
{
    struct launch *l = *state;
    give_certificates(l);
    assert_int_equal(launch(l), 0);
    assert_false(was_given(UAPI_SEV_SNP_ENABLE_REQ_CERTS));
}

static void the_guest_gets_the_certificates_that_it_has_room_for(void **state)
{
    struct launch *l = *state;
    fake.has_req_certs = true;
    give_certificates(l);
    assert_int_equal(launch(l), 0);
    assert_true(was_given(UAPI_SEV_SNP_ENABLE_REQ_CERTS));

    static uint8_t ram[3 * SNP_PAGE_SIZE];
    struct guest_memory memory = {0};
    assert_int_equal(guest_memory_add(&memory, 0x1000, sizeof ram, ram, &l->err), 0);
    struct kvm_run run = {.exit_reason = KVM_EXIT_SNP_REQ_CERTS};
    struct kvm_vcpu vcpu = {.run = &run};
    struct uapi_exit_snp_req_certs *request = uapi_exit_snp_req_certs(&run);
    int code = 0;

    *request = (struct uapi_exit_snp_req_certs){.gpa = 0x1000, .npages = 1};
    assert_int_equal(snp_tee_ops.exit(l->tee, &memory, &vcpu, &code, &l->err), TEE_EXIT_CONTINUE);
    assert_int_equal(request->ret, ENOSPC);
    assert_int_equal(request->npages, 2);
    assert_int_equal(ram[0], 0);

    *request = (struct uapi_exit_snp_req_certs){.gpa = 0x1000, .npages = 2};
    assert_int_equal(snp_tee_ops.exit(l->tee, &memory, &vcpu, &code, &l->err), TEE_EXIT_CONTINUE);
    assert_int_equal(request->ret, 0);
    assert_int_equal(ram[TABLE_SIZE - 1], 0xc7);
    assert_int_equal(ram[TABLE_SIZE], 0);

    *request = (struct uapi_exit_snp_req_certs){.gpa = 0x3000, .npages = 2}; /* runs past the end of memory */
    assert_int_equal(snp_tee_ops.exit(l->tee, &memory, &vcpu, &code, &l->err), TEE_EXIT_CONTINUE);
    assert_int_equal(request->ret, EIO);
}

/* Each refusal has its own sentence: what is wrong and what to do. */
static void every_refusal_says_what_is_wrong(void **state)
{
    struct launch *l = *state;
    static const struct {
        uint32_t command;
        int error;
        uint32_t fw_status;
        const char *says;
        int code;
    } cases[] = {
        {UAPI_SEV_INIT2, EBUSY, 0, "ASID", COFRE_LACKING},
        {UAPI_SEV_INIT2, ENOTTY, 0, "switched off", COFRE_LACKING},
        {UAPI_SEV_SNP_LAUNCH_START, EINVAL, 0, "--policy", COFRE_FAILED},
        {UAPI_SEV_SNP_LAUNCH_START, EIO, 0x07, "POLICY_FAILURE", COFRE_FAILED},
        {UAPI_SEV_SNP_LAUNCH_START, ETIMEDOUT, 0, "security processor", COFRE_LACKING},
        {UAPI_SEV_SNP_LAUNCH_FINISH, EIO, 0x0a, "BAD_SIGNATURE", COFRE_FAILED},
        {UAPI_SEV_SNP_LAUNCH_FINISH, EIO, 0xff, "does not list", COFRE_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = snp_launch_failed(&l->err, cases[i].command, cases[i].error, cases[i].fw_status);
        assert_int_equal(rc, -cases[i].code);
        assert_non_null(strstr(l->err.text, cases[i].says));
    }
}

static void a_refusal_of_the_shim_is_told_in_its_words(void **state)
{
    struct launch *l = *state;
    struct kvm_run run = {.exit_reason = KVM_EXIT_SYSTEM_EVENT};
    struct kvm_vcpu vcpu = {.run = &run};
    run.system_event.type = KVM_SYSTEM_EVENT_SEV_TERM;
    run.system_event.ndata = 1;
    run.system_event.data[0] = 0x100 | (uint64_t)SHIM_TERM_SET << 12 | (uint64_t)SHIM_TERM_KERNEL_HASH << 16;
    const struct guest_memory memory = {0};
    int code = 0;
    assert_int_equal(snp_tee_ops.exit(l->tee, &memory, &vcpu, &code, &l->err), TEE_EXIT_STOP);
    assert_int_equal(code, -COFRE_NEGATIVE);
    assert_non_null(strstr(l->err.text, "kernel"));
    run.exit_reason = KVM_EXIT_IO;
    assert_int_equal(snp_tee_ops.exit(l->tee, &memory, &vcpu, &code, &l->err), TEE_EXIT_UNKNOWN);
}

#define with_launch(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_launch(commands_come_in_the_kernels_order),
        with_launch(a_partial_update_is_continued_to_its_end),
        with_launch(an_update_without_progress_fails_instead_of_looping),
        with_launch(a_cpuid_page_is_given_again_as_the_firmware_corrected_it),
        with_launch(a_cpuid_page_refused_without_correction_fails),
        with_launch(memory_changed_after_the_prediction_ends_the_launch_before_finish),
        with_launch(an_expected_digest_is_put_before_the_firmware),
        with_launch(a_digest_that_the_firmware_refuses_is_a_negative_outcome),
        with_launch(options_by_name_reach_the_firmware),
        with_launch(options_that_cannot_be_are_refused_by_name),
        with_launch(a_kernel_that_never_asks_for_certificates_does_not_stop_the_launch),
        with_launch(certificates_that_are_none_are_refused),
        with_launch(the_guest_gets_the_certificates_that_it_has_room_for),
        with_launch(every_refusal_says_what_is_wrong),
        with_launch(a_refusal_of_the_shim_is_told_in_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
