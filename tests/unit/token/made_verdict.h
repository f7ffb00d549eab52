/* Verdicts of tests: every check of a TEE, with the outcome that the test wants. */
#ifndef COFRE_TESTS_MADE_VERDICT_H
#define COFRE_TESTS_MADE_VERDICT_H

#include "attest/token/ear.h"

/* All checks of "snp" or "tdx" passed; claims and TCB status as a good platform has them. The caller frees it. */
void made_verdict(struct verdict *out, const char *tee);
void made_outcome(struct verdict *v, const char *id, enum check_outcome outcome);

/* A result over such a verdict, with everything in it that a token can carry. */
void made_ear(struct ear *out, const char *tee);

#define MADE_AT       1764288000
#define MADE_LIFETIME 300
extern const struct view made_nonce;

#endif
