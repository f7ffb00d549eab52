/*
 * What a TDVF image says of itself to a VMM that launches TDX guests: the sections that the guest begins with.
 * Sources: Intel TDX Virtual Firmware Design Guide 1.03 (344991), section 11 "TDVF metadata"; edk2,
 * OvmfPkg/ResetVector/X64/IntelTdxMetadata.asm. The image is hostile input.
 */
#ifndef COFRE_TDX_TDVF_H
#define COFRE_TDX_TDVF_H

#include "tdx/abi.h"
#include "vmm/base/ovmf_table.h"

#define TDX_TDVF_SECTIONS_MAX 32

enum tdx_tdvf_section_type {
    TDX_TDVF_BFV, /* boot firmware volume: code */
    TDX_TDVF_CFV, /* configuration firmware volume: variables */
    TDX_TDVF_TD_HOB,
    TDX_TDVF_TEMP_MEM,
    TDX_TDVF_PERM_MEM,
    TDX_TDVF_PAYLOAD,
    TDX_TDVF_PAYLOAD_PARAM,
};

#define TDX_TDVF_MR_EXTEND (1u << 0) /* its contents are measured */
#define TDX_TDVF_PAGE_AUG  (1u << 1) /* it is added by TDH.MEM.PAGE.AUG, when the guest runs */

struct tdx_tdvf_section {
    struct view data; /* in the image; empty where the section begins as zeros, or as the VMM fills it */
    uint64_t gpa, size;
    uint32_t type, attributes;
};

struct tdx_tdvf {
    struct ovmf_table table;
    size_t section_count;
    struct tdx_tdvf_section section[TDX_TDVF_SECTIONS_MAX]; /* in the metadata's order */
};

/* An image without TDX metadata is not malformed: it has no sections. Sections are whole pages below 4 GiB that do not
 * overlap, with data that lie in the image and are no longer than the section; the firmware volumes have data, memory and
 * the TD HOB have none, and there is one TD HOB. */
int tdx_tdvf_parse(struct tdx_tdvf *out, struct view image, struct cofre_err *err);

/* "boot firmware volume", or NULL for a type that is not known. */
const char *tdx_tdvf_section_name(uint32_t type);

#endif
