#include "attest/channel/message.h"

#include <string.h>

#include "attest/channel/binding.h"
#include "attest/evidence.h"

static const struct {
    enum channel_message kind;
    const char *name;
    size_t min, max;
} kinds_known[] = {
    {CHANNEL_HELLO, "hello", 1 + CHANNEL_NONCE_SIZE, 1 + CHANNEL_NONCE_SIZE},
    {CHANNEL_EVIDENCE, "evidence", 1, EVIDENCE_FILE_MAX},
    {CHANNEL_NONE, "none", 0, CHANNEL_SENTENCE_MAX},
    {CHANNEL_VERDICT, "verdict", 1, 1 + CHANNEL_SENTENCE_MAX},
};
#define KINDS (sizeof kinds_known / sizeof *kinds_known)

int channel_send(const struct channel_stream *stream, enum channel_message kind, struct view body,
                 struct cofre_err *err)
{
    const uint8_t head[5] = {(uint8_t)kind, (uint8_t)(body.len >> 24), (uint8_t)(body.len >> 16),
                             (uint8_t)(body.len >> 8), (uint8_t)body.len};
    int rc = stream->write(stream->context, head, sizeof head, err);
    return rc == 0 && body.len ? stream->write(stream->context, body.data, body.len, err) : rc;
}

/* The row of a kind that may come now; KINDS where it may not. */
static size_t find_kind(uint8_t kind, const char *kinds)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds_known[i].kind == kind && strchr(kinds, kind))
            return i;
    return KINDS;
}

int channel_receive(struct bytes *body, const struct channel_stream *stream, const char *kinds,
                    struct cofre_err *err)
{
    uint8_t head[5];
    *body = (struct bytes){0};
    int rc = stream->read(stream->context, head, sizeof head, err);
    if (rc < 0)
        return rc;
    const size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    const size_t row = find_kind(head[0], kinds);
    if (row == KINDS)
        return cofre_fail(err, COFRE_MALFORMED, "the other end sent a message of kind %u out of turn",
                          head[0]);
    if (len < kinds_known[row].min || len > kinds_known[row].max)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the other end announced a message \"%s\" of %zu bytes, and it has %zu to %zu",
                          kinds_known[row].name, len, kinds_known[row].min, kinds_known[row].max);
    rc = bytes_alloc(body, len, err);
    if (rc == 0 && len)
        rc = stream->read(stream->context, body->data, len, err);
    if (rc < 0)
        bytes_free(body);
    return rc < 0 ? rc : head[0];
}
