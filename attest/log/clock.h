/*
 * A log's heads shown to a TPM, which signs them together with its clock (TPM2_GetTime; TCG library specification, part 2, 10.12.12
 * TPMS_ATTEST, part 3, 18.7). Entries of the kind "clock" are such answers. The log's key lies in a file, and who copies it can sign
 * another log; the TPM's key does not leave the TPM, its clock goes forward alone, and so what was attested once is not attested as
 * something else at that time. docs/audit.md says what follows and what does not.
 */
#ifndef COFRE_ATTEST_LOG_CLOCK_H
#define COFRE_ATTEST_LOG_CLOCK_H

#include "attest/cose/key.h"
#include "attest/log/entry.h"

/* What the TPM is given to sign with its clock: SHA-256 of a label, the log's id, size and root. */
int log_clock_qualifying(uint8_t out[static LOG_HASH_SIZE], const struct log_state *state,
                         struct cofre_err *err);

/* As the TPM said it. */
struct log_clock {
    uint64_t milliseconds; /* in which the TPM was on, since it was made or cleared */
    uint64_t since_start;  /* of these, since it was last without power */
    uint32_t resets,
        restarts; /* to be compared for change: a key of another hierarchy than ours gets others */
    bool
        safe; /* that no higher number of milliseconds was told before; else up to LOG_CLOCK_LOST may be lost */
};
#define LOG_CLOCK_LOST                                                                                       \
    ((uint64_t)1 << 22) /* milliseconds between which a TPM writes its clock down at least */

/* What it says, whoever says so. -COFRE_MALFORMED: it is no TPM's answer about its clock. */
int log_clock_read(struct log_clock *out, struct view attest, struct cofre_err *err);
/* And one of the keys signed it over the head that the entry names, of the log with this id. -COFRE_NEGATIVE: by another key, another
 * signature, over another head. Whether the log has that head is not looked at. */
int log_clock_verify(struct log_clock *out, const struct log_entry *entry, const struct log_hash *id,
                     const struct cose_keys *keys, struct cofre_err *err);
/* For who makes such an entry: from a key's point x | y, and the TPM's two answers. Verified; time is the caller's. */
int log_clock_entry(struct log_entry *out, const struct log_state *state, const uint8_t *point,
                    struct view attest, struct view signature, struct cofre_err *err);
/* Keys as they are pinned: P-256, of which the kid is the thumbprint whatever it was. -COFRE_MALFORMED: another kind of key. */
int log_clock_keys(struct cose_keys *keys, struct cofre_err *err);

/* For who pins it: the public key in PEM, behind what is in PEM before. */
int log_clock_pem(struct bytes *out, struct view before, const uint8_t *point, struct cofre_err *err);

/* Entries of a log in their order. Zeroed is the beginning. */
#define LOG_CLOCK_DIFFERENCES 16
struct log_clock_course {
    uint64_t entries; /* so far, of this kind */
    uint64_t number, size;
    int64_t time; /* of the last one */
    struct log_clock clock;
    uint64_t resets, restarts,
        set_back; /* seen: changes of either number; a clock that went back as it may without power */
    /* Between two of them more time passed by the host's clock than by the TPM's, or less: one of the two was set. */
    struct log_clock_difference {
        uint64_t number;                 /* of the later one */
        int64_t host, tpm;               /* seconds */
    } difference[LOG_CLOCK_DIFFERENCES]; /* the first ones */
    uint64_t differences;
};
/* One that was verified. -COFRE_NEGATIVE: it is not what could come behind the one before. */
int log_clock_follow(struct log_clock_course *course, uint64_t number, const struct log_entry *entry,
                     const struct log_clock *clock, struct cofre_err *err);
/* The log ends with a head of this time, and the first entry behind what was attested is of `since` (negative: there is none whose time
 * is known). -COFRE_NEGATIVE: no entry is attested, or the end has not been for longer than a TPM needs. */
#define LOG_CLOCK_PATIENCE 600 /* seconds; cofred asks each minute in which the log grew */
int log_clock_end(const struct log_clock_course *course, int64_t since, int64_t time, struct cofre_err *err);

#endif
