/* What --certificates takes: the certificates that KVM asks user space for when a guest makes an extended request. */
#ifndef COFRE_SEV_LAUNCH_CERTIFICATES_H
#define COFRE_SEV_LAUNCH_CERTIFICATES_H

#include "vmm/base/bytes.h"

/* A certificate table as it is, or VCEK or VLEK with its chain as PEM or DER, in any order, from which the table is
 * made. COFRE_MALFORMED for anything else, and for a certificate that is none of AMD's kinds. */
int snp_certificates_load(struct bytes *table, struct view file, struct cofre_err *err);

#endif
