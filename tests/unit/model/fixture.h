/* What the model's tests share: a platform per product, a launched guest, and the guest's half of the messages. */
#ifndef COFRE_TEST_MODEL_FIXTURE_H
#define COFRE_TEST_MODEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sev/model/psp.h"

#define POLICY (SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT)

/* Opens a platform on the build tree's chain of that product. */
struct psp *open_platform(struct psp_options options);

/* Launches a guest: one NORMAL page, the secrets page (returned), finish. */
struct psp_guest *launch_guest(const struct psp *psp, struct snp_secrets_page *secrets,
                               const struct psp_launch_finish *finish);

/* One page by its type; its bytes come back in data. */
enum psp_status give_page(struct psp_guest *guest, enum snp_page_type type, uint64_t gpa, void *data);

/* Seals a request as a guest does; the header may be changed before by change (may be NULL). */
void seal(uint8_t page[SNP_PAGE_SIZE], const uint8_t key[32], uint8_t vmpck, uint64_t seqno, uint8_t type,
          const void *payload, uint16_t size, void (*change)(struct snp_guest_msg_header *));
/* Opens a response; fails the test unless it is sealed under key and has that type, number and size. */
void unseal(const uint8_t page[SNP_PAGE_SIZE], const uint8_t key[32], uint64_t seqno, uint8_t type,
            void *payload, uint16_t size);

/* One whole report request under a VMPCK. */
struct snp_report_rsp ask_report(struct psp_guest *guest, const struct snp_secrets_page *secrets,
                                 uint8_t vmpck, uint64_t seqno, const struct snp_report_req *request);

#endif
