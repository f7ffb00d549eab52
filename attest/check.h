/*
 * What the checks of every TEE have in common. A check returns 0, CHECK_SKIP, -COFRE_NEGATIVE, -COFRE_LACKING (could not be
 * judged; the sentence names what is missing) or -COFRE_FAILED (the appraisal ends), with a sentence in every case.
 */
#ifndef COFRE_ATTEST_CHECK_H
#define COFRE_ATTEST_CHECK_H

#include <openssl/x509.h>

#include "attest/policy.h"
#include "attest/verdict.h"
#include "vmm/base/bytes.h"

#define CHECK_SKIP 1 /* policy or arguments do not ask for it, or it does not apply */

/* The sentence of a check that passed or was skipped. */
#define say(why, rc, ...) ((void)cofre_fail(why, COFRE_FAILED, __VA_ARGS__), (rc))

/* A field that is an array, as a view. */
#define VIEW(field) ((struct view){(field), sizeof(field)})

/* Puts a check's outcome into the verdict. Fails where the check did. */
int verdict_add(struct verdict *v, const char *id, int rc, const struct cofre_err *why,
                struct cofre_err *err);

/* What a bit must be, and what it is. */
int judge_bit(enum policy_bit wanted, bool set, const char *name, struct cofre_err *why);
int judge_list(const struct policy_list *list, struct view value, struct cofre_err *why);
/* Against an argument where one was given (len > 0), and the policy's list. what: "the launch digest". */
int judge_expected(struct view expected, const char *option, const struct policy_list *list,
                   struct view value, const char *what, struct cofre_err *why);
/* Every certificate of the chain is valid at that time; NULL stands for one that is missing. */
int judge_validity(X509 *const *chain, size_t count, int64_t at, struct cofre_err *why);
/* The report data is the nonce, then zeros. */
int judge_nonce(struct view nonce, struct view report_data, struct cofre_err *why);

#endif
