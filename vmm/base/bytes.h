/* Bytes: owned buffers, views, little-endian fields, hexadecimal. */
#ifndef COFRE_BASE_BYTES_H
#define COFRE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* Somebody else's bytes; never freed through the view. */
struct view {
    const uint8_t *data;
    size_t len;
};

/* Own bytes; freed, and wiped first, by bytes_free or at the end of the scope with CLEAN_BYTES. */
struct bytes {
    uint8_t *data;
    size_t len;
};

void bytes_free(struct bytes *b);
#define CLEAN_BYTES __attribute__((cleanup(bytes_free))) struct bytes

int bytes_alloc(struct bytes *out, size_t len, struct cofre_err *err);       /* zeroed; len may be 0 */
int bytes_alloc_pages(struct bytes *out, size_t len, struct cofre_err *err); /* the same, aligned to 4 KiB */
int bytes_copy(struct bytes *out, struct view in, struct cofre_err *err);
static inline struct view bytes_view(const struct bytes *b)
{
    return (struct view){b->data, b->len};
}

/* The part [offset, offset+len) of v; false, and *out empty, where v does not hold all of it. */
bool view_sub(struct view v, uint64_t offset, uint64_t len, struct view *out);
bool view_equal(struct view a, struct view b);
bool bytes_are_zero(const void *data, size_t len);

uint16_t le16(const void *p);
uint32_t le32(const void *p);
uint64_t le64(const void *p);
void put_le16(void *p, uint16_t v);
void put_le32(void *p, uint32_t v);
void put_le64(void *p, uint64_t v);

/* Writes 2*len lower-case digits and a terminating zero. */
void hex_encode(char *out, const void *data, size_t len);
/* Reads exactly len bytes from 2*len digits, nothing after them; false otherwise. */
bool hex_decode(void *out, size_t len, const char *text);
/* Reads up to max bytes; an odd number of digits, another character or more than max is an error. */
int hex_decode_some(struct bytes *out, size_t max, const char *text, struct cofre_err *err);

#endif
