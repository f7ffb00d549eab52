#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/unit/kvm/fake.h"
#include "vmm/machine/shortcut.h"

#define FIRST_GSI 24

/* What KVM was told last, and whether it does it. */
static struct {
    struct kvm_ioeventfd doorbell;
    struct kvm_irqfd irqfd;
    unsigned routes;
    struct kvm_irq_routing_entry route[SHORTCUT_MESSAGES_MAX];
    unsigned long refuses; /* this request */
    unsigned lacks;        /* this capability */
} told;

static bool answer(int fd, unsigned long request, void *argument, int *rc)
{
    (void)fd;
    *rc = 0;
    if (request == KVM_CHECK_EXTENSION && told.lacks && (uintptr_t)argument == told.lacks)
        return true;
    if (request == told.refuses) {
        errno = ENOSPC;
        *rc = -1;
        return true;
    }
    if (request == KVM_IOEVENTFD)
        memcpy(&told.doorbell, argument, sizeof told.doorbell);
    if (request == KVM_IRQFD)
        memcpy(&told.irqfd, argument, sizeof told.irqfd);
    if (request == KVM_SET_GSI_ROUTING) {
        const struct kvm_irq_routing *table = argument;
        told.routes = table->nr;
        memcpy(told.route, table->entries, table->nr * sizeof table->entries[0]);
    }
    return false;
}

static struct kvm kvm;
static struct kvm_vm vm;
static struct shortcuts shortcuts;
static struct pci_shortcut_ops ops;

static int set_up(void **state)
{
    struct cofre_err err;
    (void)state;
    fake_reset();
    memset(&told, 0, sizeof told);
    fake.answer = answer;
    if (kvm_open(&kvm, &fake_backend, &err) || kvm_vm_create(&vm, &kvm, KVM_X86_DEFAULT_VM, &err))
        return -1;
    shortcuts_init(&shortcuts, &vm, FIRST_GSI, &ops);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shortcuts_destroy(&shortcuts);
    kvm_vm_close(&vm);
    kvm_close(&kvm);
    return fake.open_files;
}

static void a_doorbell_is_an_ioeventfd_of_any_length(void **state)
{
    (void)state;
    assert_true(ops.doorbell(ops.context, 0xe0003004, 9, true));
    assert_int_equal(told.doorbell.addr, 0xe0003004);
    assert_int_equal(told.doorbell.fd, 9);
    assert_int_equal(told.doorbell.len, 0);
    assert_int_equal(told.doorbell.flags, 0);
    assert_true(ops.doorbell(ops.context, 0xe0003004, 9, false));
    assert_int_equal(told.doorbell.flags, KVM_IOEVENTFD_FLAG_DEASSIGN);
    told.refuses = KVM_IOEVENTFD;
    assert_false(ops.doorbell(ops.context, 0xe0003004, 9, true));
}

static void a_message_is_a_route_and_an_irqfd(void **state)
{
    (void)state;
    assert_true(ops.message(ops.context, 9, true, 0x1fee01000, 0x41));
    assert_int_equal(told.routes, 1);
    assert_int_equal(told.route[0].gsi, FIRST_GSI);
    assert_int_equal(told.route[0].type, KVM_IRQ_ROUTING_MSI);
    assert_int_equal(told.route[0].u.msi.address_lo, 0xfee01000);
    assert_int_equal(told.route[0].u.msi.address_hi, 1);
    assert_int_equal(told.route[0].u.msi.data, 0x41);
    assert_int_equal(told.irqfd.fd, 9);
    assert_int_equal(told.irqfd.gsi, FIRST_GSI);
    assert_int_equal(told.irqfd.flags, 0);
    /* another message for the same descriptor is another route, of the same interrupt */
    assert_true(ops.message(ops.context, 9, true, 0xfee02000, 0x42));
    assert_int_equal(told.routes, 1);
    assert_int_equal(told.route[0].u.msi.data, 0x42);
    assert_int_equal(fake_count(KVM_IRQFD), 1);
    /* another descriptor's keeps the first's */
    assert_true(ops.message(ops.context, 10, true, 0xfee03000, 0x43));
    assert_int_equal(told.routes, 2);
    assert_int_equal(told.route[0].u.msi.data, 0x42);
    assert_int_equal(told.route[1].gsi, FIRST_GSI + 1);
    assert_int_equal(told.irqfd.gsi, FIRST_GSI + 1);
}

static void what_is_taken_back_is_used_again(void **state)
{
    (void)state;
    for (int fd = 9; fd < 12; fd++)
        assert_true(ops.message(ops.context, fd, true, 0xfee00000, (uint32_t)fd));
    assert_true(ops.message(ops.context, 10, false, 0, 0));
    assert_int_equal(told.irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
    assert_int_equal(told.irqfd.gsi, FIRST_GSI + 1);
    assert_false(ops.message(ops.context, 10, false, 0, 0));
    assert_true(ops.message(ops.context, 20, true, 0xfee00000, 20));
    assert_int_equal(told.irqfd.gsi, FIRST_GSI + 1);
    assert_int_equal(told.routes, 3);
    assert_int_equal(told.route[1].u.msi.data, 20);
}

static void there_is_an_end_to_messages(void **state)
{
    (void)state;
    for (int fd = 0; fd < SHORTCUT_MESSAGES_MAX; fd++)
        assert_true(ops.message(ops.context, fd, true, 0xfee00000, 1));
    assert_false(ops.message(ops.context, SHORTCUT_MESSAGES_MAX, true, 0xfee00000, 1));
    assert_true(ops.message(ops.context, 0, false, 0, 0));
    assert_true(ops.message(ops.context, SHORTCUT_MESSAGES_MAX, true, 0xfee00000, 1));
}

static void what_kvm_refuses_changes_nothing(void **state)
{
    (void)state;
    assert_true(ops.message(ops.context, 9, true, 0xfee01000, 0x41));
    told.refuses = KVM_SET_GSI_ROUTING;
    assert_false(ops.message(ops.context, 9, true, 0xfee01000, 0x42));
    assert_false(ops.message(ops.context, 10, true, 0xfee01000, 0x43));
    told.refuses = KVM_IRQFD;
    assert_false(ops.message(ops.context, 10, true, 0xfee01000, 0x43));
    assert_false(ops.message(ops.context, 9, false, 0, 0));
    told.refuses = 0;
    assert_true(ops.message(ops.context, 10, true, 0xfee01000, 0x44));
    assert_int_equal(told.routes, 2);
    assert_int_equal(told.route[0].u.msi.data, 0x41);
    assert_int_equal(told.irqfd.gsi, FIRST_GSI + 1);
}

static void what_kvm_lacks_is_not_offered(void **state)
{
    struct shortcuts other;
    struct pci_shortcut_ops fewer;
    (void)state;
    const struct {
        unsigned lacks;
        bool doorbell, message;
    } cases[] = {{0, true, true},
                 {KVM_CAP_IOEVENTFD_ANY_LENGTH, false, true},
                 {KVM_CAP_IRQFD, true, false},
                 {KVM_CAP_IRQ_ROUTING, true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        told.lacks = cases[i].lacks;
        shortcuts_init(&other, &vm, FIRST_GSI, &fewer);
        assert_int_equal(fewer.doorbell != NULL, cases[i].doorbell);
        assert_int_equal(fewer.message != NULL, cases[i].message);
        shortcuts_destroy(&other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_doorbell_is_an_ioeventfd_of_any_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_is_a_route_and_an_irqfd, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_taken_back_is_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_is_an_end_to_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_kvm_refuses_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_kvm_lacks_is_not_offered, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
