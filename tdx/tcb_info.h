/*
 * TCB info V3 for TDX: which levels of a platform's components Intel knows, and what it says of each (Intel SGX and TDX
 * Provisioning Certification Service API v4, GET /tdx/certification/v4/tcb). Pure: signature and window are others' work.
 */
#ifndef COFRE_TDX_TCB_INFO_H
#define COFRE_TDX_TCB_INFO_H

#include <jansson.h>
#include <stddef.h>

#include "tdx/tcb_status.h"
#include "vmm/base/bytes.h"

#define TDX_TCB_LEVELS_MAX 512

/* A level of the whole platform. */
struct tdx_tcb_level {
    uint8_t sgx[TDX_TCB_COMPONENTS], tdx[TDX_TCB_COMPONENTS];
    uint16_t pce_svn;
    enum tdx_tcb_status status;
    int64_t date;
    const json_t *advisories; /* list of strings, or NULL; the document's */
};

/* A level of a module or an enclave, which has one number. */
struct tdx_isv_level {
    uint16_t isv_svn;
    enum tdx_tcb_status status; /* up to date, out of date or revoked */
    int64_t date;
    const json_t *advisories;
};
struct tdx_isv_levels { /* greatest isv_svn first */
    struct tdx_isv_level *level;
    size_t count;
};
/* The first that isv_svn reaches, or NULL. */
const struct tdx_isv_level *tdx_isv_levels_find(const struct tdx_isv_levels *levels, uint16_t isv_svn);

/* What a TDX module must be. */
struct tdx_module_identity {
    uint8_t version; /* "TDX_03" is 3: TEE_TCB_SVN[1] */
    uint8_t mrsigner[48], attributes[8], attributes_mask[8];
    struct tdx_isv_levels levels;
};

struct tdx_tcb_info {
    int64_t issue_date, next_update; /* seconds since 1970 */
    uint8_t fmspc[6], pce_id[2];     /* as written: most significant byte first in pce_id */
    uint32_t evaluation_number;
    struct tdx_module_identity module; /* of modules whose TEE_TCB_SVN[1] is 0; no levels */
    struct tdx_module_identity *identity;
    size_t identities;
    struct tdx_tcb_level *level; /* the highest first, sorted here */
    size_t levels;
    json_t *document; /* owned */
};

/* text: the object of member "tcbInfo". -COFRE_MALFORMED names the member. */
int tdx_tcb_info_parse(struct tdx_tcb_info *out, struct view text, struct cofre_err *err);
void tdx_tcb_info_free(struct tdx_tcb_info *info);

/* The identity that a module of this TEE_TCB_SVN must have: by [1], where it is not 0; NULL: the collateral has none. */
const struct tdx_module_identity *tdx_tcb_info_module(const struct tdx_tcb_info *info,
                                                      const uint8_t tee_tcb_svn[TDX_TCB_COMPONENTS]);

#endif
