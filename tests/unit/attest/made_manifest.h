/* Manifests of an SVSM for tests: endorsement keys of any properties, and tables around them, well formed or not. */
#ifndef COFRE_TESTS_MADE_MANIFEST_H
#define COFRE_TESTS_MADE_MANIFEST_H

#include <tss2/tss2_tpm2_types.h>

#include "vmm/base/bytes.h"

#define MADE_MANIFEST_MAX 2048

struct made_manifest {
    uint8_t data[MADE_MANIFEST_MAX];
    size_t len;
};
static inline struct view made_view(const struct made_manifest *m)
{
    return (struct view){m->data, m->len};
}

/* The TCG's default template of an RSA key or of one of P-256, with a public key in it; what a test changes is written by made_ek. */
void made_rsa(TPMT_PUBLIC *out);
void made_ecc(TPMT_PUBLIC *out);
void made_ek(struct made_manifest *out, const TPMT_PUBLIC *area);

/* A table of so many services, the first the vTPM with this manifest, the others with some bytes each, or none. */
void made_table(struct made_manifest *out, const struct made_manifest *ek, size_t services);

extern const uint8_t made_vtpm_guid[16], made_services_guid[16];
/* Where a table has the offset and the size of a service. */
#define MADE_OFFSET_AT(service) (24 * (1 + (size_t)(service)) + 16)
#define MADE_SIZE_AT(service)   (24 * (1 + (size_t)(service)) + 20)

#endif
