/* The verdict on a piece of evidence: every check with its outcome, and what the evidence claims. Knows no TEE. */
#ifndef COFRE_ATTEST_VERDICT_H
#define COFRE_ATTEST_VERDICT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/error.h"

enum check_outcome {
    CHECK_PASSED,
    CHECK_FAILED,
    CHECK_UNJUDGED, /* what it needs is missing or stale; the sentence names it */
    CHECK_SKIPPED,  /* policy or arguments do not ask for it, or it does not apply */
};

struct check_result {
    const char *id; /* static: "snp.signature" */
    enum check_outcome outcome;
    char why[320];
};

#define VERDICT_CHECKS_MAX 96
struct verdict {
    const char *tee;   /* "snp", "tdx" */
    const char *title; /* "AMD SEV-SNP report" */
    uint32_t version;  /* of the report */
    char product[16];  /* "Milan"; of TDX the FMSPC in hex; "unknown" */
    bool emulated;     /* the chain says that it is the emulated platform's: no confidentiality */
    const char *root;  /* whose root the chain ends in: "AMD", "--trust-root", or "none" */
    struct check_result check[VERDICT_CHECKS_MAX]; /* in the order made */
    size_t count;
    json_t *claims;
    json_t *
        reference; /* {"name", "version"} of the reference value that it is; NULL: of none that was asked for */
    const char *tcb_status; /* NULL where the TEE has none */
    json_t *advisories;     /* list of strings */
};

void verdict_free(struct verdict *v);
#define CLEAN_VERDICT __attribute__((cleanup(verdict_free))) struct verdict

/* FAILED where any check failed; else UNJUDGED where any could not be made; else PASSED. No check made is FAILED. */
enum check_outcome verdict_outcome(const struct verdict *v);
const char *verdict_outcome_word(const struct verdict *v); /* "pass", "fail", "unjudged" */

/* NULL where id is not among the checks. */
const struct check_result *verdict_check(const struct verdict *v, const char *id);

/* One object's text, without white space, the caller's to free; NULL where a sentence is no UTF-8, or without memory. */
char *verdict_text(const struct verdict *v);
/* The same read, as `cofre verify --json` prints it. */
json_t *verdict_json(const struct verdict *v);
/* For people. */
void verdict_print(const struct verdict *v, FILE *to, bool colour);

/* A structure of claims as indented lines; also for `cofre inspect`. */
void claims_print(json_t *claims, FILE *to);

#endif
