#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/kvm/fake.h"
#include "vmm/kvm/trace.h"

static struct kvm kvm;
static struct kvm_vm vm;
static struct kvm_vcpu vcpu;
static struct cofre_err err;

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    fake.vm_types = 1 | 1u << KVM_X86_SNP_VM;
    err.text[0] = 0;
    return kvm_open(&kvm, &fake_backend, &err) || kvm_vm_create(&vm, &kvm, KVM_X86_SNP_VM, &err) ||
           kvm_vcpu_create(&vcpu, &vm, 3, &err);
}

static int tear_down(void **state)
{
    (void)state;
    kvm_vcpu_close(&vcpu);
    kvm_vm_close(&vm);
    kvm_close(&kvm);
    return fake.open_files; /* nothing is left open */
}

static void says_what_to_do_without_dev_kvm(void **state)
{
    (void)state;
    struct kvm none;
    fake_reset();
    fake.open_error = ENOENT;
    assert_int_equal(kvm_open(&none, &fake_backend, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "modprobe"));
    fake.open_error = EACCES;
    assert_int_equal(kvm_open(&none, &fake_backend, &err), -COFRE_LACKING);
    assert_non_null(strstr(err.text, "permission denied"));
}

static void refuses_another_api_version_and_closes_the_file(void **state)
{
    (void)state;
    struct kvm none;
    fake_reset();
    fake.api_version = 11;
    assert_int_equal(kvm_open(&none, &fake_backend, &err), -COFRE_LACKING);
    assert_int_equal(fake.open_files, 0);
}

static void refuses_a_vm_type_that_the_host_lacks_without_asking_for_it(void **state)
{
    (void)state;
    struct kvm_vm other;
    unsigned before = fake_count(KVM_CREATE_VM);
    assert_int_equal(kvm_vm_create(&other, &kvm, KVM_X86_TDX_VM, &err), -COFRE_LACKING);
    assert_int_equal(fake_count(KVM_CREATE_VM), before);
}

static void a_slot_has_a_private_side_only_with_a_memfd(void **state)
{
    (void)state;
    struct kvm_slot slot = {.slot = 1, .gpa = 0x1000, .size = 0x2000, .host = (void *)0x10000, .memfd = -1};
    assert_int_equal(kvm_vm_slot_set(&vm, &slot, &err), 0);
    assert_int_equal(fake_count(KVM_SET_USER_MEMORY_REGION), 1);
    assert_int_equal(fake_count(KVM_SET_USER_MEMORY_REGION2), 0);
    slot.memfd = 7;
    slot.memfd_offset = 0x3000;
    assert_int_equal(kvm_vm_slot_set(&vm, &slot, &err), 0);
    const struct uapi_memory_region2 *r = &fake.slot[1];
    assert_int_equal(r->flags, KVM_MEM_GUEST_MEMFD);
    assert_int_equal(r->guest_memfd, 7);
    assert_int_equal(r->guest_memfd_offset, 0x3000);
    assert_int_equal(r->guest_phys_addr, 0x1000);
    assert_int_equal(r->memory_size, 0x2000);
    assert_int_equal(r->userspace_addr, 0x10000);
}

static bool refuse_slots(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    (void)argument;
    errno = EEXIST;
    *rc = -1;
    return request == KVM_SET_USER_MEMORY_REGION;
}

static void names_the_slot_that_kvm_refuses(void **state)
{
    (void)state;
    fake.answer = refuse_slots;
    struct kvm_slot slot = {.slot = 2, .gpa = 0xabc000, .size = 0x1000, .memfd = -1};
    assert_int_equal(kvm_vm_slot_set(&vm, &slot, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "slot 2"));
    assert_non_null(strstr(err.text, "0xabc000"));
    assert_non_null(strstr(err.text, strerror(EEXIST)));
}

static struct uapi_sev_cmd seen;
static bool firmware_refuses(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    if (request != KVM_MEMORY_ENCRYPT_OP)
        return false;
    seen = *(struct uapi_sev_cmd *)argument;
    ((struct uapi_sev_cmd *)argument)->error = 0x16;
    errno = EIO;
    *rc = -1;
    return true;
}

static void gives_the_errno_and_the_firmware_code_of_an_sev_command(void **state)
{
    (void)state;
    uint32_t fw_error = 99;
    struct uapi_snp_launch_update update = {.type = 6};
    fake.answer = firmware_refuses;
    assert_int_equal(kvm_vm_sev_command(&vm, UAPI_SEV_SNP_LAUNCH_UPDATE, &update, 5, &fw_error), EIO);
    assert_int_equal(fw_error, 0x16);
    assert_int_equal(seen.id, 101);
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.sev_fd, 5);
    assert_ptr_equal((void *)(uintptr_t)seen.data, &update);
    fake.answer = NULL;
    assert_int_equal(kvm_vm_sev_command(&vm, UAPI_SEV_SNP_LAUNCH_UPDATE, &update, 5, &fw_error), 0);
    assert_int_equal(fw_error, 0);
}

static int run_error;
static uint32_t run_reason;
static bool run_ends(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    (void)argument;
    if (request != KVM_RUN)
        return false;
    vcpu.run->exit_reason = run_reason;
    errno = run_error;
    *rc = run_error ? -1 : 0;
    return true;
}

static void a_memory_fault_is_an_exit_though_the_call_fails(void **state)
{
    (void)state;
    fake.answer = run_ends;
    run_error = EFAULT;
    run_reason = KVM_EXIT_MEMORY_FAULT;
    assert_int_equal(kvm_vcpu_run(&vcpu), 0);
    run_error = EHWPOISON;
    assert_int_equal(kvm_vcpu_run(&vcpu), 0);
    run_reason = KVM_EXIT_UNKNOWN;
    run_error = EFAULT;
    assert_int_equal(kvm_vcpu_run(&vcpu), EFAULT);
    run_reason = KVM_EXIT_MEMORY_FAULT;
    run_error = EINTR;
    assert_int_equal(kvm_vcpu_run(&vcpu), EINTR);
}

static bool leave_exit_alone(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    (void)argument;
    errno = EFAULT;
    *rc = -1;
    return request == KVM_RUN;
}

static void a_fault_of_the_past_is_not_taken_for_one_of_now(void **state)
{
    (void)state;
    vcpu.run->exit_reason = KVM_EXIT_MEMORY_FAULT;
    fake.answer = leave_exit_alone;
    assert_int_equal(kvm_vcpu_run(&vcpu), EFAULT);
}

static bool take_no_msr(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    (void)argument;
    *rc = 0;
    return request == KVM_SET_MSRS;
}

static void a_register_that_kvm_does_not_take_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(kvm_vcpu_set_msr(&vcpu, 0x277, 7, &err), 0);
    fake.answer = take_no_msr;
    assert_int_equal(kvm_vcpu_set_msr(&vcpu, 0x277, 7, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "0x277"));
    assert_non_null(strstr(err.text, "vCPU 3"));
}

static void sends_a_message_to_its_whole_address(void **state)
{
    (void)state;
    assert_int_equal(kvm_vm_signal_msi(&vm, 0x12fee00000, 0x4041, &err), 0);
    assert_int_equal(fake.msi.address_lo, 0xfee00000);
    assert_int_equal(fake.msi.address_hi, 0x12);
    assert_int_equal(fake.msi.data, 0x4041);
}

static void exits_are_told_in_words(void **state)
{
    (void)state;
    char words[256];
    struct kvm_run run = {.exit_reason = KVM_EXIT_IO,
                          .io = {.direction = KVM_EXIT_IO_OUT, .port = 0x3f8, .count = 1, .size = 1}};
    kvm_exit_describe(words, sizeof words, &run);
    assert_string_equal(words, "KVM_EXIT_IO out port 0x3f8, 1 x 1 bytes");
    run = (struct kvm_run){.exit_reason = KVM_EXIT_MEMORY_FAULT};
    *uapi_exit_memory_fault(&run) =
        (struct uapi_exit_memory_fault){KVM_MEMORY_EXIT_FLAG_PRIVATE, 0x5000, 0x1000};
    kvm_exit_describe(words, sizeof words, &run);
    assert_string_equal(words, "KVM_EXIT_MEMORY_FAULT private access to 0x5000");
    run.exit_reason = 4711;
    kvm_exit_describe(words, sizeof words, &run);
    assert_string_equal(words, "an unknown exit");
    assert_string_equal(kvm_request_name(KVM_SET_MEMORY_ATTRIBUTES), "KVM_SET_MEMORY_ATTRIBUTES");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
static void refuses_more_interrupt_routes_than_kvm_has(void **state)
{
    static struct kvm_msi_route routes[KVM_MSI_ROUTES_MAX + 1];
    (void)state;
    assert_int_equal(kvm_vm_set_msi_routes(&vm, routes, KVM_MSI_ROUTES_MAX, &err), 0);
    assert_int_equal(kvm_vm_set_msi_routes(&vm, routes, KVM_MSI_ROUTES_MAX + 1, &err), -COFRE_FAILED);
    assert_int_equal(fake_count(KVM_SET_GSI_ROUTING), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_to_do_without_dev_kvm),
        cmocka_unit_test(refuses_another_api_version_and_closes_the_file),
        cmocka_unit_test_setup_teardown(refuses_more_interrupt_routes_than_kvm_has, set_up, tear_down),
        TEST(refuses_a_vm_type_that_the_host_lacks_without_asking_for_it),
        TEST(a_slot_has_a_private_side_only_with_a_memfd),
        TEST(names_the_slot_that_kvm_refuses),
        TEST(gives_the_errno_and_the_firmware_code_of_an_sev_command),
        TEST(a_memory_fault_is_an_exit_though_the_call_fails),
        TEST(a_fault_of_the_past_is_not_taken_for_one_of_now),
        TEST(a_register_that_kvm_does_not_take_is_an_error),
        TEST(sends_a_message_to_its_whole_address),
        TEST(exits_are_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
