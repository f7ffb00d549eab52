/* A value as its owner brings it to the service: sealed to the key that GET /v1/import-key has answered. */
#ifndef TESTS_UNIT_SERVICE_SEALED_IMPORT_H
#define TESTS_UNIT_SERVICE_SEALED_IMPORT_H

#include <jansson.h>

#include "vmm/base/bytes.h"

/* The member "import" of a request, for a key of that name. */
json_t *sealed_import(const json_t *answer, const char *name, struct view value);

#endif
