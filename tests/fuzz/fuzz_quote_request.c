/*
 * A TD's GetQuote, and a service that never answers: address and size of the buffer, then what the TD's memory begins with. What is
 * refused changes nothing; of what is taken only the header does, and the service is asked for a quote in words of ours.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tdx/launch/quote_client.h"
#include "tdx/launch/quote_exchange.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/bytes.h"

#define GPA     0x8000u
#define MEMORY  0x4000u
#define SEED    2100
#define NUMBERS 16 /* bytes before the memory's */

static _Alignas(4096) uint8_t memory[MEMORY], before[MEMORY];
static int service[2];

static int connect_service(const char *address)
{
    (void)address;
    return service[0];
}

static void tell_guest(void *context)
{
    (void)context;
    FUZZ_CHECK(!"a request is over, and nobody answered");
}

/* A fuzzer's clock sends signals, which end a receive early. */
static void receive_all(void *out, size_t len)
{
    for (size_t have = 0; have < len;) {
        const ssize_t n = recv(service[1], (uint8_t *)out + have, len - have, 0);
        FUZZ_CHECK(n > 0 || (n < 0 && errno == EINTR));
        have += n > 0 ? (size_t)n : 0;
    }
}

static void check_taken(uint64_t gpa)
{
    struct quote_request asked;
    const uint8_t *const was = before + (gpa - GPA);
    receive_all(&asked, sizeof asked);
    FUZZ_CHECK(quote_request_is_one(&asked));
    const uint32_t len = le32(was + offsetof(struct tdx_quote_header, in_len));
    FUZZ_CHECK(len == TDX_REPORT_SIZE || len == sizeof asked);
    FUZZ_CHECK(memcmp(asked.report, was + TDX_QUOTE_HEADER_SIZE + len - TDX_REPORT_SIZE, TDX_REPORT_SIZE) ==
               0);
}

static void check_memory(uint64_t gpa, uint64_t answer)
{
    if (answer == TDVMCALL_SUCCESS) {
        struct tdx_quote_header *header = (struct tdx_quote_header *)(before + (gpa - GPA));
        header->status = TDX_QUOTE_SERVICE_UNAVAILABLE;
        header->out_len = 0;
    }
    FUZZ_CHECK(memcmp(memory, before, sizeof memory) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct kvm_backend backend = {.quote_service = connect_service};
    struct guest_memory view = {.count = 0};
    const struct quote_client_config config = {.backend = &backend, .memory = &view, .notify = tell_guest};
    struct quote_client *client = NULL;
    if (size < NUMBERS)
        return 0;
    const uint64_t gpa = le64(data), len = le64(data + 8);
    size = size - NUMBERS < MEMORY ? size - NUMBERS : MEMORY;
    memset(memory, 0, sizeof memory);
    memcpy(memory, data + NUMBERS, size);
    memcpy(before, memory, sizeof before);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, service) == 0);
    FUZZ_CHECK(guest_memory_add(&view, GPA, MEMORY, memory, NULL) == 0 &&
               quote_client_new(&client, &config, NULL) == 0);
    const uint64_t answer = quote_client_request(client, gpa, len);
    FUZZ_CHECK(answer == TDVMCALL_SUCCESS || answer == TDVMCALL_ALIGN_ERROR ||
               answer == TDVMCALL_INVALID_OPERAND);
    if (answer == TDVMCALL_SUCCESS)
        check_taken(gpa);
    quote_client_free(client);
    check_memory(gpa, answer);
    if (answer != TDVMCALL_SUCCESS) /* else it was the client's to close */
        close(service[0]);
    close(service[1]);
    return 0;
}

/* [0] a TDREPORT alone, [1] in the service's own message. Longer than they need be: most of a TDREPORT's bits are all the same to us, and
 * are not tried one by one. */
size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t report[TDX_REPORT_SIZE];
    struct quote_exchange x;
    struct {
        uint64_t gpa, size;
        struct tdx_quote_header header;
        uint8_t asked[SEED - NUMBERS - TDX_QUOTE_HEADER_SIZE];
    } seed = {.gpa = GPA, .size = 0x2000, .header.version = 1};
    static_assert(sizeof seed >= SEED, "a seed has all of its parts");
    if (index > 1)
        return 0;
    FUZZ_CHECK(quote_exchange_start(&x, NULL, NULL, report, 4096, 0, 1, NULL) == 0);
    const struct quote_request message = x.request;
    quote_exchange_end(&x);
    seed.header.in_len = index ? sizeof message : sizeof report;
    memcpy(seed.asked, index ? (const void *)&message : report, seed.header.in_len);
    memcpy(out, &seed, SEED);
    return SEED;
}
