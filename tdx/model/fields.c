/*
 * TD-scope metadata as a guest reads and writes it (TDG.VM.RD, TDG.VM.WR): 348551, section "TD-scope metadata fields".
 * A field's identifier: class in bits 61:56, number in 23:0; the element's size (33:32), its increment (50), the flag of a
 * write mask (51), the context (54:52) and NON_ARCH (63) are not looked at; the rest must be zero.
 */
#include <stddef.h>
#include <string.h>

#include "tdx/model/td.h"
#include "vmm/base/bytes.h"

#define ID_CLASS_SHIFT 56
#define ID_KEY         0x3f00000000ffffffull
#define ID_IGNORED     0x807c000300000000ull

enum field_class { MANAGEMENT = 0x10, EXECUTION = 0x11, MEASUREMENT = 0x13, SERVICE_TD = 0x19 };

enum field {
    NUM_VCPUS,
    ATTRIBUTES,
    XFAM,
    MAX_VCPUS,
    GPAW,
    CONFIG_FLAGS,
    TD_CTLS,
    NOTIFY_ENABLES,
    MRTD,
    MRCONFIGID,
    MROWNER,
    MROWNERCONFIG,
    RTMR,
    SERVTD_HASH,
};

#define DIGEST_ELEMENTS (TDX_DIGEST_SIZE / 8)

static const struct entry {
    enum field_class class;
    uint32_t first;    /* the number of the first element */
    uint32_t elements; /* at consecutive numbers, of at most 8 bytes each */
    uint64_t writable; /* bits */
    enum field field;
} entries[] = {
    {MANAGEMENT, 0x01, 1, 0, NUM_VCPUS},
    {EXECUTION, 0x00, 1, 0, ATTRIBUTES},
    {EXECUTION, 0x01, 1, 0, XFAM},
    {EXECUTION, 0x02, 1, 0, MAX_VCPUS},
    {EXECUTION, 0x03, 1, 0, GPAW},
    {EXECUTION, 0x10, 1, 1, NOTIFY_ENABLES},
    {EXECUTION, 0x16, 1, 0, CONFIG_FLAGS},
    {EXECUTION, 0x17, 1, TDX_TD_CTLS_PENDING_VE_DISABLE, TD_CTLS},
    {MEASUREMENT, 0x00, DIGEST_ELEMENTS, 0, MRTD},
    {MEASUREMENT, 0x10, DIGEST_ELEMENTS, 0, MRCONFIGID},
    {MEASUREMENT, 0x18, DIGEST_ELEMENTS, 0, MROWNER},
    {MEASUREMENT, 0x20, DIGEST_ELEMENTS, 0, MROWNERCONFIG},
    {MEASUREMENT, 0x40, TDX_RTMRS *DIGEST_ELEMENTS, 0, RTMR},
    {SERVICE_TD, 0x00, DIGEST_ELEMENTS, 0, SERVTD_HASH},
};

static uint64_t value_of(const struct tdx_td *td, enum field field, uint32_t element)
{
    switch (field) {
    case NUM_VCPUS:
        return td->vcpus;
    case ATTRIBUTES:
        return td->params.attributes;
    case XFAM:
        return td->params.xfam;
    case MAX_VCPUS:
        return td->params.max_vcpus;
    case GPAW:
        return td->params.gpaw == 52;
    case CONFIG_FLAGS:
        return TDX_CONFIG_FLAGS_NO_RBP_MOD | (td->params.gpaw == 52 ? TDX_CONFIG_FLAGS_GPAW : 0);
    case TD_CTLS:
        return td->td_ctls;
    case NOTIFY_ENABLES:
        return td->notify_enables;
    case MRTD:
        return le64(td->info.mrtd + 8 * element);
    case MRCONFIGID:
        return le64(td->info.mrconfigid + 8 * element);
    case MROWNER:
        return le64(td->info.mrowner + 8 * element);
    case MROWNERCONFIG:
        return le64(td->info.mrownerconfig + 8 * element);
    case RTMR:
        return le64((const uint8_t *)td->info.rtmr + 8 * element);
    case SERVTD_HASH:
        return le64(td->info.servtd_hash + 8 * element);
    }
    return 0;
}

/* NULL where the identifier names no field; *element is the one that it names. */
static const struct entry *entry_of(uint64_t id, uint32_t *element)
{
    enum field_class class = (id & ID_KEY) >> ID_CLASS_SHIFT;
    uint32_t number = id & 0xffffff;
    if (id & ~(ID_KEY | ID_IGNORED))
        return NULL;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (entries[i].class == class && number >= entries[i].first &&
            number - entries[i].first < entries[i].elements) {
            *element = number - entries[i].first;
            return &entries[i];
        }
    return NULL;
}

tdx_status tdg_vm_rd(struct tdx_td *td, uint64_t field, uint64_t *value)
{
    TDX_TD_LOCKED(td);
    uint32_t element;
    *value = 0;
    tdx_status status = tdx_td_in(td, TDX_OP_RUNNABLE, "TDG.VM.RD");
    if (status != TDX_SUCCESS)
        return status;
    const struct entry *entry = entry_of(field, &element);
    if (!entry)
        return tdx_refuse(TDX_METADATA_FIELD_ID_INCORRECT, "TDG.VM.RD: there is no field 0x%llx",
                          (unsigned long long)field);
    *value = value_of(td, entry->field, element);
    return TDX_SUCCESS;
}

/* PENDING_VE_DISABLE is the guest's to change only with CONFIG_FLAGS.FLEXIBLE_PENDING_VE, for which KVM never asks. */
static bool may_become(const struct entry *entry, uint64_t old, uint64_t value)
{
    return entry->field != TD_CTLS || !((old ^ value) & TDX_TD_CTLS_PENDING_VE_DISABLE);
}

tdx_status tdg_vm_wr(struct tdx_td *td, uint64_t field, uint64_t value, uint64_t mask, uint64_t *old)
{
    TDX_TD_LOCKED(td);
    uint32_t element;
    *old = 0;
    tdx_status status = tdx_td_in(td, TDX_OP_RUNNABLE, "TDG.VM.WR");
    if (status != TDX_SUCCESS)
        return status;
    const struct entry *entry = entry_of(field, &element);
    if (!entry)
        return tdx_refuse(TDX_METADATA_FIELD_ID_INCORRECT, "TDG.VM.WR: there is no field 0x%llx",
                          (unsigned long long)field);
    if (!(entry->writable & mask))
        return tdx_refuse(TDX_METADATA_FIELD_NOT_WRITABLE, "TDG.VM.WR: field 0x%llx under mask 0x%llx",
                          (unsigned long long)field, (unsigned long long)mask);
    uint64_t before = value_of(td, entry->field, element), changed = (before ^ value) & mask;
    uint64_t after = before ^ changed;
    if (changed & ~entry->writable || !may_become(entry, before, after))
        return tdx_refuse(TDX_METADATA_FIELD_VALUE_NOT_VALID, "TDG.VM.WR: field 0x%llx from 0x%llx to 0x%llx",
                          (unsigned long long)field, (unsigned long long)before, (unsigned long long)after);
    if (entry->field == NOTIFY_ENABLES)
        td->notify_enables = after;
    *old = before;
    return TDX_SUCCESS;
}
