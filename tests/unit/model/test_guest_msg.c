/* Guest messages: who may speak, in which order, and what is answered. */
#include "fixture.h"

#include <string.h>

static struct psp *platform;
static struct psp_guest *guest;
static struct snp_secrets_page secrets;
static uint8_t in[SNP_PAGE_SIZE], out[SNP_PAGE_SIZE];

static int open_shared(void **state)
{
    (void)state;
    platform = open_platform((struct psp_options){0});
    return 0;
}

static int close_shared(void **state)
{
    (void)state;
    psp_close(platform);
    return 0;
}

static int launch(void **state)
{
    (void)state;
    guest = launch_guest(platform, &secrets, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    psp_guest_free(guest);
    return 0;
}

static enum psp_status send(uint8_t key, uint8_t vmpck, uint64_t seqno,
                            void (*change)(struct snp_guest_msg_header *))
{
    struct snp_report_req request = {.vmpl = 3};
    seal(in, secrets.vmpck[key], vmpck, seqno, SNP_MSG_REPORT_REQ, &request, sizeof request, change);
    return psp_guest_request(guest, in, out);
}

static void each_key_counts_for_itself(void **state)
{
    (void)state;
    struct snp_report_rsp response;
    for (uint64_t seqno = 1; seqno <= 5; seqno += 2)
        for (uint8_t key = 0; key < 4; key++) {
            assert_int_equal(send(key, key, seqno, NULL), PSP_SUCCESS);
            unseal(out, secrets.vmpck[key], seqno + 1, SNP_MSG_REPORT_RSP, &response, sizeof response);
            assert_int_equal(response.status, PSP_SUCCESS);
        }
}

static void a_number_that_is_not_the_next_is_refused_and_does_not_count(void **state)
{
    (void)state;
    const uint64_t wrong[] = {0, 2, 3, 4, 0xffffffff, UINT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(send(0, 0, wrong[i], NULL), PSP_AEAD_OFLOW);
    assert_int_equal(send(0, 0, 1, NULL), PSP_SUCCESS);
    assert_int_equal(psp_guest_request(guest, in, out), PSP_AEAD_OFLOW); /* replayed, byte for byte */
    assert_int_equal(send(0, 0, 5, NULL), PSP_AEAD_OFLOW);               /* one skipped */
    assert_int_equal(send(0, 0, 3, NULL), PSP_SUCCESS);
}

static void a_message_under_another_key_is_refused(void **state)
{
    (void)state;
    assert_int_equal(send(1, 0, 1, NULL), PSP_BAD_MEASUREMENT);
    assert_int_equal(send(0, 3, 1, NULL), PSP_BAD_MEASUREMENT);
    assert_int_equal(send(0, 4, 1, NULL), PSP_INVALID_PARAM);
    assert_int_equal(send(0, 0, 1, NULL), PSP_SUCCESS);
}

static void a_changed_bit_anywhere_is_noticed(void **state)
{
    (void)state;
    struct snp_report_req request = {0};
    const size_t end_of_message = 0x60 + sizeof request;
    for (size_t i = 0; i < end_of_message; i++) {
        bool ignored = i >= 16 && i < 32;     /* AUTHTAG has 32 bytes and AES-GCM's tag 16 of them */
        bool outside = i >= 0x28 && i < 0x30; /* reserved, and not authenticated */
        if (ignored || outside)
            continue;
        seal(in, secrets.vmpck[0], 0, 1, SNP_MSG_REPORT_REQ, &request, sizeof request, NULL);
        in[i] ^= 0x80;
        memset(out, 0x77, sizeof out);
        assert_int_not_equal(psp_guest_request(guest, in, out), PSP_SUCCESS);
        assert_int_equal(out[0], 0x77); /* nothing was answered */
    }
    assert_int_equal(send(0, 0, 1, NULL), PSP_SUCCESS);
}

static void header_version(struct snp_guest_msg_header *h)
{
    h->hdr_version = 2;
}

static void header_size(struct snp_guest_msg_header *h)
{
    h->hdr_size = 0x5f;
}

static void algorithm(struct snp_guest_msg_header *h)
{
    h->algo = 2;
}

static void message_version(struct snp_guest_msg_header *h)
{
    h->msg_version = 2;
}

static void message_version_zero(struct snp_guest_msg_header *h)
{
    h->msg_version = 0;
}

static void no_such_type(struct snp_guest_msg_header *h)
{
    h->msg_type = 99;
}

static void a_response_as_request(struct snp_guest_msg_header *h)
{
    h->msg_type = SNP_MSG_REPORT_RSP;
}

static void no_size(struct snp_guest_msg_header *h)
{
    h->msg_size = 0;
}

static void crooked_size(struct snp_guest_msg_header *h)
{
    h->msg_size = 97;
}

static void too_small(struct snp_guest_msg_header *h)
{
    h->msg_size = 80;
}

static void too_large(struct snp_guest_msg_header *h)
{
    h->msg_size = SNP_PAGE_SIZE - 0x60 + 16;
}

static void headers_that_the_firmware_does_not_know_are_refused(void **state)
{
    (void)state;
    void (*const changes[])(struct snp_guest_msg_header *) = {
        header_version, header_size,           algorithm, message_version, message_version_zero,
        no_such_type,   a_response_as_request, no_size,   crooked_size,    too_small,
        too_large,
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        assert_int_equal(send(0, 0, 1, changes[i]), PSP_INVALID_PARAM);
    assert_int_equal(send(0, 0, 1, NULL), PSP_SUCCESS);
}

/* MSG_KEY_REQ, byte by byte as 56860 has it. */
struct key_request {
    uint32_t select, reserved;
    uint64_t fields;
    uint32_t vmpl, guest_svn;
    uint64_t tcb;
};

struct key_response {
    uint32_t status;
    uint8_t reserved[28];
    uint8_t key[32];
};

static struct key_response ask_key(struct psp_guest *of, const struct snp_secrets_page *with, uint8_t vmpck,
                                   uint64_t seqno, struct key_request request)
{
    struct key_response response;
    seal(in, with->vmpck[vmpck], vmpck, seqno, SNP_MSG_KEY_REQ, &request, sizeof request, NULL);
    assert_int_equal(psp_guest_request(of, in, out), PSP_SUCCESS);
    unseal(out, with->vmpck[vmpck], seqno + 1, SNP_MSG_KEY_RSP, &response, sizeof response);
    return response;
}

static void the_same_guest_gets_the_same_key_again(void **state)
{
    (void)state;
    struct snp_secrets_page again_secrets;
    struct psp_guest *again = launch_guest(platform, &again_secrets, NULL);
    struct key_request request = {.fields = 0x0f};
    struct key_response a = ask_key(guest, &secrets, 0, 1, request);
    struct key_response b = ask_key(again, &again_secrets, 0, 1, request);
    assert_int_equal(a.status, PSP_SUCCESS);
    assert_memory_equal(a.key, b.key, 32);
    request.select = 1; /* VMRK: a key of this launch only */
    a = ask_key(guest, &secrets, 0, 3, request);
    b = ask_key(again, &again_secrets, 0, 3, request);
    assert_memory_not_equal(a.key, b.key, 32);
    psp_guest_free(again);
}

static void every_field_changes_the_key(void **state)
{
    (void)state;
    const struct key_request requests[] = {{0},
                                           {.fields = 1},
                                           {.fields = 2},
                                           {.fields = 4},
                                           {.fields = 8},
                                           {.fields = 16},
                                           {.fields = 32, .tcb = 1},
                                           {.fields = 32, .tcb = 2},
                                           {.fields = 63},
                                           {.vmpl = 1},
                                           {.vmpl = 3},
                                           {.select = 1}};
    enum { COUNT = sizeof requests / sizeof *requests };
    struct key_response keys[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        keys[i] = ask_key(guest, &secrets, 0, 1 + 2 * i, requests[i]);
        assert_int_equal(keys[i].status, PSP_SUCCESS);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(keys[i].key, keys[j].key, 32);
    }
}

static void another_launch_gets_another_key(void **state)
{
    (void)state;
    struct snp_secrets_page other_secrets;
    struct psp_guest *other =
        launch_guest(platform, &other_secrets, &(struct psp_launch_finish){.host_data = {1}});
    struct key_response a = ask_key(guest, &secrets, 0, 1, (struct key_request){0});
    struct key_response b = ask_key(other, &other_secrets, 0, 1, (struct key_request){0});
    assert_memory_not_equal(a.key, b.key, 32); /* host data always counts */
    psp_guest_free(other);
}

static void key_requests_beyond_the_guest_s_rights_are_refused(void **state)
{
    (void)state;
    const struct {
        uint8_t vmpck;
        struct key_request request;
        uint32_t status;
    } cases[] = {
        {0, {.fields = 64}, PSP_INVALID_PARAM},
        {0, {.reserved = 1}, PSP_INVALID_PARAM},
        {0, {.select = 8}, PSP_INVALID_PARAM},
        {0, {.select = 3 << 1}, PSP_INVALID_KEY},
        {0, {.select = 2 << 1}, PSP_INVALID_KEY}, /* no VLEK is installed */
        {2, {.vmpl = 1}, PSP_INVALID_PARAM},
        {0, {.vmpl = 4}, PSP_INVALID_PARAM},
        {0, {.fields = 16, .guest_svn = 1}, PSP_INVALID_PARAM},    /* above the ID block's */
        {0, {.fields = 32, .tcb = 0xff}, PSP_INVALID_PARAM},       /* above the platform's */
        {0, {.fields = 32, .tcb = 1ull << 16}, PSP_INVALID_PARAM}, /* a reserved byte */
        {0, {.fields = 32, .tcb = 0xdb18000000000004ull}, PSP_SUCCESS},
        {1, {.vmpl = 1}, PSP_SUCCESS},
    };
    uint64_t seqno[4] = {1, 1, 1, 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct key_response r =
            ask_key(guest, &secrets, cases[i].vmpck, seqno[cases[i].vmpck], cases[i].request);
        assert_int_equal(r.status, cases[i].status);
        assert_int_equal(bytes_are_zero(r.key, 32), cases[i].status != PSP_SUCCESS);
        seqno[cases[i].vmpck] += 2;
    }
}

static void a_masked_or_disabled_chip_key_derives_nothing(void **state)
{
    (void)state;
    const struct {
        struct psp_options options;
        uint8_t vcek_disabled;
        uint32_t chip, vmrk;
    } cases[] = {{{.mask_chip_key = true}, 0, PSP_INVALID_KEY, PSP_SUCCESS},
                 {{0}, 1, PSP_INVALID_KEY, PSP_SUCCESS},
                 {{.vlek = true}, 1, PSP_SUCCESS, PSP_SUCCESS}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct snp_secrets_page with;
        struct psp *psp = open_platform(cases[i].options);
        struct psp_guest *of =
            launch_guest(psp, &with, &(struct psp_launch_finish){.vcek_disabled = cases[i].vcek_disabled});
        assert_int_equal(ask_key(of, &with, 0, 1, (struct key_request){0}).status, cases[i].chip);
        assert_int_equal(ask_key(of, &with, 0, 3, (struct key_request){.select = 1}).status, cases[i].vmrk);
        psp_guest_free(of);
        psp_close(psp);
    }
}

struct cpuid_message {
    uint32_t first, second;
    uint64_t reserved;
    struct snp_cpuid_function fn[2];
};

static void a_cpuid_request_is_answered_with_corrections(void **state)
{
    (void)state;
    struct cpuid_message message = {.first = 2,
                                    .fn = {{.eax_in = 0x40000000, .eax = 5}, {.eax_in = 0x1f, .eax = 1}}};
    seal(in, secrets.vmpck[0], 0, 1, SNP_MSG_CPUID_REQ, &message, sizeof message, NULL);
    assert_int_equal(psp_guest_request(guest, in, out), PSP_SUCCESS);
    unseal(out, secrets.vmpck[0], 2, SNP_MSG_CPUID_RSP, &message, sizeof message);
    assert_int_equal(message.first, PSP_INVALID_PARAM);
    assert_int_equal(message.second, 1); /* functions that the firmware looks at */
    assert_int_equal(message.fn[0].eax, 5);
    assert_int_equal(message.fn[1].eax, 0);
    message = (struct cpuid_message){.first = 3}; /* more than there are */
    seal(in, secrets.vmpck[0], 0, 3, SNP_MSG_CPUID_REQ, &message, sizeof message, NULL);
    assert_int_equal(psp_guest_request(guest, in, out), PSP_SUCCESS);
    unseal(out, secrets.vmpck[0], 4, SNP_MSG_CPUID_RSP, &message, sizeof message);
    assert_int_equal(message.first, PSP_INVALID_PARAM);
}

static void tsc_info_is_given_once_nothing_reserved_is_set(void **state)
{
    (void)state;
    uint8_t request[128] = {0};
    uint32_t response[32];
    seal(in, secrets.vmpck[0], 0, 1, SNP_MSG_TSC_INFO_REQ, request, sizeof request, NULL);
    assert_int_equal(psp_guest_request(guest, in, out), PSP_SUCCESS);
    unseal(out, secrets.vmpck[0], 2, SNP_MSG_TSC_INFO_RSP, response, sizeof response);
    assert_int_equal(response[0], PSP_SUCCESS);
    assert_int_equal(response[6], secrets.tsc_factor);
    request[127] = 1;
    seal(in, secrets.vmpck[0], 0, 3, SNP_MSG_TSC_INFO_REQ, request, sizeof request, NULL);
    assert_int_equal(psp_guest_request(guest, in, out), PSP_SUCCESS);
    unseal(out, secrets.vmpck[0], 4, SNP_MSG_TSC_INFO_RSP, response, sizeof response);
    assert_int_equal(response[0], PSP_INVALID_PARAM);
}

#define WITH_GUEST(test) cmocka_unit_test_setup_teardown(test, launch, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GUEST(each_key_counts_for_itself),
        WITH_GUEST(a_number_that_is_not_the_next_is_refused_and_does_not_count),
        WITH_GUEST(a_message_under_another_key_is_refused),
        WITH_GUEST(a_changed_bit_anywhere_is_noticed),
        WITH_GUEST(headers_that_the_firmware_does_not_know_are_refused),
        WITH_GUEST(the_same_guest_gets_the_same_key_again),
        WITH_GUEST(every_field_changes_the_key),
        WITH_GUEST(another_launch_gets_another_key),
        WITH_GUEST(key_requests_beyond_the_guest_s_rights_are_refused),
        WITH_GUEST(a_masked_or_disabled_chip_key_derives_nothing),
        WITH_GUEST(a_cpuid_request_is_answered_with_corrections),
        WITH_GUEST(tsc_info_is_given_once_nothing_reserved_is_set),
    };
    return cmocka_run_group_tests(tests, open_shared, close_shared);
}
