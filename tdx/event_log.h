/*
 * The event log of a TD: what was extended into its RTMRs, in the TCG's crypto-agile format (TCG PC Client Platform Firmware
 * Profile 1.06, sections 10.2 and 10.4: TCG_EfiSpecIDEvent, TCG_PCR_EVENT2), and the ACPI table that points at it (CCEL; UEFI
 * 2.10 section 38, ACPI 6.5). A log proves nothing alone: it is believed where it replays to a quote's RTMRs.
 */
#ifndef COFRE_TDX_EVENT_LOG_H
#define COFRE_TDX_EVENT_LOG_H

#include "tdx/abi.h"
#include "vmm/base/bytes.h"

#define TDX_EVENT_LOG_MAX (1u << 20) /* bytes */

/* Registers as a log counts them (UEFI 2.10, 38.4.1). */
#define TDX_EVENT_MRTD  0u
#define TDX_EVENT_RTMR0 1u /* RTMR n is n + 1 */

/* Types that this project writes or checks; a log may have others. */
enum tdx_event_type {
    TDX_EV_NO_ACTION = 0x3, /* extended nowhere */
    TDX_EV_SEPARATOR = 0x4,
    TDX_EV_ACTION = 0x5,
    TDX_EV_EVENT_TAG = 0x6,
    TDX_EV_S_CRTM_CONTENTS = 0x7,
    TDX_EV_S_CRTM_VERSION = 0x8,
    TDX_EV_PLATFORM_CONFIG_FLAGS = 0xa,
    TDX_EV_IPL = 0xd,
    TDX_EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001,
    TDX_EV_EFI_VARIABLE_BOOT = 0x80000002,
    TDX_EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003,
    TDX_EV_EFI_GPT_EVENT = 0x80000006,
    TDX_EV_EFI_ACTION = 0x80000007,
    TDX_EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000000a,
    TDX_EV_EFI_HANDOFF_TABLES2 = 0x8000000b,
    TDX_EV_EFI_VARIABLE_BOOT2 = 0x8000000c,
    TDX_EV_EFI_VARIABLE_AUTHORITY = 0x800000e0,
};

struct tdx_event {
    uint32_t mr; /* TDX_EVENT_MRTD, or 1 to 4 for RTMR0 to RTMR3 */
    uint32_t type;
    uint8_t digest[TDX_DIGEST_SIZE];
    struct view data; /* the log's bytes */
    size_t offset;    /* of the event in the log */
};

struct tdx_event_log {
    struct tdx_event *event; /* in the log's order, without the header (Spec ID) event */
    size_t count;
    size_t len; /* bytes of the log before its padding */
};

/* Events up to the end or to padding of one value, 0xff or 0x00, which must go to the end. -COFRE_MALFORMED names the offset.
 * The events borrow the log's bytes. */
int tdx_event_log_parse(struct tdx_event_log *out, struct view log, struct cofre_err *err);
void tdx_event_log_free(struct tdx_event_log *log);
#define CLEAN_EVENT_LOG __attribute__((cleanup(tdx_event_log_free))) struct tdx_event_log

/* What the RTMRs hold after all events; those of MRTD and of type NO_ACTION extend none. */
void tdx_event_log_replay(const struct tdx_event_log *log, uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE]);

/* "EV_SEPARATOR", or "0x..." in room for what is not known. */
const char *tdx_event_type_name(uint32_t type, char room[16]);

/* Whether the data is what was measured: 0 yes, -COFRE_NEGATIVE with a sentence where the type says that it should be and it
 * is not, 1 where the type's data only describes what was measured. */
int tdx_event_check_data(const struct tdx_event *event, struct cofre_err *err);

/* The ACPI table (56 bytes): which log it points at. */
struct tdx_ccel {
    uint8_t type, subtype;    /* 2, 0: TDX */
    uint64_t length, address; /* of the log's area */
};
int tdx_ccel_parse(struct tdx_ccel *out, struct view table, struct cofre_err *err);

#endif
