/*
 * MRTD of a TDVF image as other VMMs lay it out, and Cofre for its own guests (tdx/launch/firmware.h): the metadata's
 * sections in their order, each page added and, where the section says so, measured before the next one is added.
 *
 * QEMU (10.1 and later; target/i386/kvm/tdx.c, hw/i386/tdvf.c) and Google's VMM (google/gce-tcb-verifier,
 * tdx/measurement.go) do exactly the same, so one prediction serves both. KVM before Linux 6.16 was out of tree and
 * measured a section only after all its pages were added: its MRTD is another one, and not predicted here.
 */
#ifndef COFRE_TDX_LAYOUT_H
#define COFRE_TDX_LAYOUT_H

#include "tdx/tdvf.h"

/* An image without sections, one with a section that these VMMs do not take, or one whose measured contents the image
 * does not say, is -COFRE_MALFORMED. */
int tdx_layout_check(const struct tdx_tdvf *tdvf, struct cofre_err *err);
/* As tdx_layout_check. */
int tdx_layout_mrtd(uint8_t out[TDX_DIGEST_SIZE], const struct tdx_tdvf *tdvf, struct cofre_err *err);

#endif
