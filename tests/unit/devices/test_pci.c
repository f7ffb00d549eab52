#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/devices/pci.h"

#define WINDOW  0xe0000000u
#define ECAM    0xe8000000u
#define BAR     0x4000u
#define TABLE   0x1000u
#define PBA     0x2000u
#define VECTORS 3

enum { COMMAND = 0x04, BAR0 = 0x10 };

struct machine {
    struct bus mmio;
    struct pci_bus pci;
    struct pci_function fn[2];
    uint64_t offset, value; /* of the last access to the BAR */
    unsigned accesses;
    unsigned messages;
    uint64_t address;
    uint32_t data;
};

static uint64_t fn_read(void *device, uint64_t offset, unsigned len)
{
    struct machine *m = device;
    (void)len;
    m->accesses++;
    m->offset = offset;
    return 0x5555;
}

static void fn_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct machine *m = device;
    (void)len;
    m->accesses++;
    m->offset = offset;
    m->value = value;
}

static void message(void *context, uint64_t address, uint32_t data)
{
    struct machine *m = context;
    m->messages++;
    m->address = address;
    m->data = data;
}

static void machine_open(struct machine *m)
{
    static const struct pci_function_ops ops = {{fn_read, fn_write}, NULL};
    static const struct pci_identity identity = {0x1234, 0x5678, 0x9abc, 0xdef0, 0x020000, 3};
    memset(m, 0, sizeof *m);
    pci_bus_init(&m->pci, (struct pci_window){WINDOW, 0x100000}, (struct msi_sink){message, m});
    for (unsigned i = 0; i < 2; i++) {
        pci_function_init(&m->fn[i], "function", &identity, BAR, &ops, m);
        pci_msix_add(&m->fn[i], VECTORS, TABLE, PBA);
        assert_int_equal(pci_bus_add(&m->pci, &m->fn[i], NULL), 0);
    }
    assert_int_equal(pci_bus_map_window(&m->pci, &m->mmio, NULL), 0);
    assert_int_equal(pci_bus_map_ecam(&m->pci, &m->mmio, ECAM, 0x200000, NULL), 0);
}

static void machine_close(struct machine *m)
{
    for (unsigned i = 0; i < 2; i++)
        pci_function_destroy(&m->fn[i]);
    pci_bus_destroy(&m->pci);
}

static uint64_t mmio_read(struct machine *m, uint64_t address, unsigned len)
{
    uint64_t value;
    (void)bus_read(&m->mmio, address, len, &value);
    return value;
}

static void a_guest_finds_bridge_and_functions_through_ecam(void **state)
{
    struct machine m;
    (void)state;
    machine_open(&m);
    assert_int_equal(mmio_read(&m, ECAM + 0x0a, 2), 0x0600);
    assert_int_equal(mmio_read(&m, ECAM + 0x0e, 1), 0);
    for (unsigned slot = 1; slot < 3; slot++) {
        uint64_t fn = ECAM + (slot << 15);
        assert_int_equal(mmio_read(&m, fn, 4), 0x56781234);
        assert_int_equal(mmio_read(&m, fn + 0x08, 4), 0x02000003);
        assert_int_equal(mmio_read(&m, fn + 0x2c, 4), 0xdef09abc);
        assert_int_equal(mmio_read(&m, fn + 0x3d, 1), 0); /* no interrupt pin */
        assert_int_equal(mmio_read(&m, fn + BAR0, 4), WINDOW + (slot - 1) * BAR);
        assert_int_equal(mmio_read(&m, fn + 0x06, 2), 0x10);
    }
    machine_close(&m);
}

static void what_is_not_there_reads_as_ones(void **state)
{
    struct machine m;
    (void)state;
    machine_open(&m);
    const uint64_t nothing[] = {3 << 15, 31 << 15,          1 << 12, 1 << 15 | 7 << 12,
                                1 << 20, 1 << 20 | 1 << 15, 0x100,   0xffc};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        assert_true(bus_write(&m.mmio, ECAM + nothing[i], 4, 0));
        assert_int_equal(mmio_read(&m, ECAM + nothing[i], 4), UINT32_MAX);
    }
    assert_int_equal(mmio_read(&m, ECAM + 0x8, 8), UINT64_MAX >> 32); /* no quadwords (PCIe 7.2.2) */
    assert_int_equal(mmio_read(&m, ECAM + 0x3, 2), 0xffff);
    assert_int_equal(pci_config_read(&m.pci, 32, 0, 4), UINT32_MAX);
    assert_int_equal(pci_config_read(&m.pci, UINT32_MAX, 0, 4), UINT32_MAX);
    assert_int_equal(pci_config_read(&m.pci, 1, UINT32_MAX & ~3u, 4), UINT32_MAX);
    machine_close(&m);
}

/* Every offset and width: what a read gives is what the byte reads give, and writes change writable bits only. */
static void every_access_of_configuration_space_is_bounded(void **state)
{
    struct machine m;
    (void)state;
    machine_open(&m);
    for (unsigned offset = 0; offset < 0x104; offset++) {
        for (unsigned len = 0; len <= 9; len++) {
            uint8_t before[PCI_CONFIG_SIZE];
            memcpy(before, m.fn[0].config, sizeof before);
            uint32_t value = pci_config_read(&m.pci, 1, offset, len);
            bool valid =
                (len == 1 || len == 2 || len == 4) && offset % 4 + len <= 4 && offset < PCI_CONFIG_SIZE;
            if (valid)
                assert_memory_equal(&value, before + offset, len);
            else
                assert_int_equal(value, UINT32_MAX);
            pci_config_write(&m.pci, 1, offset, len, ~value);
            for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
                bool in = valid && i >= offset && i < offset + len;
                uint8_t changed = m.fn[0].config[i] ^ before[i];
                assert_int_equal(changed & (uint8_t) ~(in ? m.fn[0].writable[i] : 0), 0);
            }
        }
    }
    assert_int_equal(pci_config_read(&m.pci, 1, 0, 4), 0x56781234);
    machine_close(&m);
}

static void a_bar_tells_its_size_moves_and_can_be_off(void **state)
{
    struct machine m;
    (void)state;
    machine_open(&m);
    assert_int_equal(mmio_read(&m, WINDOW + 8, 4), UINT32_MAX); /* decoding is off at first */
    assert_int_equal(m.accesses, 0);
    pci_config_write(&m.pci, 1, COMMAND, 2, 2);
    assert_int_equal(mmio_read(&m, WINDOW + 8, 4), 0x5555);
    assert_int_equal(m.offset, 8);
    pci_config_write(&m.pci, 1, BAR0, 4, UINT32_MAX);
    assert_int_equal(pci_config_read(&m.pci, 1, BAR0, 4), ~(BAR - 1));
    assert_int_equal(mmio_read(&m, WINDOW + 8, 4), UINT32_MAX);
    pci_config_write(&m.pci, 1, BAR0, 4, WINDOW + 0x80000 + 0x123);
    assert_int_equal(pci_config_read(&m.pci, 1, BAR0, 4), WINDOW + 0x80000);
    (void)bus_write(&m.mmio, WINDOW + 0x80010, 2, 0xabc);
    assert_int_equal(m.offset, 0x10);
    assert_int_equal(m.value, 0xabc);
    assert_int_equal(mmio_read(&m, WINDOW + 0x80000 + BAR - 4, 8), UINT64_MAX); /* half of it outside */
    machine_close(&m);
}

static uint64_t entry_address(unsigned vector)
{
    return WINDOW + TABLE + 16 * vector;
}

static void set_entry(struct machine *m, unsigned vector, uint64_t address, uint32_t data, uint32_t control)
{
    (void)bus_write(&m->mmio, entry_address(vector), 8, address);
    (void)bus_write(&m->mmio, entry_address(vector) + 8, 4, data);
    (void)bus_write(&m->mmio, entry_address(vector) + 12, 4, control);
}

static void a_vector_sends_its_own_message(void **state)
{
    struct machine m;
    (void)state;
    machine_open(&m);
    unsigned control = m.fn[0].msix + 2;
    pci_config_write(&m.pci, 1, COMMAND, 2, 6);
    assert_int_equal(pci_config_read(&m.pci, 1, control, 2), VECTORS - 1);
    set_entry(&m, 2, 0x1fee01000, 0x4031, 0);
    pci_msix_raise(&m.fn[0], 2);
    assert_int_equal(m.messages, 0); /* not enabled: not even pending */
    pci_config_write(&m.pci, 1, control, 2, 0x8000);
    assert_int_equal(m.messages, 0);
    pci_msix_raise(&m.fn[0], 2);
    assert_int_equal(m.messages, 1);
    assert_int_equal(m.address, 0x1fee01000);
    assert_int_equal(m.data, 0x4031);
    pci_msix_raise(&m.fn[0], VECTORS);
    pci_msix_raise(&m.fn[0], 0xffff);
    pci_msix_raise(&m.fn[0], UINT32_MAX);
    assert_int_equal(m.messages, 1);
    machine_close(&m);
}

static void masked_messages_wait_and_are_sent_once(void **state)
{
    struct machine m;
    (void)state;
    machine_open(&m);
    unsigned control = m.fn[0].msix + 2;
    pci_config_write(&m.pci, 1, COMMAND, 2, 6);
    pci_config_write(&m.pci, 1, control, 2, 0x8000);
    pci_msix_raise(&m.fn[0], 1); /* entries are masked after reset */
    pci_msix_raise(&m.fn[0], 1);
    assert_int_equal(m.messages, 0);
    assert_int_equal(mmio_read(&m, WINDOW + PBA, 8), 2);
    set_entry(&m, 1, 0xfee00000, 7, 0);
    assert_int_equal(m.messages, 1);
    assert_int_equal(m.data, 7);
    assert_int_equal(mmio_read(&m, WINDOW + PBA, 4), 0);
    pci_config_write(&m.pci, 1, control, 2, 0xc000);
    pci_msix_raise(&m.fn[0], 1);
    assert_int_equal(m.messages, 1);
    pci_config_write(&m.pci, 1, control, 2, 0x8000);
    assert_int_equal(m.messages, 2);
    pci_config_write(&m.pci, 1, COMMAND, 2, 2); /* no bus master: no writes to memory */
    pci_msix_raise(&m.fn[0], 1);
    assert_int_equal(m.messages, 2);
    pci_config_write(&m.pci, 1, COMMAND, 2, 6);
    assert_int_equal(m.messages, 3);
    machine_close(&m);
}

static void table_and_pba_end_where_they_end(void **state)
{
    struct machine m;
    (void)state;
    machine_open(&m);
    pci_config_write(&m.pci, 1, COMMAND, 2, 6);
    set_entry(&m, VECTORS - 1, UINT64_MAX, UINT32_MAX, UINT32_MAX);
    assert_int_equal(mmio_read(&m, entry_address(VECTORS - 1), 8), UINT64_MAX);
    assert_int_equal(mmio_read(&m, entry_address(VECTORS - 1) + 8, 8), 1ull << 32 | UINT32_MAX);
    assert_int_equal(m.accesses, 0);
    set_entry(&m, VECTORS, UINT64_MAX, UINT32_MAX,
              0); /* the function's own, as whatever is no aligned access */
    assert_int_equal(m.accesses, 3);
    const struct {
        uint64_t offset;
        unsigned len;
    } own[] = {{TABLE, 1},     {TABLE, 2}, {TABLE + 2, 4}, {TABLE + 4, 8},
               {TABLE - 4, 8}, {PBA, 2},   {PBA + 8, 4},   {PBA - 1, 4}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        assert_int_equal(mmio_read(&m, WINDOW + own[i].offset, own[i].len), own[i].len == 1 ? 0x55 : 0x5555);
    assert_int_equal(m.accesses, 3 + sizeof own / sizeof *own);
    machine_close(&m);
}

static void functions_beyond_slots_or_window_are_refused(void **state)
{
    static const struct pci_function_ops ops = {{fn_read, fn_write}, NULL};
    static const struct pci_identity identity = {0};
    static struct pci_function fn[PCI_SLOTS];
    struct pci_bus pci;
    struct cofre_err err;
    (void)state;
    pci_bus_init(&pci, (struct pci_window){WINDOW, 0x10000}, (struct msi_sink){message, NULL});
    pci_function_init(&fn[0], "large", &identity, 0x20000, &ops, NULL);
    assert_int_equal(pci_bus_add(&pci, &fn[0], &err), -COFRE_FAILED);
    assert_string_equal(err.text, "large: no room for 131072 bytes in the PCI window");
    for (unsigned i = 0; i < PCI_SLOTS; i++) {
        pci_function_init(&fn[i], "small", &identity, i < 2 ? 0x4000u << i : 0, &ops, NULL);
        assert_int_equal(pci_bus_add(&pci, &fn[i], &err), i < PCI_SLOTS - 1 ? 0 : -COFRE_FAILED);
    }
    assert_string_equal(err.text, "small: all 32 slots of the PCI bus are taken");
    assert_int_equal(le32(fn[1].config + BAR0), WINDOW + 0x8000); /* aligned to its size */
    pci_bus_destroy(&pci);
}

/* A machine that can lay shortcuts: what is laid now, and how often it was asked. */
struct laid {
    struct machine m;
    uint64_t gpa[2];
    uint64_t address;
    uint32_t data;
    unsigned asked;
    bool unable;
};

static bool lay_doorbell(void *context, uint64_t gpa, int fd, bool on)
{
    struct laid *l = context;
    l->asked++;
    if (l->unable)
        return false;
    assert_int_equal(l->gpa[fd], on ? 0 : gpa);
    l->gpa[fd] = on ? gpa : 0;
    return true;
}

static bool lay_message(void *context, int fd, bool on, uint64_t address, uint32_t data)
{
    struct laid *l = context;
    l->asked++;
    assert_int_equal(fd, 7);
    if (l->unable)
        return false;
    l->address = on ? address : 0;
    l->data = on ? data : 0;
    return true;
}

static void laid_open(struct laid *l)
{
    *l = (struct laid){.unable = false};
    machine_open(&l->m);
    l->m.pci.shortcuts = (struct pci_shortcut_ops){l, lay_doorbell, lay_message};
}

static void doorbells_follow_the_bar(void **state)
{
    struct laid l;
    struct pci_bus *pci = &l.m.pci;
    (void)state;
    laid_open(&l);
    pci_doorbell_add(&l.m.fn[0], 0x3000, 0);
    pci_doorbell_add(&l.m.fn[0], 0x3004, 1);
    assert_int_equal(l.asked, 0); /* nothing is decoded yet */
    pci_config_write(pci, 1, COMMAND, 2, 2);
    assert_int_equal(l.gpa[0], WINDOW + 0x3000);
    assert_int_equal(l.gpa[1], WINDOW + 0x3004);
    pci_config_write(pci, 1, BAR0, 4, WINDOW + 0x8000);
    assert_int_equal(l.gpa[1], WINDOW + 0xb004);
    pci_config_write(pci, 1, BAR0, 4, 0xfec00000); /* out of the window: nobody may be covered */
    assert_int_equal(l.gpa[0] | l.gpa[1], 0);
    pci_config_write(pci, 1, BAR0, 4, UINT32_MAX);
    assert_int_equal(l.gpa[0] | l.gpa[1], 0);
    pci_config_write(pci, 1, BAR0, 4, WINDOW);
    unsigned asked = l.asked;
    pci_config_write(pci, 1, COMMAND, 2, 6); /* of no concern to them */
    assert_int_equal(l.asked, asked);
    pci_config_write(pci, 1, COMMAND, 2, 0);
    assert_int_equal(l.gpa[0] | l.gpa[1], 0);
    pci_config_write(pci, 1, COMMAND, 2, 2);
    assert_int_equal(l.gpa[0], WINDOW + 0x3000);
    pci_doorbells_clear(&l.m.fn[0]);
    assert_int_equal(l.gpa[0] | l.gpa[1], 0);
    machine_close(&l.m);
}

static void a_machine_that_lays_no_doorbell_is_asked_again_later(void **state)
{
    struct laid l;
    (void)state;
    laid_open(&l);
    l.unable = true;
    pci_config_write(&l.m.pci, 1, COMMAND, 2, 2);
    pci_doorbell_add(&l.m.fn[0], 0x3000, 0);
    assert_int_equal(l.asked, 1);
    l.unable = false;
    pci_config_write(&l.m.pci, 1, COMMAND, 2, 6);
    assert_int_equal(l.gpa[0], WINDOW + 0x3000);
    pci_doorbells_clear(&l.m.fn[0]);
    machine_close(&l.m);
}

static void calls_follow_their_vector(void **state)
{
    struct laid l;
    struct pci_bus *pci = &l.m.pci;
    struct pci_function *fn = &l.m.fn[0];
    (void)state;
    laid_open(&l);
    unsigned cap = pci_config_read(pci, 1, 0x34, 1);
    pci_call_set(fn, 7, 1);
    pci_config_write(pci, 1, COMMAND, 2, 6);
    pci_config_write(pci, 1, cap + 2, 2, 0x8000);
    assert_int_equal(l.asked, 0); /* its entry is masked */
    pci_bar_write(fn, TABLE + 16, 8, 0xfee01000);
    pci_bar_write(fn, TABLE + 24, 4, 0x41);
    pci_bar_write(fn, TABLE + 28, 4, 0);
    assert_int_equal(l.address, 0xfee01000);
    assert_int_equal(l.data, 0x41);
    pci_bar_write(fn, TABLE + 24, 4, 0x42); /* another message */
    assert_int_equal(l.data, 0x42);
    unsigned asked = l.asked;
    pci_bar_write(fn, TABLE, 8, 0xfee02000); /* another vector's */
    assert_int_equal(l.asked, asked);
    pci_config_write(pci, 1, cap + 2, 2, 0xc000); /* all are masked */
    assert_int_equal(l.address, 0);
    pci_config_write(pci, 1, cap + 2, 2, 0x8000);
    assert_int_equal(l.address, 0xfee01000);
    pci_config_write(pci, 1, COMMAND, 2, 2); /* no master, no message */
    assert_int_equal(l.address, 0);
    pci_config_write(pci, 1, COMMAND, 2, 6);
    pci_call_set(fn, 7, 0xffff);
    assert_int_equal(l.address, 0);
    pci_call_set(fn, 7, 1);
    assert_int_equal(l.address, 0xfee01000);
    pci_call_clear(fn, 7);
    assert_int_equal(l.address, 0);
    pci_call_clear(fn, 7);
    machine_close(&l.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_finds_bridge_and_functions_through_ecam),
        cmocka_unit_test(what_is_not_there_reads_as_ones),
        cmocka_unit_test(every_access_of_configuration_space_is_bounded),
        cmocka_unit_test(a_bar_tells_its_size_moves_and_can_be_off),
        cmocka_unit_test(a_vector_sends_its_own_message),
        cmocka_unit_test(masked_messages_wait_and_are_sent_once),
        cmocka_unit_test(table_and_pba_end_where_they_end),
        cmocka_unit_test(functions_beyond_slots_or_window_are_refused),
        cmocka_unit_test(doorbells_follow_the_bar),
        cmocka_unit_test(a_machine_that_lays_no_doorbell_is_asked_again_later),
        cmocka_unit_test(calls_follow_their_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
