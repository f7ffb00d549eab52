/* What a verdict must be, for tests of any TEE. */
#ifndef COFRE_TESTS_OUTCOMES_H
#define COFRE_TESTS_OUTCOMES_H

#include "attest/verdict.h"

/* The ids of the checks with that outcome, a space behind each. */
void verdict_list(const struct verdict *v, enum check_outcome outcome, char out[1024]);

void verdict_must_pass(const struct verdict *v);
/* ids: mostly one; several, with spaces between them, where one fact breaks them all. */
void verdict_must_fail_only(const struct verdict *v, const char *ids);
/* Nothing failed, and this check could not be made. */
void verdict_must_be_unjudged(const struct verdict *v, const char *id);

#endif
