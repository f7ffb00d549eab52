/* Anything that a quote generation service could answer, and then hang up. Only a quote that it really sent, and that has
 * room in the guest's buffer, is one. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tdx/launch/quote_exchange.h"
#include "tests/fuzz/fuzz.h"

#define ROOM  8168u /* of Linux 6.12's buffer */
#define HEADS (QGS_LENGTH_SIZE + sizeof(struct qgs_get_quote_resp))

static int peer;

static int connect_service(const char *address)
{
    int ends[2];
    (void)address;
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    peer = ends[1];
    return ends[0];
}

static const struct kvm_backend backend = {.quote_service = connect_service};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t report[TDX_REPORT_SIZE];
    struct quote_exchange x;
    struct cofre_err err = {""};
    FUZZ_CHECK(quote_exchange_start(&x, &backend, NULL, report, ROOM, 0, 1000, &err) == 0);
    FUZZ_CHECK(!quote_exchange_advance(&x, 0, &err));
    if (size > HEADS + ROOM + 1) /* more is not read, and need not fit a socket */
        size = HEADS + ROOM + 1;
    FUZZ_CHECK(size == 0 || send(peer, data, size, MSG_NOSIGNAL) == (ssize_t)size);
    close(peer);
    const bool over = quote_exchange_advance(&x, 0, &err);
    const struct view quote = quote_exchange_quote(&x);
    FUZZ_CHECK(over == (x.status != TDX_QUOTE_IN_FLIGHT));
    if (x.status == TDX_QUOTE_SUCCESS) {
        FUZZ_CHECK(quote.len > 0 && quote.len <= ROOM && HEADS + quote.len <= size);
        FUZZ_CHECK(qgs_length_get(data) == HEADS - QGS_LENGTH_SIZE + quote.len);
        FUZZ_CHECK(memcmp(quote.data, data + HEADS, quote.len) == 0);
    } else {
        FUZZ_CHECK(x.status == TDX_QUOTE_ERROR || !over); /* a connection that ended is tried again */
        FUZZ_CHECK(quote.len == 0 && *err.text);
    }
    quote_exchange_end(&x);
    return 0;
}

static size_t put_answer(uint8_t *out, uint32_t quote_len, uint32_t error)
{
    const struct qgs_get_quote_resp answer = {.header = {.major_version = QGS_MAJOR_VERSION,
                                                         .minor_version = QGS_MINOR_VERSION,
                                                         .type = QGS_GET_QUOTE_RESP,
                                                         .size = sizeof answer + quote_len,
                                                         .error_code = error},
                                              .quote_size = quote_len};
    qgs_length_put(out, sizeof answer + quote_len);
    memcpy(out + QGS_LENGTH_SIZE, &answer, sizeof answer);
    memset(out + HEADS, 0x5a, quote_len);
    return HEADS + quote_len;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    switch (index) {
    case 0:
        return put_answer(out, 40, QGS_SUCCESS);
    case 1:
        return put_answer(out, 0, QGS_ERROR_UNEXPECTED);
    case 2:
        return put_answer(out, ROOM, QGS_SUCCESS);
    default:
        return 0;
    }
}
