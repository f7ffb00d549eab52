#include "tests/lab/hostile/request.h"

#define ATTEMPTS 16      /* of requests whose answers come in a queue that faults may have filled */
#define LOOKS    200000u /* for such an answer, before the next attempt */

void put16(uint64_t gpa, uint32_t value)
{
    byte(gpa)[0] = (uint8_t)value;
    byte(gpa)[1] = (uint8_t)(value >> 8);
}

void put32(uint64_t gpa, uint32_t value)
{
    put16(gpa, value);
    put16(gpa + 2, value >> 16);
}

void put_be16(uint64_t gpa, uint32_t value)
{
    byte(gpa)[0] = (uint8_t)(value >> 8);
    byte(gpa)[1] = (uint8_t)value;
}

uint32_t get32(uint64_t gpa)
{
    return byte(gpa)[0] | (uint32_t)byte(gpa)[1] << 8 | (uint32_t)byte(gpa)[2] << 16 |
           (uint32_t)byte(gpa)[3] << 24;
}

void fill_random(uint64_t gpa, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        byte(gpa)[i] = (uint8_t)below(256);
}

enum outcome ask(struct device *d, uint32_t out, uint32_t in, uint32_t *written)
{
    const struct buffer buffers[] = {{PROBE, out, 0}, {REPLY, in, WRITE}};
    uint16_t id = 0;
    post(d, d->kind->request, 0, out ? buffers : buffers + 1, (out > 0) + (in > 0));
    enum outcome outcome = wait_used(d, d->kind->request, &id, written);
    return outcome == WENT_ON && id != 0 ? wrong(d, "another request came back") : outcome;
}

/* Each buffer is given back. */
static bool look_through(struct device *d, sought *is_answer)
{
    uint16_t id;
    uint32_t written;
    bool found = false;
    while (ring_take(&d->ring[d->kind->receive], &id, &written)) {
        if (id >= RECEIVED)
            continue;
        found |= is_answer(d, ANSWERS + id * ANSWER, written);
        post_receive(d, id);
    }
    return found;
}

/* Buffers of faults are used up, and answers to them come, before: so it is asked again. */
enum outcome ask_for_answer(struct device *d, uint32_t out, sought *is_answer)
{
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        enum outcome outcome = ask(d, out, 0, NULL);
        for (unsigned look = 0; outcome == WENT_ON && look < LOOKS; look++) {
            if (look_through(d, is_answer))
                return WENT_ON;
            if (look % 1000 == 999 && device_dead(d))
                outcome = DEAD;
            __asm__ volatile("pause");
        }
        if (outcome != WENT_ON)
            return outcome;
    }
    return wrong(d, "no answer comes");
}
