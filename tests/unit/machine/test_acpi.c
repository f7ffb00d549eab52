#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/bytes.h"
#include "vmm/base/file.h"
#include "vmm/machine/acpi.h"
#include "vmm/shim/abi.h"

static uint8_t room[SHIM_ACPI_SIZE];

static uint8_t sum(const uint8_t *data, size_t len)
{
    uint8_t s = 0;
    for (size_t i = 0; i < len; i++)
        s = (uint8_t)(s + data[i]);
    return s;
}

/* A table by its address, which must lie whole in the room. */
static const uint8_t *at(uint64_t gpa)
{
    assert_true(gpa >= SHIM_ACPI && gpa + 36 <= SHIM_ACPI + SHIM_ACPI_SIZE);
    const uint8_t *t = room + (gpa - SHIM_ACPI);
    assert_true(gpa + le32(t + 4) <= SHIM_ACPI + SHIM_ACPI_SIZE);
    return t;
}

static const uint8_t *find(const char *signature)
{
    const uint8_t *xsdt = at(le64(room + 24));
    for (uint32_t i = 36; i < le32(xsdt + 4); i += 8)
        if (memcmp(at(le64(xsdt + i)), signature, 4) == 0)
            return at(le64(xsdt + i));
    return NULL;
}

static void build_config(const struct acpi_config *config)
{
    memset(room, 0, sizeof(room));
    assert_int_not_equal(acpi_tables_build(room, sizeof(room), config), 0);
}

static void build(unsigned cpus)
{
    build_config(&(struct acpi_config){.gpa = SHIM_ACPI, .cpus = cpus});
}

/* With all that a machine can have. */
static void build_full(unsigned cpus)
{
    build_config(&(struct acpi_config){SHIM_ACPI, cpus, SHIM_MAILBOX, SHIM_LOG, SHIM_LOG_SIZE, 2, 0});
}

static void every_table_is_reached_and_sums_to_zero(void **state)
{
    (void)state;
    build_full(4);
    assert_memory_equal(room, "RSD PTR ", 8);
    assert_int_equal(sum(room, 20), 0);
    assert_int_equal(sum(room, 36), 0);
    const uint8_t *xsdt = at(le64(room + 24)), *fadt = find("FACP"), *dsdt = at(le64(fadt + 140));
    const uint8_t *all[] = {xsdt, fadt, dsdt, find("APIC"), find("MCFG"), find("CCEL")};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_non_null(all[i]);
        assert_int_equal(sum(all[i], le32(all[i] + 4)), 0);
    }
    assert_memory_equal(dsdt, "DSDT", 4);
    assert_int_equal(le32(fadt + 40), le64(fadt + 140));
}

static void fadt_offers_reset_and_sleep_and_no_legacy_device(void **state)
{
    (void)state;
    build(1);
    const uint8_t *fadt = find("FACP");
    assert_true(le32(fadt + 112) & 1u << 20); /* hardware reduced */
    assert_true(le32(fadt + 112) & 1u << 10); /* reset register */
    assert_int_equal(le64(fadt + 116 + 4), ACPI_PORT_RESET);
    assert_int_equal(fadt[128], ACPI_RESET_VALUE);
    assert_int_equal(le64(fadt + 244 + 4), ACPI_PORT_SLEEP_CONTROL);
    assert_int_equal(le64(fadt + 256 + 4), ACPI_PORT_SLEEP_STATUS);
    assert_int_equal(le16(fadt + 109) & 3, 0);
}

static void madt_lists_each_cpu_once(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 255; cpus += 127) {
        build(cpus);
        const uint8_t *madt = find("APIC"), *end = madt + le32(madt + 4);
        unsigned lapics = 0, ioapics = 0;
        for (const uint8_t *e = madt + 44; e < end; e += e[1]) {
            assert_true(e[1] >= 8 && e + e[1] <= end);
            if (e[0] == 0) {
                assert_int_equal(e[3], lapics++);
                assert_int_equal(le32(e + 4), 1);
            } else {
                assert_int_equal(e[0], 1);
                assert_int_equal(le32(e + 4), 0xfec00000);
                ioapics++;
            }
        }
        assert_int_equal(lapics, cpus);
        assert_int_equal(ioapics, 1);
    }
}

/* ACPI 6.5, section 5.2.12.19. */
static void madt_names_the_mailbox_once(void **state)
{
    (void)state;
    build_full(255);
    const uint8_t *madt = find("APIC"), *end = madt + le32(madt + 4), *wakeup = end - 16;
    assert_int_equal(wakeup[0], 0x10);
    assert_int_equal(wakeup[1], 16);
    assert_int_equal(le16(wakeup + 2), 0);
    assert_int_equal(le64(wakeup + 8), SHIM_MAILBOX);
    unsigned found = 0;
    for (const uint8_t *e = madt + 44; e < end; e += e[1])
        found += e[0] == 0x10;
    assert_int_equal(found, 1);
}

static void ccel_names_the_log(void **state)
{
    (void)state;
    build_full(1);
    const uint8_t *ccel = find("CCEL");
    assert_int_equal(le32(ccel + 4), 56);
    assert_int_equal(le32(ccel + 36), 2); /* Intel TDX, subtype 0 */
    assert_int_equal(le64(ccel + 40), SHIM_LOG_SIZE);
    assert_int_equal(le64(ccel + 48), SHIM_LOG);
    build(1);
    assert_null(find("CCEL"));
}

static void mcfg_names_the_window(void **state)
{
    (void)state;
    build(1);
    const uint8_t *mcfg = find("MCFG");
    assert_int_equal(le64(mcfg + 44), PCI_ECAM_BASE);
    assert_int_equal(mcfg[54], 0);
    assert_int_equal(mcfg[55], 1);
}

static void says_when_there_is_no_room(void **state)
{
    (void)state;
    static uint8_t small[SHIM_ACPI_SIZE];
    const struct acpi_config full = {SHIM_ACPI, 8, SHIM_MAILBOX, SHIM_LOG, SHIM_LOG_SIZE, 2, 0};
    size_t need = acpi_tables_build(small, sizeof(small), &full);
    for (size_t size = 0; size < need; size++) {
        memset(small, 0, sizeof(small));
        assert_int_equal(acpi_tables_build(small, size, &full), 0);
        assert_true(bytes_are_zero(small + size, sizeof(small) - size));
    }
    memset(small, 0, sizeof(small));
    assert_int_equal(acpi_tables_build(small, need, &full), need);
}

/* ACPICA's own disassembler reads each table and finds nothing wrong. Debian 12's is of 2020 and knows neither the
 * wake-up structure nor CCEL. */
static void acpica_reads_each_table(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
    } expected[] = {
        {"DSDT", "Name (_S5, Package (0x02)"}, {"DSDT", "EisaId (\"PNP0501\")"},
        {"FACP", "Hardware Reduced (V5) : 1"}, {"APIC", "[I/O APIC]"},
        {"MCFG", "00000000E8000000"},          {"XSDT", "ACPI Table Address"},
    };
    char folder[] = "/tmp/cofre-acpi-XXXXXX", path[64], command[256];
    struct cofre_err err;
    if (access("/usr/bin/iasl", X_OK) != 0) {
        print_message("# needs iasl (Debian package acpica-tools)\n");
        skip();
    }
    build(3);
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const char *name = expected[i].name;
        const uint8_t *fadt = find("FACP"), *t = find(name);
        if (!t)
            t = strcmp(name, "DSDT") == 0 ? at(le64(fadt + 140)) : at(le64(room + 24));
        CLEAN_BYTES text = {0};
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        assert_int_equal(file_write(path, (struct view){t, le32(t + 4)}, 0600, &err), 0);
        snprintf(command, sizeof(command), "iasl -d %s >%s.out 2>&1", path, path);
        assert_int_equal(system(command), 0);
        snprintf(path, sizeof(path), "%s/%s.dsl", folder, name);
        assert_int_equal(file_read(&text, path, 1 << 20, &err), 0);
        assert_non_null(memmem(text.data, text.len, expected[i].says, strlen(expected[i].says)));
        assert_null(memmem(text.data, text.len, "Incorrect", 9));
        assert_null(memmem(text.data, text.len, "Invalid", 7));
    }
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_reached_and_sums_to_zero),
        cmocka_unit_test(fadt_offers_reset_and_sleep_and_no_legacy_device),
        cmocka_unit_test(madt_lists_each_cpu_once),
        cmocka_unit_test(madt_names_the_mailbox_once),
        cmocka_unit_test(ccel_names_the_log),
        cmocka_unit_test(mcfg_names_the_window),
        cmocka_unit_test(says_when_there_is_no_room),
        cmocka_unit_test(acpica_reads_each_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
