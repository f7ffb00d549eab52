/*
 * Entries that Cofre itself writes: the first one of each log, verdicts, and changes of what verdicts go by. To the tree entries
 * are bytes; what is in those is decided here, and written down with its CDDL in docs/log.md. A CBOR map, of a version that
 * covers all of it.
 */
#ifndef COFRE_ATTEST_LOG_ENTRY_H
#define COFRE_ATTEST_LOG_ENTRY_H

#include "attest/log/head.h"

#define LOG_ENTRY_VERSION 1
#define LOG_TEE_MAX       16  /* bytes */
#define LOG_WORD_MAX      16  /* bytes */
#define LOG_DETAIL_MAX    256 /* bytes */

enum log_entry_kind { LOG_ENTRY_GENESIS, LOG_ENTRY_VERDICT, LOG_ENTRY_CHANGE };
enum log_outcome { LOG_PASSED, LOG_FAILED, LOG_UNJUDGED };

/* Whoever holds evidence, policy or token can say which verdict is of them; from the log alone nobody learns what is in them. */
struct log_entry {
    enum log_entry_kind kind;
    int64_t time; /* seconds since 1970 */
    /* genesis: why no two logs have the same id */
    char name[LOG_NAME_MAX + 1];
    uint8_t random[LOG_HASH_SIZE];
    /* verdict */
    int64_t outcome;           /* enum log_outcome */
    char tee[LOG_TEE_MAX + 1]; /* "snp", "tdx" */
    struct log_hash evidence;  /* SHA-256 of the evidence as it was handed in, */
    struct log_hash policy;    /* of the policy's text, */
    struct log_hash token;     /* of the signed result that was handed out */
    /* change: who did what to which object */
    char action[LOG_WORD_MAX + 1]; /* "added", "activated", "removed", "retired" */
    char object[LOG_WORD_MAX + 1]; /* "policy", "credential", "value" */
    char object_name[LOG_NAME_MAX + 1];
    int64_t object_version; /* 0 where it has none */
    char actor[LOG_NAME_MAX + 1];
    struct log_hash digest; /* SHA-256 of what the object is */
    char detail[LOG_DETAIL_MAX + 1];
};

int log_entry_write(struct bytes *out, const struct log_entry *entry, struct cofre_err *err);
/* -COFRE_MALFORMED where it is none of that version. */
int log_entry_read(struct log_entry *out, struct view bytes, struct cofre_err *err);

#endif
