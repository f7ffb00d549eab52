/* What `cofre inspect` knows: kinds of artefacts, each told by its bytes and described as one JSON object. */
#ifndef COFRE_CLI_INSPECT_H
#define COFRE_CLI_INSPECT_H

#include <jansson.h>
#include <openssl/types.h>

#include "vmm/base/bytes.h"
#include "vmm/base/x509.h"

struct artefact_kind {
    const char *name; /* "attestation report": the description's "kind" */
    /* The file would be one of these, well formed or not. Kinds are asked in the order of the table. */
    bool (*recognises)(struct view file);
    /* A new object: strings, whole numbers, booleans, and objects and lists of these. -COFRE_MALFORMED says why not. */
    int (*describe)(json_t **out, struct view file, struct cofre_err *err);
};

/* inspect_evidence.c */
extern const struct artefact_kind inspect_evidence, inspect_policy;
/* inspect_certs.c */
extern const struct artefact_kind inspect_certificates, inspect_crl, inspect_cert_table;
/* inspect_launch.c */
extern const struct artefact_kind inspect_id_block, inspect_id_auth, inspect_shim;

/* inspect_collateral.c */
extern const struct artefact_kind inspect_collateral, inspect_tcb_info, inspect_qe_identity;
/* inspect_ovmf.c */
extern const struct artefact_kind inspect_ovmf;
/* inspect_igvm.c */
extern const struct artefact_kind inspect_igvm;
/* inspect_log.c */
extern const struct artefact_kind inspect_log_file, inspect_log_head, inspect_log_receipt, inspect_log_entry;
/* inspect_tdx.c */
extern const struct artefact_kind inspect_event_log, inspect_ccel_table, inspect_td_report;

/* inspect_corim.c */
extern const struct artefact_kind inspect_corim;

/* inspect_token.c */
extern const struct artefact_kind inspect_jwt, inspect_cwt, inspect_jwks, inspect_cose_keys;

/* A member of at most 64 bytes as hexadecimal text; a member as "0x...". */
void inspect_put_hex(json_t *object, const char *key, const void *data, size_t len);
void inspect_put_address(json_t *object, const char *key, uint64_t address);
/* "2025-06-20T00:00:00Z", or null. */
json_t *inspect_time(const ASN1_TIME *time);
/* Members size and sha256 of the whole file. */
int inspect_put_sha256(json_t *object, struct view file, struct cofre_err *err);

/* A bag of certificates as a list. */
json_t *inspect_certs_list(const struct x509_certs *certs);
/* The certificates of a table as a list; for evidence that carries one. */
int inspect_describe_table(json_t **out, struct view table, struct cofre_err *err);

#endif
