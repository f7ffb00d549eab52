/*
 * What a log's file is made of: a sequence of CBOR items (RFC 8742). First the text "cofre-log-1" and a number, always of
 * 64 bits: how many bytes of the file were on the disk when the last head was. Then each byte string is an entry, in order,
 * and each byte string with tag 24 (RFC 8949, section 3.4.5.1) is a signed head over all entries before it. An array of one
 * byte string is an entry that was removed: its leaf's hash, from which all else follows as before.
 */
#ifndef COFRE_ATTEST_LOG_ITEM_H
#define COFRE_ATTEST_LOG_ITEM_H

#include "vmm/base/bytes.h"

#define LOG_ENTRY_MAX        (1u << 20) /* bytes */
#define LOG_HEAD_MAX         4096
#define LOG_ITEM_PREFIX_MAX  16
#define LOG_HEADER_SIZE      21
#define LOG_HEADER_COMMITTED 12 /* where the number's item begins, of 9 bytes */

void log_header_write(uint8_t out[LOG_HEADER_SIZE], uint64_t committed);
/* False where a log's file does not begin so. */
bool log_header_read(uint64_t *committed, struct view bytes);

enum log_item_kind { LOG_ITEM_ENTRY, LOG_ITEM_HEAD, LOG_ITEM_REMOVED };

struct log_item {
    enum log_item_kind kind;
    size_t prefix, len; /* bytes of CBOR before the content, and of the content */
};

/* From the first LOG_ITEM_PREFIX_MAX bytes of an item, or all that there are. 1: *out is filled in, though the content may end
 * behind these bytes; 0: they end before one can tell; -COFRE_MALFORMED: it is none, or longer than it may be. */
int log_item_read(struct log_item *out, struct view bytes, struct cofre_err *err);

/* The prefix of an item; returns its length. len is at most what the kind may have. */
size_t log_item_prefix(uint8_t out[LOG_ITEM_PREFIX_MAX], enum log_item_kind kind, size_t len);

#endif
