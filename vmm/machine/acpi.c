#include "vmm/machine/acpi.h"

#include <assert.h>
#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/shim/abi.h"

#define HEADER_SIZE 36 /* system description table header, table 5.4 */
#define GAS_IO      1  /* generic address structure, table 5.1: system I/O space */

/* What has been written so far; once something did not fit, nothing more is written and size stays 0. */
struct writer {
    uint8_t *out;
    size_t size, used;
    uint64_t gpa;
};

/* Room for len bytes at the next multiple of 8, or NULL. */
static uint8_t *take(struct writer *w, size_t len, uint64_t *gpa)
{
    size_t at = (w->used + 7) & ~(size_t)7;
    if (at > w->size || len > w->size - at) {
        w->used = w->size + 1;
        return NULL;
    }
    w->used = at + len;
    *gpa = w->gpa + at;
    return w->out + at;
}

static uint8_t negated_sum(const uint8_t *data, size_t len)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + data[i]);
    return (uint8_t)-sum;
}

/* A table of body bytes behind its header; finish it with table_end when the body is written. */
static uint8_t *table(struct writer *w, const char signature[4], uint8_t revision, size_t body, uint64_t *gpa)
{
    uint8_t *t = take(w, HEADER_SIZE + body, gpa);
    if (!t)
        return NULL;
    memcpy(t, signature, 4);
    put_le32(t + 4, (uint32_t)(HEADER_SIZE + body));
    t[8] = revision;
    memcpy(t + 10, "COFRE MACHINE ", 14); /* OEM ID (6), OEM table ID (8) */
    put_le32(t + 24, 1);
    memcpy(t + 28, "COFR", 4); /* creator */
    put_le32(t + 32, 1);
    return t;
}

static void table_end(uint8_t *t)
{
    t[9] = 0;
    t[9] = negated_sum(t, le32(t + 4));
}

/*
 * The DSDT's whole AML (chapter 20), in ASL:
 *   Name (_S5, Package () {5, 5})
 *   Device (_SB.COM1) {
 *       Name (_HID, EisaId ("PNP0501"))
 *       Name (_CRS, ResourceTemplate () {
 *           IO (Decode16, 0x3f8, 0x3f8, 1, 8)
 *           Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {4} })
 *   }
 */
static const uint8_t dsdt_aml[] = {
    0x08, '_',  'S',  '5',  '_',  0x12, 6,    2,    0x0a, 5,
    0x0a, 5, /* NameOp; PackageOp, PkgLength, two byte constants */
    0x5b, 0x82, 48,   0x2e, '_',  'S',  'B',  '_',  'C',  'O',
    'M',  '1',                                                  /* DeviceOp, PkgLength, DualNamePrefix */
    0x08, '_',  'H',  'I',  'D',  0x0c, 0x41, 0xd0, 0x05, 0x01, /* a double word: PNP0501 compressed */
    0x08, '_',  'C',  'R',  'S',  0x11, 22,   0x0a, 19,         /* BufferOp, PkgLength, 19 bytes */
    0x47, 1,    0xf8, 0x03, 0xf8, 0x03, 1,    8,                /* I/O port descriptor (6.4.2.5) */
    0x89, 6,    0,    0x03, 1,    4,    0,    0,    0,          /* extended interrupt descriptor (6.4.3.6) */
    0x79, 0,                                                    /* end tag; no checksum */
};
static_assert(ACPI_POWER_OFF == (1 << 5 | 5 << 2), "SLP_EN and the type that _S5 names");

static uint64_t write_dsdt(struct writer *w)
{
    uint64_t gpa = 0;
    uint8_t *t = table(w, "DSDT", 2, sizeof(dsdt_aml), &gpa);
    if (!t)
        return 0;
    memcpy(t + HEADER_SIZE, dsdt_aml, sizeof(dsdt_aml));
    table_end(t);
    return gpa;
}

static void put_io_register(uint8_t *gas, uint16_t port)
{
    gas[0] = GAS_IO;
    gas[1] = 8; /* bits wide */
    gas[3] = 1; /* byte access */
    put_le64(gas + 4, port);
}

/* FADT, section 5.2.9; offsets of table 5.9. */
static uint64_t write_fadt(struct writer *w, uint64_t dsdt)
{
    enum { LENGTH = 276, NO_VGA = 1 << 2, NO_ASPM = 1 << 4, NO_CMOS_RTC = 1 << 5 };
    enum {
        WBINVD = 1 << 0,
        NO_POWER_BUTTON = 1 << 4,
        NO_SLEEP_BUTTON = 1 << 5,
        RESET_REG = 1 << 10,
        HW_REDUCED = 1 << 20
    };
    uint64_t gpa = 0;
    uint8_t *t = table(w, "FACP", 6, LENGTH - HEADER_SIZE, &gpa);
    if (!t)
        return 0;
    put_le32(t + 40, (uint32_t)dsdt);
    put_le16(t + 109, NO_VGA | NO_ASPM | NO_CMOS_RTC); /* and, by zeros, no 8042 and no other legacy device */
    put_le32(t + 112, WBINVD | NO_POWER_BUTTON | NO_SLEEP_BUTTON | RESET_REG | HW_REDUCED);
    put_io_register(t + 116, ACPI_PORT_RESET);
    t[128] = ACPI_RESET_VALUE;
    t[131] = 5; /* minor revision */
    put_le64(t + 140, dsdt);
    put_io_register(t + 244, ACPI_PORT_SLEEP_CONTROL);
    put_io_register(t + 256, ACPI_PORT_SLEEP_STATUS);
    memcpy(t + 268, "COFRE", 5); /* hypervisor vendor */
    table_end(t);
    return gpa;
}

/* MADT, section 5.2.12: a local APIC each (type 0), one I/O APIC (type 1) with GSIs from 0 on, and how CPUs are woken
 * (type 0x10, version 0, section 5.2.12.19). No 8259. */
static uint64_t write_madt(struct writer *w, const struct acpi_config *config)
{
    enum { LAPIC_SIZE = 8, IOAPIC_SIZE = 12, WAKEUP_SIZE = 16, ENABLED = 1 };
    const unsigned cpus = config->cpus;
    uint64_t gpa = 0;
    uint8_t *t =
        table(w, "APIC", 5, 8 + cpus * LAPIC_SIZE + IOAPIC_SIZE + (config->mailbox ? WAKEUP_SIZE : 0), &gpa);
    if (!t)
        return 0;
    put_le32(t + HEADER_SIZE, ACPI_LAPIC_BASE);
    uint8_t *entry = t + HEADER_SIZE + 8;
    for (unsigned i = 0; i < cpus; i++, entry += LAPIC_SIZE) {
        entry[0] = 0;
        entry[1] = LAPIC_SIZE;
        entry[2] = (uint8_t)i; /* processor UID */
        entry[3] = (uint8_t)i; /* APIC ID */
        put_le32(entry + 4, ENABLED);
    }
    entry[0] = 1;
    entry[1] = IOAPIC_SIZE;
    entry[2] = ACPI_IOAPIC_ID;
    put_le32(entry + 4, ACPI_IOAPIC_BASE);
    entry += IOAPIC_SIZE;
    if (config->mailbox) {
        entry[0] = 0x10;
        entry[1] = WAKEUP_SIZE;
        put_le64(entry + 8, config->mailbox);
    }
    table_end(t);
    return gpa;
}

/* MCFG, PCI firmware specification 3.3, section 4.1.2: segment 0, all buses that the window holds. */
static uint64_t write_mcfg(struct writer *w, const struct acpi_config *config)
{
    uint64_t gpa = 0;
    uint8_t *t = table(w, "MCFG", 1, 8 + 16, &gpa);
    if (!t)
        return 0;
    put_le64(t + 44, config->ecam ? config->ecam : PCI_ECAM_BASE);
    t[55] = (PCI_ECAM_SIZE >> 20) - 1; /* last bus; 1 MiB each */
    table_end(t);
    return gpa;
}

/* CCEL, section 5.2.33. */
static uint64_t write_ccel(struct writer *w, const struct acpi_config *config)
{
    uint64_t gpa = 0;
    uint8_t *t = table(w, "CCEL", 1, 4 + 8 + 8, &gpa);
    if (!t)
        return 0;
    t[36] = config->log_tee;
    put_le64(t + 40, config->log_size);
    put_le64(t + 48, config->log);
    table_end(t);
    return gpa;
}

size_t acpi_tables_build(uint8_t *out, size_t size, const struct acpi_config *config)
{
    struct writer w = {out, size, 0, config->gpa};
    uint64_t rsdp_gpa = 0, xsdt_gpa = 0;
    uint8_t *rsdp = take(&w, 36, &rsdp_gpa);
    uint8_t *xsdt = table(&w, "XSDT", 1, config->log ? 4 * 8 : 3 * 8, &xsdt_gpa);
    uint64_t fadt = write_fadt(&w, write_dsdt(&w));
    uint64_t madt = write_madt(&w, config);
    uint64_t mcfg = write_mcfg(&w, config);
    uint64_t ccel = config->log ? write_ccel(&w, config) : 0;
    if (w.used > size || !rsdp || !xsdt)
        return 0;
    put_le64(xsdt + HEADER_SIZE, fadt);
    put_le64(xsdt + HEADER_SIZE + 8, madt);
    put_le64(xsdt + HEADER_SIZE + 16, mcfg);
    if (ccel)
        put_le64(xsdt + HEADER_SIZE + 24, ccel);
    table_end(xsdt);

    /* RSDP, section 5.2.5.3: the first 20 bytes have a checksum of their own, as of ACPI 1.0. */
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "COFRE ", 6);
    rsdp[15] = 2;
    put_le32(rsdp + 20, 36);
    put_le64(rsdp + 24, xsdt_gpa);
    rsdp[8] = negated_sum(rsdp, 20);
    rsdp[32] = negated_sum(rsdp, 36);
    return w.used;
}
