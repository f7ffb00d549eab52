#include "tests/unit/attest/mutate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

unsigned mutate_rounds(unsigned all)
{
    const char *one_in = getenv("COFRE_MUTATIONS_ONE_IN");
    const unsigned long n = one_in ? strtoul(one_in, NULL, 10) : 1;
    return n > 1 ? all / (unsigned)n : all;
}

uint64_t mutate_any(uint64_t below)
{
    static uint64_t state = 0x2545f4914f6cdd1d;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void change_bytes(struct bytes *m, size_t most)
{
    uint64_t how = mutate_any(40);
    if (how < 20)
        m->data[mutate_any(m->len)] ^= (uint8_t)(1u << mutate_any(8));
    else if (how < 36)
        m->data[mutate_any(m->len)] = (uint8_t)mutate_any(256);
    else if (how < 38)
        m->len = 1 + mutate_any(m->len);
    else if (m->len < most)
        m->data[m->len++] = (uint8_t)mutate_any(256);
}

static void change_text(struct bytes *m, size_t most)
{
    uint64_t how = mutate_any(40), len = 1 + mutate_any(16);
    if (how < 16)
        m->data[mutate_any(m->len)] ^= (uint8_t)(1u << mutate_any(7));
    else if (how < 34)
        m->data[mutate_any(m->len)] = (uint8_t)(' ' + mutate_any(95));
    else if (how < 37 && m->len > len)
        memmove(m->data + mutate_any(m->len - len), m->data + mutate_any(m->len - len), len);
    else if (how < 38)
        m->len = 1 + mutate_any(m->len);
    else if (m->len < most)
        m->data[m->len++] = (uint8_t)(' ' + mutate_any(95));
}

static void mutate(struct bytes *out, struct view in, void (*change)(struct bytes *m, size_t most))
{
    size_t most = in.len + 8;
    assert_int_equal(bytes_alloc(out, most, NULL), 0);
    do {
        memcpy(out->data, in.data, in.len);
        out->len = in.len;
        for (uint64_t n = 1 + mutate_any(3); n > 0; n--)
            change(out, most);
    } while (view_equal(bytes_view(out), in));
}

void mutate_bytes(struct bytes *out, struct view in)
{
    mutate(out, in, change_bytes);
}

void mutate_text(struct bytes *out, struct view in)
{
    mutate(out, in, change_text);
}
