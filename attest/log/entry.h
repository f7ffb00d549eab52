/*
 * Entries that Cofre itself writes: the first one of each log; verdicts, and changes of what verdicts go by; operations on a host
 * of guests, launches there, and what a TPM said of its clock and the log. To the tree entries are bytes; what is in those is decided
 * here, and written down with its CDDL in docs/log.md. A CBOR map, of a version that covers all of it.
 */
#ifndef COFRE_ATTEST_LOG_ENTRY_H
#define COFRE_ATTEST_LOG_ENTRY_H

#include "attest/log/head.h"

#define LOG_ENTRY_VERSION                                                                                    \
    3 /* the highest that is read; a clock is written as one of 3, an operation or a launch of 2, all others of 1 */
#define LOG_TEE_MAX           16 /* bytes, as the next ones */
#define LOG_WORD_MAX          16
#define LOG_LABEL_MAX         64
#define LOG_FROM_MAX          96
#define LOG_SUBJECT_MAX       384
#define LOG_DETAIL_MAX        256
#define LOG_MEASUREMENT_SIZE  48
#define LOG_REGISTERS_SIZE    192
#define LOG_ATTEST_MAX        160
#define LOG_TPM_SIGNATURE_MAX 80

enum log_entry_kind {
    LOG_ENTRY_GENESIS,
    LOG_ENTRY_VERDICT,
    LOG_ENTRY_CHANGE,
    LOG_ENTRY_OPERATION,
    LOG_ENTRY_LAUNCH,
    LOG_ENTRY_CLOCK,
    LOG_ENTRY_KINDS,
};
/* Of a verdict; of an operation; of a launch. */
enum log_outcome { LOG_PASSED, LOG_FAILED, LOG_UNJUDGED };
enum log_operation_outcome {
    LOG_OPERATION_ALLOWED, /* decided and begun; what became of it is another entry, of the same request */
    LOG_OPERATION_REFUSED,
    LOG_OPERATION_FAILED,
    LOG_OPERATION_DONE,
    LOG_OPERATION_OUTCOMES,
};
enum log_launch_outcome {
    LOG_LAUNCH_RUNS,
    LOG_LAUNCH_STOPPED, /* it was launched, and did not get to run: its measurement was not what it had to be */
    LOG_LAUNCH_FAILED, /* it was not launched, or nobody could measure it */
    LOG_LAUNCH_OUTCOMES,
};

/* Something of a known size, or nothing: len is 0 then. */
struct log_digest { /* SHA-256 */
    uint8_t len, data[LOG_HASH_SIZE];
};
struct log_measurement {
    uint8_t len, data[LOG_MEASUREMENT_SIZE];
};
struct log_registers { /* RTMR 0 to 3 */
    uint8_t len, data[LOG_REGISTERS_SIZE];
};
struct log_attest {
    uint8_t len, data[LOG_ATTEST_MAX];
};
struct log_tpm_signature {
    uint8_t len, data[LOG_TPM_SIGNATURE_MAX];
};

/*
 * Whoever has evidence, policy, token, kernel or document can say which entry is of it; from the log alone nobody learns what is
 * in them. No field can hold a secret by accident: digests, numbers, and short texts that people wrote as names.
 * Texts of operations and launches are printable ASCII, so that no name looks like another's.
 */
struct log_entry {
    enum log_entry_kind kind;
    int64_t time; /* seconds since 1970 */
    /* genesis: why no two logs have the same id */
    char name[LOG_NAME_MAX + 1];
    uint8_t random[LOG_HASH_SIZE];
    /* verdict; operation, launch: their own outcomes, and a launch's tee */
    int64_t outcome;           /* enum log_outcome, log_operation_outcome, log_launch_outcome */
    char tee[LOG_TEE_MAX + 1]; /* "snp", "tdx", "none" */
    struct log_hash evidence;  /* SHA-256 of the evidence as it was handed in, */
    struct log_hash policy;    /* of the policy's text, */
    struct log_hash token;     /* of the signed result that was handed out */
    /* change: who did what to which object. Operation, launch: name of the object or guest, detail */
    char action[LOG_WORD_MAX + 1]; /* "added", "activated", "removed", "retired" */
    char object[LOG_WORD_MAX + 1]; /* "policy", "credential", "value" */
    char object_name[LOG_NAME_MAX + 1];
    int64_t object_version; /* 0 where it has none */
    char actor[LOG_NAME_MAX + 1];
    struct log_hash digest; /* SHA-256 of what the object is */
    char detail[LOG_DETAIL_MAX + 1];
    /* operation and launch */
    char request[LOG_LABEL_MAX + 1]; /* the same in all entries of one request */
    char tenant[LOG_LABEL_MAX + 1];  /* "": the host's */
    /* operation */
    char subject[LOG_SUBJECT_MAX + 1]; /* who: "uid:1000" */
    char identity[LOG_WORD_MAX + 1];   /* shown by what: "certificate", "socket", "token"; "none" */
    char from[LOG_FROM_MAX + 1];       /* an address, "pid 812" */
    char operation[LOG_LABEL_MAX + 1]; /* "guest.start" */
    struct log_digest before, after;   /* of what the object is */
    int64_t count; /* requests that this entry stands for: 1, or refusals that came too fast */
    /* launch */
    int64_t guest; /* its number, which no other guest of this host ever gets */
    int64_t emulated;
    struct log_measurement expected;  /* what the guest's definition says that it must be */
    struct log_measurement predicted; /* from what was put into it */
    struct log_measurement reported;  /* by the firmware */
    struct log_registers predicted_registers, reported_registers;
    struct log_digest kernel, initrd, cmdline, firmware, id_block;
    uint64_t guest_policy;            /* SNP's policy, TDX's attributes */
    struct log_measurement host_data; /* SNP's, 32 bytes; TDX's MRCONFIGID, 48 */
    struct log_digest launch_evidence;
    /* clock (attest/log/clock.h): a head of this log, and what a TPM said when it was shown it */
    int64_t size;
    struct log_hash root, tpm_key; /* of the log's first entries; thumbprint (RFC 9679) of the TPM's key */
    struct log_attest attest;      /* TPMS_ATTEST */
    struct log_tpm_signature signature; /* TPMT_SIGNATURE */
};

/* -COFRE_USAGE where a member is not as it should be: the sentence names it. */
int log_entry_write(struct bytes *out, const struct log_entry *entry, struct cofre_err *err);
/* -COFRE_MALFORMED where it is none of these versions. */
int log_entry_read(struct log_entry *out, struct view bytes, struct cofre_err *err);

/* For what others wrote: the text with every byte that is not printable ASCII, and every backslash, as "\x5c"; as much as has
 * room, which then ends in "...". size is 4 or more. */
void log_entry_text(char *to, size_t size, const char *text);

#endif
