/*
 * The messages by which the ends of a channel attest: whatever the other end says, in one order after the other. The first octet
 * says what this end does: 1 asks, 2 has evidence, 4 is the server.
 */
#include <string.h>

#include "attest/channel/exchange.h"
#include "attest/evidence.h"
#include "tests/fuzz/fuzz.h"

#define ROLE 1 /* octets before the messages */

static struct view input;
static unsigned judged, given;
static size_t sent;

static int from_input(void *context, void *data, size_t len, struct cofre_err *err)
{
    (void)context;
    struct view part;
    if (!view_sub(input, 0, len, &part))
        return cofre_fail(err, COFRE_FAILED, "the input ends");
    memcpy(data, part.data, len);
    input = (struct view){input.data + len, input.len - len};
    return 0;
}

static int to_nowhere(void *context, const void *data, size_t len, struct cofre_err *err)
{
    (void)context;
    (void)data;
    (void)err;
    sent += len;
    return 0;
}

static int made_evidence(void *context, struct bytes *file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                         struct cofre_err *err)
{
    (void)context;
    FUZZ_CHECK(!bytes_are_zero(report_data, CHANNEL_REPORT_DATA));
    given++;
    return bytes_copy(file, (struct view){(const uint8_t *)"{}", 2}, err);
}

static int judge(void *context, struct view file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                 struct cofre_err *err)
{
    CLEAN_EVIDENCE evidence = {0};
    (void)context;
    FUZZ_CHECK(file.len > 0 && file.len <= EVIDENCE_FILE_MAX);
    FUZZ_CHECK(!bytes_are_zero(report_data, CHANNEL_REPORT_DATA));
    judged++;
    return evidence_parse(&evidence, file, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[] = "a key";
    static const struct channel_stream stream = {NULL, from_input, to_nowhere};
    if (size < ROLE)
        return 0;
    const struct channel_facts facts = {.end = data[0] & 4 ? CHANNEL_SERVER : CHANNEL_CLIENT,
                                        .own_key = {key, sizeof key},
                                        .peer_key = {key, sizeof key}};
    const struct channel_acts acts = {.judge = data[0] & 1 ? judge : NULL,
                                      .evidence = data[0] & 2 ? made_evidence : NULL};
    struct cofre_err err = {""};
    input = (struct view){data + ROLE, size - ROLE};
    judged = given = 0;
    sent = 0;
    int rc = channel_attest(&stream, &facts, &acts, &err);
    FUZZ_CHECK(judged <= 1 && given <= 1 && sent >= 38);
    if (rc < 0)
        FUZZ_CHECK(*err.text);
    else /* what was asked for was judged, and nothing else was */
        FUZZ_CHECK(judged == (acts.judge != NULL) && (!given || acts.evidence));
    for (const char *c = err.text; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
    return 0;
}

static size_t put(uint8_t *out, char kind, const void *body, size_t len)
{
    const uint8_t head[] = {(uint8_t)kind, 0, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, body, len);
    return sizeof head + len;
}

static size_t put_hello(uint8_t *out, uint8_t asks)
{
    uint8_t hello[1 + CHANNEL_NONCE_SIZE] = {asks, 7};
    return put(out, CHANNEL_HELLO, hello, sizeof hello);
}

/* A report of zeros, in the file's form. */
static size_t put_evidence(uint8_t *out)
{
    static uint8_t report[1184];
    const struct evidence evidence = {.tee = "snp", .report = {report, sizeof report}};
    CLEAN_BYTES file = {0};
    FUZZ_CHECK(evidence_write(&file, &evidence, NULL) == 0);
    return put(out, CHANNEL_EVIDENCE, file.data, file.len);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t roles[] = {1, 2, 3, 7, 1, 2};
    size_t len = ROLE;
    if (index >= sizeof roles)
        return 0;
    out[0] = roles[index];
    len += put_hello(out + len, roles[index] & 2 ? 1 : 0);
    if (index == 4)
        return len + put(out + len, CHANNEL_NONE, "the firmware is busy", 20);
    if (index == 5)
        return len + put(out + len, CHANNEL_VERDICT, "\0no", 3);
    if (roles[index] == 7) /* the server's evidence comes first, and the verdict on it */
        len += put(out + len, CHANNEL_VERDICT, "\1accepted", 9);
    if (roles[index] & 1)
        len += put_evidence(out + len);
    if (roles[index] != 7 && roles[index] & 2)
        len += put(out + len, CHANNEL_VERDICT, "\1accepted", 9);
    return len;
}
