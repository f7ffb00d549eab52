/*
 * Evidence as it travels in files: what a fetcher (cofre attest, the agent) writes and a verifier reads. Everything
 * in it comes from the host or over it, and is judged, never believed; in particular the nonce is a note of what the
 * fetcher asked with and never stands for the verifier's own.
 *
 * The JSON file: {"cofre_evidence": 1, "tee": "snp" or "tdx", "report": base64, "certificates": base64,
 *                 "event_log": base64, "nonce": hex}
 *   report        the TEE's report: for snp the ATTESTATION_REPORT (sev/abi.h), 1184 bytes; for tdx the quote (tdx/quote.h)
 *   certificates  optional, for snp: the GHCB certificate table as the host gave it (sev/cert_table.h)
 *   event_log     optional, for tdx: what was extended into the RTMRs (tdx/event_log.h), with or without its padding
 *   nonce         optional: 1 to 64 bytes
 * A member that is not named here is refused, so that a later version's file is not half understood.
 */
#ifndef COFRE_ATTEST_EVIDENCE_H
#define COFRE_ATTEST_EVIDENCE_H

#include <jansson.h>

#include "vmm/base/bytes.h"

#define EVIDENCE_FILE_MAX         (1u << 20)  /* bytes of a file */
#define EVIDENCE_REPORT_MAX       (64u << 10) /* bytes of "report" */
#define EVIDENCE_CERTIFICATES_MAX (64u << 10) /* bytes of "certificates" */
#define EVIDENCE_EVENT_LOG_MAX    (512u << 10)
#define EVIDENCE_NONCE_MAX        64

enum evidence_form { EVIDENCE_RAW, EVIDENCE_HEX, EVIDENCE_JSON };

struct evidence {
    const char *tee; /* "snp", "tdx" */
    enum evidence_form form;
    struct bytes report;
    struct bytes certificates; /* len 0: none came with it */
    struct bytes event_log;    /* the same */
    struct bytes nonce;        /* len 0: not noted */
};

void evidence_free(struct evidence *e);
#define CLEAN_EVIDENCE __attribute__((cleanup(evidence_free))) struct evidence

/* What the first bytes say: true where evidence_parse would take the file for evidence, well formed or not. */
bool evidence_recognises(struct view file);

/* Takes the JSON file, a raw SNP report of 1184 bytes, a raw TDX quote, or one of them as hexadecimal text.
 * -COFRE_MALFORMED otherwise. */
int evidence_parse(struct evidence *out, struct view file, struct cofre_err *err);

/* The JSON file, decoded; borrowed. */
int evidence_from_json(struct evidence *out, json_t *object, struct cofre_err *err);

/* Writes the JSON file, with a final newline. Members over their bounds are -COFRE_MALFORMED. */
int evidence_write(struct bytes *out, const struct evidence *e, struct cofre_err *err);

#endif
