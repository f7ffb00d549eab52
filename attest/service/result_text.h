/* A result as the text of JSON in which it is answered. */
#ifndef COFRE_ATTEST_SERVICE_RESULT_TEXT_H
#define COFRE_ATTEST_SERVICE_RESULT_TEXT_H

#include <jansson.h>

#include "attest/store/result.h"

/*
 * Without white space; the verdict goes in as the text that is kept (verdict_text), and an empty JWT is left out. The caller frees
 * it; NULL without memory.
 */
char *result_text(const struct result *result);
/* The same, read. */
json_t *result_json(const struct result *result);

#endif
