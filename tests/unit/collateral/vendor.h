/*
 * A stand-in for both vendors' services on this machine, written from their documents: AMD's key service, Intel's
 * provisioning certification service, and a PCCS, at one address. What it serves is the emulated platforms'. It can
 * throttle, stall, lie, garble, and die while it answers.
 */
#ifndef TESTS_UNIT_COLLATERAL_VENDOR_H
#define TESTS_UNIT_COLLATERAL_VENDOR_H

#include "attest/collateral/fetch.h"

enum vendor_mood {
    VENDOR_GOOD,
    VENDOR_THROTTLES,     /* 429 with Retry-After, where one was set */
    VENDOR_BROKEN,        /* 502 */
    VENDOR_STALLS,        /* takes the question and says nothing */
    VENDOR_HOLDS,         /* the same until the mood changes: then it answers */
    VENDOR_DIES,          /* ends the connection in the middle of the body */
    VENDOR_ENDLESS,       /* says more than anybody would keep */
    VENDOR_GARBLES,       /* something else altogether */
    VENDOR_CUTS,          /* a part that says that it is the whole */
    VENDOR_BAD_SIGNATURE, /* of a document: a digit changed; of DER: its last byte */
    VENDOR_LIES,          /* answers any question about a chip or an FMSPC with its own */
    VENDOR_MOVED,         /* 302 to itself */
};

struct vendor;

/* Documents are current at that time. Directories of the emulated platforms are made where they are not there. */
struct vendor *vendor_new(int64_t now);
void vendor_free(struct vendor *vendor);
const char *vendor_url(const struct vendor *vendor);
void vendor_be(struct vendor *vendor, enum vendor_mood mood, const char *retry_after);
/* Documents of Intel's are made anew, as of then. */
void vendor_publish(struct vendor *vendor, int64_t now);
/* How often it was asked for paths that begin so. */
unsigned vendor_asked(struct vendor *vendor, const char *path);
/* Waits until it holds that many questions. */
void vendor_wait_for_held(struct vendor *vendor, unsigned count);

/* What its platforms' things are called. */
struct collateral_id vendor_vcek(const struct vendor *vendor);
struct collateral_id vendor_tcb_info(const struct vendor *vendor);
/* The platforms themselves, for evidence. */
struct psp;
struct tdx_platform;
struct psp *vendor_psp(struct vendor *vendor);
struct tdx_platform *vendor_platform(struct vendor *vendor);
/* Both roots. */
const struct x509_certs *vendor_roots(const struct vendor *vendor);

#endif
