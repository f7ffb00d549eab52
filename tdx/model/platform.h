/*
 * The emulated TDX processor and what stands around it on a host: the key of its report MACs, a quoting enclave with a
 * PCK chain, and the collateral that a vendor's service would give about them. Everything that a human or a verifier
 * sees of it is named EMULATED, and its chain ends in a root of its own.
 */
#ifndef COFRE_TDX_MODEL_PLATFORM_H
#define COFRE_TDX_MODEL_PLATFORM_H

#include <stdbool.h>

#include "tdx/abi.h"
#include "vmm/base/bytes.h"
#include "vmm/base/error.h"

struct tdx_platform; /* not changed after tdx_platform_open, so threads may share it */

struct tdx_platform_options {
    unsigned quote_version; /* 4 or 5 (body type 3); 0 means 4 */
};

/*
 * Opens the platform whose keys and chain live in dir; NULL: $COFRE_EMULATED_DIR, else /var/lib/cofre/emulated, where an
 * emulated SNP platform may live too. A directory without one gets one, once: of two processes that come first together
 * one makes it and both use it. COFRE_LACKING (cannot be written), COFRE_MALFORMED (damaged), COFRE_USAGE (options).
 */
int tdx_platform_open(struct tdx_platform **out, const char *dir, const struct tdx_platform_options *options,
                      struct cofre_err *err);
void tdx_platform_close(struct tdx_platform *platform);

/* Fills in CPUSVN, TEE_TCB_INFO, both hashes and the MAC of a report whose TDINFO and report data are set. */
void tdx_platform_seal_report(const struct tdx_platform *platform, struct tdx_report *report);
/* Whether the MAC is this platform's. */
bool tdx_platform_made(const struct tdx_platform *platform, const struct tdx_report_mac *mac);

/* The quoting enclave: a quote over a report that this platform made; COFRE_NEGATIVE for any other. */
int tdx_platform_quote(const struct tdx_platform *platform, const struct tdx_report *report,
                       struct bytes *out, struct cofre_err *err);

/* The root, as PEM text: for --trust-root. */
int tdx_platform_root(const struct tdx_platform *platform, struct bytes *out, struct cofre_err *err);
/* The collateral as one JSON file, in the layout that `cofre verify --collateral` takes, current at the time now. */
int tdx_platform_collateral(const struct tdx_platform *platform, int64_t now, struct bytes *out,
                            struct cofre_err *err);

#endif
