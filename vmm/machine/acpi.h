/*
 * The guest's ACPI tables (ACPI specification 6.5): measured, so that the host supplies no AML. RSDP, XSDT, FADT
 * (hardware-reduced), MADT, MCFG, and a DSDT of 62 bytes of AML: \_S5, without which Linux has no power-off, and the
 * serial port, without which Linux's user space cannot use it. CCEL, where the guest's boot software leaves a log.
 */
#ifndef COFRE_MACHINE_ACPI_H
#define COFRE_MACHINE_ACPI_H

#include <stddef.h>
#include <stdint.h>

/* I/O ports, each one byte wide, that the tables promise and the machine provides.
 * Sleep control (4.8.3.7): writing ACPI_POWER_OFF (SLP_EN | 5 << 2, the type that \_S5 names) ends the guest.
 * Sleep status (4.8.3.7): reads 0; writes are ignored (Linux clears WAK_STS before it sleeps).
 * Reset (4.8.3.6): writing ACPI_RESET_VALUE restarts. Any other value at control or reset does nothing. */
#define ACPI_PORT_SLEEP_CONTROL 0x600
#define ACPI_PORT_SLEEP_STATUS  0x601
#define ACPI_PORT_RESET         0x602
#define ACPI_POWER_OFF          0x34
#define ACPI_RESET_VALUE        0x01

#define ACPI_IOAPIC_BASE 0xfec00000u
#define ACPI_IOAPIC_ID   0
#define ACPI_LAPIC_BASE  0xfee00000u

struct acpi_config {
    uint64_t gpa;  /* where the tables lie */
    unsigned cpus; /* CPU i has local APIC id i */
    uint32_t
        mailbox; /* of the multiprocessor wake-up structure; 0: CPUs are started by INIT and SIPI, or a TEE's way */
    uint32_t log; /* the event log's area; 0: none */
    uint32_t log_size;
    uint8_t log_tee; /* whose registers it explains: CC type of the UEFI specification 2.10, section 38.4.1 */
    uint32_t ecam;   /* PCI configuration space; 0: at PCI_ECAM_BASE */
};

/* Writes the tables into out (size bytes, zeroed by the caller), RSDP first. Returns how many bytes they take, 0 when
 * they do not fit. */
size_t acpi_tables_build(uint8_t *out, size_t size, const struct acpi_config *config);

#endif
