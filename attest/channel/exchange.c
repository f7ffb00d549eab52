#include "attest/channel/exchange.h"

#include <openssl/rand.h>
#include <string.h>

struct exchange {
    const struct channel_stream *stream;
    const struct channel_facts *facts;
    const struct channel_acts *acts;
    uint8_t nonce[CHANNEL_NONCE_SIZE];      /* ours */
    uint8_t peer_nonce[CHANNEL_NONCE_SIZE]; /* the other end's */
    bool asked;                             /* the other end wants evidence */
};

static struct view text(const char *sentence)
{
    const size_t len = strlen(sentence);
    return (struct view){(const uint8_t *)sentence, len < CHANNEL_SENTENCE_MAX ? len : CHANNEL_SENTENCE_MAX};
}

static int greet(struct exchange *x, struct cofre_err *err)
{
    uint8_t hello[1 + CHANNEL_NONCE_SIZE] = {x->acts->judge != NULL};
    if (x->acts->judge && RAND_bytes(x->nonce, sizeof x->nonce) != 1)
        return cofre_fail(err, COFRE_FAILED, "no random bytes for a nonce");
    memcpy(hello + 1, x->nonce, sizeof x->nonce);
    int rc = channel_send(x->stream, CHANNEL_HELLO, (struct view){hello, sizeof hello}, err);
    CLEAN_BYTES theirs = {0};
    rc = rc < 0 ? rc : channel_receive(&theirs, x->stream, "h", err);
    if (rc < 0)
        return rc;
    if (theirs.data[0] > 1)
        return cofre_fail(err, COFRE_MALFORMED, "the other end's hello is none");
    x->asked = theirs.data[0];
    memcpy(x->peer_nonce, theirs.data + 1, sizeof x->peer_nonce);
    if (x->acts->judge && memcmp(x->nonce, x->peer_nonce, sizeof x->nonce) == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the other end sends this end's own hello back");
    return 0;
}

static int bind(uint8_t out[static CHANNEL_REPORT_DATA], const struct exchange *x, bool own,
                struct cofre_err *err)
{
    const struct channel_facts *f = x->facts;
    struct channel_binding b = {.end = own ? f->end : channel_other(f->end),
                                .nonce = {own ? x->peer_nonce : x->nonce, CHANNEL_NONCE_SIZE},
                                .key = own ? f->own_key : f->peer_key};
    memcpy(b.exporter, f->exporter, sizeof b.exporter);
    return channel_report_data(out, &b, err);
}

/* Evidence of this end; the other is told of a failure, and both end. */
static int give(struct exchange *x, struct cofre_err *err)
{
    uint8_t report_data[CHANNEL_REPORT_DATA];
    CLEAN_BYTES file = {0}, verdict = {0};
    int rc = x->acts->evidence
                 ? bind(report_data, x, true, err)
                 : cofre_fail(err, COFRE_NEGATIVE, "this end was asked for evidence, and has none to give");
    if (rc == 0)
        rc = x->acts->evidence(x->acts->context, &file, report_data, err);
    if (rc < 0) {
        (void)channel_send(x->stream, CHANNEL_NONE,
                           text(x->acts->evidence ? err->text : "this end is not attested"), NULL);
        return rc;
    }
    rc = channel_send(x->stream, CHANNEL_EVIDENCE, bytes_view(&file), err);
    rc = rc < 0 ? rc : channel_receive(&verdict, x->stream, "v", err);
    if (rc < 0)
        return rc;
    return verdict.data[0] == 1
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the other end does not accept this one's evidence: %.*s",
                            (int)verdict.len - 1, (const char *)verdict.data + 1);
}

/* Evidence of the other end. Why it was refused is told to the caller; the other end may be anybody, and learns the fact. */
static int take(struct exchange *x, struct cofre_err *err)
{
    uint8_t report_data[CHANNEL_REPORT_DATA];
    CLEAN_BYTES file = {0};
    if (x->facts->peer_key.len == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the other end has shown no key to be attested");
    int rc = channel_receive(&file, x->stream, "en", err);
    if (rc < 0)
        return rc;
    if (rc == CHANNEL_NONE)
        return cofre_fail(err, COFRE_NEGATIVE, "the other end gives no evidence: %.*s", (int)file.len,
                          file.data ? (const char *)file.data : "");
    rc = bind(report_data, x, false, err);
    if (rc == 0)
        rc = x->acts->judge(x->acts->context, bytes_view(&file), report_data, err);
    uint8_t verdict[1 + CHANNEL_SENTENCE_MAX] = {rc == 0};
    const struct view words = text(rc == 0 ? "accepted" : "the evidence does not satisfy this verifier");
    memcpy(verdict + 1, words.data, words.len);
    int sent =
        channel_send(x->stream, CHANNEL_VERDICT, (struct view){verdict, 1 + words.len}, rc == 0 ? err : NULL);
    return rc < 0 ? rc : sent;
}

int channel_attest(const struct channel_stream *stream, const struct channel_facts *facts,
                   const struct channel_acts *acts, struct cofre_err *err)
{
    static const enum channel_end order[] = {CHANNEL_SERVER, CHANNEL_CLIENT};
    struct exchange x = {.stream = stream, .facts = facts, .acts = acts};
    int rc = greet(&x, err);
    for (size_t i = 0; rc == 0 && i < sizeof order / sizeof *order; i++) {
        const bool own = order[i] == facts->end;
        if (own ? x.asked : acts->judge != NULL)
            rc = own ? give(&x, err) : take(&x, err);
    }
    return rc;
}
