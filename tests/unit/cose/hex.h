/* Bytes of tests, written as hexadecimal text. */
#ifndef COFRE_TESTS_COSE_HEX_H
#define COFRE_TESTS_COSE_HEX_H

#include "vmm/base/bytes.h"

static inline struct bytes from_hex(const char *text)
{
    struct bytes out = {0};
    assert_int_equal(hex_decode_some(&out, 1u << 20, text, NULL), 0);
    return out;
}

static inline void assert_hex(struct view is, const char *due)
{
    CLEAN_BYTES expected = from_hex(due);
    assert_int_equal(is.len, expected.len);
    assert_memory_equal(is.data, expected.data, expected.len);
}

#endif
