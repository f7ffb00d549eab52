/*
 * What the guest's owner wants of its launch: attributes, extended features, the three identities that a TD's report
 * carries, the run-time registers it must boot into, and where quotes come from. The options of cofre run that only TDX
 * guests have.
 */
#ifndef COFRE_TDX_LAUNCH_OWNER_H
#define COFRE_TDX_LAUNCH_OWNER_H

#include <stdbool.h>

#include "tdx/abi.h"
#include "vmm/machine/tee.h"

struct tdx_owner {
    uint64_t attributes;
    bool attributes_given;
    uint64_t xfam;
    bool xfam_given; /* else: all that the host has */
    uint8_t mrconfigid[48], mrowner[48], mrownerconfig[48];
    bool has_expected;
    uint8_t expected[TDX_DIGEST_SIZE]; /* MRTD */
    bool expects_rtmr[TDX_RTMRS];
    uint8_t expected_rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    const char *quote_service; /* NULL: the host's usual one */
};

void tdx_owner_init(struct tdx_owner *owner);

extern const struct tee_option tdx_owner_options[];
/* The value's text outlives the owner. */
int tdx_owner_set_option(struct tdx_owner *owner, const char *name, const char *value, struct cofre_err *err);

/* COFRE_NEGATIVE where --expect-rtmr asked for another value than is predicted. */
int tdx_owner_check_registers(const struct tdx_owner *owner, const struct tee_measurement *rtmr,
                              struct cofre_err *err);
/* COFRE_USAGE where --expect-rtmr was given for a guest whose registers nobody predicts. */
int tdx_owner_expects_no_register(const struct tdx_owner *owner, struct cofre_err *err);
/* The host's KVM allows the wishes. xfam becomes what the TD gets. */
int tdx_owner_fit(struct tdx_owner *owner, uint64_t supported_attributes, uint64_t supported_xfam,
                  struct cofre_err *err);

#endif
