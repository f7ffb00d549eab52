/* Results and verdicts as the text of JSON in which they are kept and answered. It is written by yajl, which takes a quarter of the time
 * that jansson takes: most of an answer is its verdict. */
#ifndef COFRE_ATTEST_SERVICE_RESULT_TEXT_H
#define COFRE_ATTEST_SERVICE_RESULT_TEXT_H

#include "attest/store/result.h"
#include "attest/verdict.h"

/* The object that verdict_json() makes, without white space; the caller frees it. NULL where a sentence is not UTF-8, or without memory. */
char *verdict_text(const struct verdict *verdict);

/* As it is answered; the verdict goes in as the text that is kept, and an empty JWT is left out. NULL as above. */
char *result_text(const struct result *result);
/* The same, read. */
json_t *result_json(const struct result *result);

#endif
