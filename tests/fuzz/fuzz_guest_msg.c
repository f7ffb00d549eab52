/*
 * Guest requests to the emulated secure processor: first as a page that the host could send, then as a message that a guest
 * with the key seals, its header and payload from the input. A response is one that the guest can open, and counts go up.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "sev/model/guest.h"
#include "tests/fuzz/fuzz.h"

#define HEADER sizeof(struct snp_guest_msg_header)

static struct psp platform = {.options = {.report_version = 3}, .api_major = 1, .api_minor = 55, .build = 21};
static struct psp_guest *guest;
static struct psp_guest running; /* as the launch left it */

/* Without certificates: no message has one. */
static void launch(void)
{
    static const struct psp_launch_finish finish;
    static const uint8_t gosvw[16];
    platform.chain.chip = psp_product(SNP_PRODUCT_MILAN);
    platform.chain.vcek_key = EVP_EC_gen("P-384");
    platform.options.product = SNP_PRODUCT_MILAN;
    FUZZ_CHECK(platform.chain.vcek_key && psp_guest_create(&guest, &platform, NULL) == 0 &&
               psp_launch_start(guest, SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT, gosvw) == PSP_SUCCESS &&
               psp_launch_finish(guest, &finish) == PSP_SUCCESS);
    guest->cpuid[0] = (struct snp_cpuid_function){.eax_in = 1, .eax = 0xa00f11, .ecx = UINT32_MAX};
    guest->cpuid_count = 1;
    running = *guest;
}

static bool crypt(bool seal, struct snp_guest_msg_header *h, const uint8_t *in, uint8_t *out)
{
    static EVP_CIPHER_CTX *ctx;
    uint8_t iv[12] = {0};
    int len;
    memcpy(iv, &h->msg_seqno, 8);
    if (!ctx)
        ctx = EVP_CIPHER_CTX_new();
    return EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, guest->vmpck[h->msg_vmpck], iv, seal) &&
           EVP_CipherUpdate(ctx, NULL, &len, (uint8_t *)h + 0x30, 0x30) &&
           EVP_CipherUpdate(ctx, out, &len, in, h->msg_size) &&
           (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, h->authtag)) &&
           EVP_CipherFinal_ex(ctx, out + len, &len) &&
           (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, h->authtag));
}

static enum psp_status send(const uint8_t request[SNP_PAGE_SIZE])
{
    uint8_t response[SNP_PAGE_SIZE], plain[SNP_PAGE_SIZE];
    struct snp_guest_msg_header asked, answer;
    memcpy(&asked, request, HEADER);
    memset(response, 0xa5, sizeof response);
    enum psp_status status = psp_guest_request(guest, request, response);
    memcpy(&answer, response, HEADER);
    if (status == PSP_SUCCESS)
        FUZZ_CHECK(answer.msg_seqno == asked.msg_seqno + 1 && answer.msg_type == asked.msg_type + 1 &&
                   answer.msg_size <= SNP_PAGE_SIZE - HEADER &&
                   crypt(false, &answer, response + HEADER, plain));
    else
        FUZZ_CHECK(response[0] == 0xa5 && memcmp(response, response + 1, sizeof response - 1) == 0);
    return status;
}

/* The input's header with a payload's first bytes, sealed as the guest would, where that can be. */
static void send_sealed(const uint8_t *data, size_t size)
{
    uint8_t page[SNP_PAGE_SIZE] = {0}, plain[SNP_PAGE_SIZE] = {0};
    struct snp_guest_msg_header h = {0};
    memcpy(&h, data, size < HEADER ? size : HEADER);
    size = size > HEADER ? size - HEADER : 0;
    memcpy(plain, data + (size ? HEADER : 0), size < sizeof plain ? size : sizeof plain);
    if (h.msg_vmpck >= PSP_VMPL_COUNT || h.msg_size > SNP_PAGE_SIZE - HEADER)
        return;
    FUZZ_CHECK(crypt(true, &h, plain, page + HEADER));
    memcpy(page, &h, HEADER);
    const uint64_t count = guest->msg_count[h.msg_vmpck];
    if (send(page) == PSP_SUCCESS)
        FUZZ_CHECK(h.msg_seqno == count + 1 && guest->msg_count[h.msg_vmpck] == count + 2);
    else
        FUZZ_CHECK(guest->msg_count[h.msg_vmpck] == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t page[SNP_PAGE_SIZE] = {0};
    if (!guest)
        launch();
    *guest = running;
    memcpy(page, data, size < sizeof page ? size : sizeof page);
    /* No input has the key: had it been sealed under it, it would be a seed's payload. */
    FUZZ_CHECK(send(page) != PSP_SUCCESS);
    send_sealed(data, size);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const struct {
        uint8_t type;
        uint16_t size;
    } requests[] = {
        {SNP_MSG_CPUID_REQ, 16 + 48},
        {SNP_MSG_KEY_REQ, sizeof(struct psp_key_req)},
        {SNP_MSG_REPORT_REQ, sizeof(struct snp_report_req)},
        {SNP_MSG_TSC_INFO_REQ, 128},
    };
    if (index >= sizeof requests / sizeof *requests)
        return 0;
    struct snp_guest_msg_header h = {.msg_seqno = 1,
                                     .algo = 1,
                                     .hdr_version = 1,
                                     .hdr_size = HEADER,
                                     .msg_type = requests[index].type,
                                     .msg_version = 1,
                                     .msg_size = requests[index].size};
    memset(out, 0, HEADER + h.msg_size);
    memcpy(out, &h, HEADER);
    if (index == 0) { /* one function: leaf 1 */
        out[HEADER] = 1;
        out[HEADER + 16] = 1;
    } else if (index == 1) {
        out[HEADER] = 1; /* the VM's root key */
        out[HEADER + 8] = 63;
    }
    return HEADER + h.msg_size;
}
