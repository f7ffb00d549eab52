/*
 * What the shim measures while the guest runs, where the TEE has registers for it (TDX's RTMRs), and the log of it that
 * Linux finds through the CCEL table. Each register is extended with the SHA-384 of the thing. Pure; compiled
 * freestanding for the shim, and for the host, which predicts the same.
 *
 * The log: TCG PC Client Platform Firmware Profile 1.05, section 10 (crypto-agile log): a header event, then one
 * TCG_PCR_EVENT2 each of type EV_IPL with SHA-384 only, the thing's name as its data. The register's index there is one
 * more than the RTMR's (UEFI specification 2.10, section 38.4.1).
 */
#ifndef COFRE_SHIM_EVENT_H
#define COFRE_SHIM_EVENT_H

#include <stddef.h>
#include <stdint.h>

#define EVENT_DIGEST_SIZE 48

/* In the order in which they are measured; one that is not there (an initrd of 0 bytes) is left out. */
enum event {
    EVENT_LAYOUT, /* the boot page up to its first item: TEE and RAM */
    EVENT_KERNEL,
    EVENT_CMDLINE, /* without a final zero */
    EVENT_INITRD,
    EVENT_COUNT
};
struct event_kind {
    char name[8];
    uint8_t rtmr;
};
extern const struct event_kind event_kind[EVENT_COUNT];

/* Writes the header to the empty log, or an event after used bytes; returns how many are used then. The log has room
 * for a header and each event once. */
#define EVENT_LOG_MAX 1024
size_t event_log_start(uint8_t *log);
size_t event_log_add(uint8_t *log, size_t used, enum event event,
                     const uint8_t digest[static EVENT_DIGEST_SIZE]);

#endif
