/* An emulated SNP guest that answers nonces, and what a service has to trust for it. Any thread may ask it. */
#ifndef TESTS_UNIT_SERVICE_GUEST_H
#define TESTS_UNIT_SERVICE_GUEST_H

#include "tests/unit/service/fixture.h"

/* Writes the root and the list of its chip into the fixture's folder, and names them in the configuration. */
void guest_open(struct fixture *f);
/* Its answer to that nonce (hexadecimal), as the text of an evidence file; no two are the same. The caller frees it. */
char *guest_evidence(const char *nonce);
void guest_close(void);

#endif
