/*
 * SNP_GUEST_REQUEST (56860, chapter 8) and its messages: AES-256-GCM under a VMPCK, the sequence number as IV. What is
 * wrong with the message as a whole is the host's to hear, as the command's status; what is wrong inside it is the
 * guest's, as the status in a sealed response.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "sev/model/guest.h"

#define HEADER_SIZE  sizeof(struct snp_guest_msg_header)
#define PAYLOAD_MAX  (SNP_PAGE_SIZE - HEADER_SIZE)
#define AAD_OFFSET   offsetof(struct snp_guest_msg_header, algo)
#define AAD_SIZE     (HEADER_SIZE - AAD_OFFSET)
#define TAG_SIZE     16
#define ALGO_AES_GCM 1
#define HDR_VERSION  1
#define MSG_VERSION  1
/* Responses are odd and even in turn: a count that cannot grow by two serves no more (56860, chapter 8). */
#define MSG_COUNT_END (UINT64_MAX - 1)

struct message {
    struct snp_guest_msg_header header;
    uint8_t payload[PAYLOAD_MAX];
} __attribute__((packed));
static_assert(sizeof(struct message) == SNP_PAGE_SIZE, "guest message");

/* Encrypts or decrypts in to out. tag is written, or compared: false where it is not the message's. */
static bool gcm(bool seal, const uint8_t key[PSP_KEY_SIZE], const struct snp_guest_msg_header *header,
                const uint8_t *in, uint8_t *out, uint8_t tag[TAG_SIZE])
{
    uint8_t iv[12] = {0};
    int len, size = header->msg_size;
    memcpy(iv, &header->msg_seqno, sizeof header->msg_seqno);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv, seal) == 1 &&
              EVP_CipherUpdate(ctx, NULL, &len, (const uint8_t *)header + AAD_OFFSET, AAD_SIZE) == 1 &&
              EVP_CipherUpdate(ctx, out, &len, in, size) == 1 &&
              (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1) &&
              EVP_CipherFinal_ex(ctx, out + len, &len) == 1 &&
              (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* The payloads of the messages that are served here, beside those of sev/abi.h. */
struct cpuid_msg {
    uint32_t first;  /* request: COUNT; response: STATUS */
    uint32_t second; /* response: COUNT */
    uint64_t reserved;
    struct snp_cpuid_function fn[SNP_CPUID_COUNT_MAX];
} __attribute__((packed));
#define CPUID_MSG_HEADER offsetof(struct cpuid_msg, fn)

struct tsc_info_req {
    uint8_t reserved[128];
} __attribute__((packed));

struct tsc_info_rsp {
    uint32_t status;
    uint32_t reserved_4;
    uint64_t guest_tsc_scale;
    uint64_t guest_tsc_offset;
    uint32_t tsc_factor;
    uint8_t reserved_1c[100];
} __attribute__((packed));
static_assert(sizeof(struct tsc_info_rsp) == 128, "TSC info response");

/* One opened request; a handler writes the response's payload and gives its size. */
struct request {
    const struct psp_guest *guest;
    unsigned vmpck;
    const uint8_t *payload;
    uint16_t size;
};

static uint16_t serve_report(const struct request *r, uint8_t *out)
{
    struct snp_report_req request;
    struct snp_report_rsp response;
    memcpy(&request, r->payload, sizeof request);
    psp_report(r->guest, r->vmpck, &request, &response);
    memcpy(out, &response, sizeof response);
    return sizeof response;
}

static uint16_t serve_key(const struct request *r, uint8_t *out)
{
    struct psp_key_req request;
    struct psp_key_rsp response;
    memcpy(&request, r->payload, sizeof request);
    psp_derive_key(r->guest, r->vmpck, &request, &response);
    memcpy(out, &response, sizeof response);
    OPENSSL_cleanse(&response, sizeof response);
    return sizeof response;
}

/* The response has the request's size and the functions as the platform would have them. */
static uint16_t serve_cpuid(const struct request *r, uint8_t *out)
{
    struct cpuid_msg msg = {0};
    size_t checked = 0;
    memcpy(&msg, r->payload, r->size < sizeof msg ? r->size : sizeof msg);
    uint32_t count = msg.first;
    if (count > SNP_CPUID_COUNT_MAX || CPUID_MSG_HEADER + count * sizeof *msg.fn > r->size || msg.second ||
        msg.reserved) {
        memset(&msg, 0, sizeof msg);
        msg.first =
            psp_refuse(PSP_INVALID_PARAM, "CPUID request: %u functions, or a reserved field set", count);
    } else {
        msg.first = psp_cpuid_check(msg.fn, count, r->guest->cpuid, r->guest->cpuid_count, &checked);
        msg.second = (uint32_t)checked;
    }
    memcpy(out, &msg, r->size < sizeof msg ? r->size : sizeof msg);
    return r->size;
}

/* Secure TSC is not offered by this platform: scale and offset are zero. */
static uint16_t serve_tsc_info(const struct request *r, uint8_t *out)
{
    struct tsc_info_rsp response = {.tsc_factor = PSP_TSC_FACTOR};
    if (!bytes_are_zero(r->payload, sizeof(struct tsc_info_req)))
        response = (struct tsc_info_rsp){
            .status = psp_refuse(PSP_INVALID_PARAM, "TSC info request: a reserved field is not zero")};
    memcpy(out, &response, sizeof response);
    return sizeof response;
}

static const struct handler {
    uint8_t request, response;
    uint16_t size; /* the least that a request has */
    uint16_t (*serve)(const struct request *r, uint8_t *out);
} handlers[] = {
    {SNP_MSG_CPUID_REQ, SNP_MSG_CPUID_RSP, CPUID_MSG_HEADER, serve_cpuid},
    {SNP_MSG_KEY_REQ, SNP_MSG_KEY_RSP, sizeof(struct psp_key_req), serve_key},
    {SNP_MSG_REPORT_REQ, SNP_MSG_REPORT_RSP, sizeof(struct snp_report_req), serve_report},
    {SNP_MSG_TSC_INFO_REQ, SNP_MSG_TSC_INFO_RSP, sizeof(struct tsc_info_req), serve_tsc_info},
};

static const struct handler *handler_of(uint8_t type)
{
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        if (handlers[i].request == type)
            return &handlers[i];
    return NULL;
}

static enum psp_status check_header(const struct snp_guest_msg_header *h)
{
    if (h->hdr_version != HDR_VERSION || h->hdr_size != HEADER_SIZE)
        return psp_refuse(PSP_INVALID_PARAM, "guest request: header of version %u and %u bytes",
                          h->hdr_version, h->hdr_size);
    if (h->algo != ALGO_AES_GCM)
        return psp_refuse(PSP_INVALID_PARAM, "guest request: algorithm %u", h->algo);
    if (h->msg_size == 0 || h->msg_size % 16 || h->msg_size > PAYLOAD_MAX)
        return psp_refuse(PSP_INVALID_PARAM, "guest request: a message of %u bytes", h->msg_size);
    if (h->msg_vmpck >= PSP_VMPL_COUNT)
        return psp_refuse(PSP_INVALID_PARAM, "guest request: there is no VMPCK %u", h->msg_vmpck);
    return PSP_SUCCESS;
}

/* The tag is checked before the count: only a holder of the key learns anything of it. */
static enum psp_status open_request(const struct psp_guest *guest, struct message *request, uint8_t *plain)
{
    const struct snp_guest_msg_header *h = &request->header;
    uint64_t count = guest->msg_count[h->msg_vmpck];
    if (!gcm(false, guest->vmpck[h->msg_vmpck], h, request->payload, plain, request->header.authtag))
        return psp_refuse(PSP_BAD_MEASUREMENT, "guest request: not sealed under VMPCK %u", h->msg_vmpck);
    if (count == MSG_COUNT_END || h->msg_seqno != count + 1)
        return psp_refuse(PSP_AEAD_OFLOW,
                          "guest request: sequence number %llu under VMPCK %u, whose count is %llu",
                          (unsigned long long)h->msg_seqno, h->msg_vmpck, (unsigned long long)count);
    const struct handler *handler = handler_of(h->msg_type);
    if (!handler || h->msg_version != MSG_VERSION)
        return psp_refuse(PSP_INVALID_PARAM, "guest request: message of type %u and version %u", h->msg_type,
                          h->msg_version);
    if (h->msg_size < handler->size)
        return psp_refuse(PSP_INVALID_PARAM, "guest request: a message of type %u has %u bytes and needs %u",
                          h->msg_type, h->msg_size, handler->size);
    return PSP_SUCCESS;
}

static enum psp_status seal_response(struct psp_guest *guest, const struct snp_guest_msg_header *request,
                                     const struct handler *handler, const uint8_t *plain, uint16_t size,
                                     struct message *out)
{
    memset(out, 0, sizeof *out);
    out->header = (struct snp_guest_msg_header){
        .msg_seqno = request->msg_seqno + 1,
        .algo = ALGO_AES_GCM,
        .hdr_version = HDR_VERSION,
        .hdr_size = HEADER_SIZE,
        .msg_type = handler->response,
        .msg_version = MSG_VERSION,
        .msg_size = size,
        .msg_vmpck = request->msg_vmpck,
    };
    if (!gcm(true, guest->vmpck[request->msg_vmpck], &out->header, plain, out->payload, out->header.authtag))
        return psp_refuse(PSP_RESOURCE_LIMIT, "guest request: OpenSSL could not seal the response");
    guest->msg_count[request->msg_vmpck] += 2;
    return PSP_SUCCESS;
}

static enum psp_status serve(struct psp_guest *guest, struct message *request, struct message *response)
{
    uint8_t in[PAYLOAD_MAX] = {0}, out[PAYLOAD_MAX] = {0};
    enum psp_status status = open_request(guest, request, in);
    if (status == PSP_SUCCESS) {
        const struct handler *handler = handler_of(request->header.msg_type);
        struct request r = {guest, request->header.msg_vmpck, in, request->header.msg_size};
        uint16_t size = handler->serve(&r, out);
        log_debug("guest message %u under VMPCK %u served, sequence number %llu", handler->request, r.vmpck,
                  (unsigned long long)request->header.msg_seqno);
        status = seal_response(guest, &request->header, handler, out, size, response);
    }
    OPENSSL_cleanse(in, sizeof in);
    OPENSSL_cleanse(out, sizeof out);
    return status;
}

enum psp_status psp_guest_request(struct psp_guest *guest, const uint8_t request[SNP_PAGE_SIZE],
                                  uint8_t response[SNP_PAGE_SIZE])
{
    struct message in, out;
    memcpy(&in, request, sizeof in);
    pthread_mutex_lock(&guest->lock);
    enum psp_status status =
        guest->state == PSP_GUEST_RUNNING
            ? check_header(&in.header)
            : psp_refuse(PSP_INVALID_GUEST_STATE, "guest request: the guest does not run yet");
    if (status == PSP_SUCCESS)
        status = serve(guest, &in, &out);
    pthread_mutex_unlock(&guest->lock);
    if (status == PSP_SUCCESS)
        memcpy(response, &out, sizeof out);
    return status;
}
