/* Between message.c and message_json.c. */
#ifndef COFRE_HOST_MESSAGE_PARTS_H
#define COFRE_HOST_MESSAGE_PARTS_H

#include "attest/cose/cbor.h"
#include "vmm/host/interface/message.h"

/* What is no JSON of ours, or is nested deeper than JSON_DEPTH_MAX, is the writer's failure. depth: of containers around it. */
void message_put_value(struct cose_writer *w, const json_t *value, unsigned depth);
/* The caller's; NULL where it is none, is nested too deep, or there is no memory. */
json_t *message_get_value(const struct cose_item *item, unsigned depth);

#endif
