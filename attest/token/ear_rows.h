/* The table from checks to the trustworthiness vector. docs/tokens.md says why each class has its values. */
#ifndef COFRE_ATTEST_TOKEN_EAR_ROWS_H
#define COFRE_ATTEST_TOKEN_EAR_ROWS_H

#include "attest/token/ear.h"

/* A statement of no value: the outcome says nothing about the member. */
#define EAR_SILENT INT8_MIN

/* What the outcomes of a check say, by enum check_outcome. */
struct ear_says {
    int member; /* an ear_member, or EAR_ALL: every member that is asserted */
    int8_t value[4];
};
#define EAR_ALL EAR_MEMBERS

struct ear_row {
    const char *id;
    const struct ear_says *says; /* ended by one that has no value at all */
};
extern const struct ear_row ear_rows[];
extern const size_t ear_row_count;

/* NULL for a check that has no row. */
const struct ear_row *ear_row_find(const char *id);
bool ear_says_ends(const struct ear_says *says);

/* By checks, TCB status, debugging and emulation. */
void ear_vector_of(struct ear_vector *out, const struct verdict *verdict);

#endif
