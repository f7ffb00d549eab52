/* Between schema.c, text.c and schema_document.c. */
#ifndef COFRE_HOST_SCHEMA_PARTS_H
#define COFRE_HOST_SCHEMA_PARTS_H

#include "vmm/host/interface/schema.h"

/* Whether the text is what the shape says; -COFRE_MALFORMED, with a sentence without a subject's name. */
int text_check(struct view text, const struct schema_shape *shape, struct cofre_err *err);
/* How many bytes it may have, where the shape leaves that to its check. */
size_t text_max(const struct schema_shape *shape);
/* A regular expression (ECMA-262) for the document; NULL: the check is more than one says. */
const char *text_pattern(enum schema_check check);

#endif
