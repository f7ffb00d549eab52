#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "tests/lab/svsm/guest.h"
#include "tests/lab/svsm/host.h"
#include "tests/lab/svsm/protocol.h"
#include "tests/lab/svsm/vtpm.h"
#include "vmm/base/ovmf_table.h"

enum { SERVICES = 0, SINGLE_SERVICE = 1 };
#define NONCE_SIZE 64
#define GUID_SIZE  16

struct location {
    uint64_t gpa;
    uint32_t size, reserved;
};
struct request {
    struct location report, nonce, manifest, certificates;
    uint8_t service[GUID_SIZE]; /* from here on of a single service */
    uint32_t manifest_version, reserved;
};
static_assert(sizeof(struct request) == 0x58 && offsetof(struct request, service) == 0x40,
              "table 11, table 13");

static const uint8_t services_guid[GUID_SIZE] =
    GUID(0x63849ebb, 0x3d92, 0x4670, 0xa1, 0xff, 0x58, 0xf9, 0xc9, 0x4b, 0x87, 0xbb);
static const uint8_t vtpm_guid[GUID_SIZE] =
    GUID(0xc476f1eb, 0x0123, 0x45a5, 0x96, 0x41, 0xb4, 0xe7, 0xdd, 0xe5, 0xbf, 0xe3);

static uint8_t key[32];
static uint64_t sequence;
static uint8_t certificates[HOST_CERTIFICATES];

void attest_open(const struct snp_secrets_page *secrets)
{
    memcpy(key, secrets->vmpck[0], sizeof key);
}

/* AES-256-GCM over the payload, with the header's second half as additional data (56860, 8.26). */
static bool crypt(bool seal, struct snp_guest_msg_header *h, const uint8_t *in, uint8_t *out)
{
    uint8_t iv[12] = {0};
    int len;
    memcpy(iv, &h->msg_seqno, 8);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const bool good = ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv, seal) &&
                      EVP_CipherUpdate(ctx, NULL, &len, (uint8_t *)h + 0x30, 0x30) &&
                      EVP_CipherUpdate(ctx, out, &len, in, h->msg_size) &&
                      (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, h->authtag)) &&
                      EVP_CipherFinal_ex(ctx, out + len, &len) &&
                      (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, h->authtag));
    EVP_CIPHER_CTX_free(ctx);
    return good;
}

/* The host sees and may change both messages: the response is copied once, and opened with the sequence number that must be. */
static bool get_report(struct snp_report *out, const uint8_t data[64], bool certified)
{
    struct snp_report_req request = {.vmpl = 0};
    struct snp_guest_msg_header h = {.msg_seqno = ++sequence,
                                     .algo = 1,
                                     .hdr_version = 1,
                                     .hdr_size = sizeof h,
                                     .msg_type = SNP_MSG_REPORT_REQ,
                                     .msg_version = 1,
                                     .msg_size = sizeof request};
    static uint8_t page[PAGE_SIZE];
    struct snp_report_rsp response;
    memcpy(request.report_data, data, sizeof request.report_data);
    if (!crypt(true, &h, (const uint8_t *)&request, page + sizeof h))
        return false;
    memcpy(page, &h, sizeof h);
    memcpy(host_request(), page, sizeof page);
    if (host_ask_firmware(certified ? certificates : NULL) != 0)
        return false;
    memcpy(page, host_response(), sizeof page);
    memcpy(&h, page, sizeof h);
    if (h.msg_seqno != ++sequence || h.msg_type != SNP_MSG_REPORT_RSP || h.msg_vmpck != 0 ||
        h.msg_size != sizeof response || !crypt(false, &h, page + sizeof h, (uint8_t *)&response) ||
        response.status)
        return false;
    *out = response.report;
    return true;
}

static size_t vtpm_manifest(uint8_t *out, size_t size)
{
    return vtpm_ek_public(out, size);
}

/* The table of all services: a header, a line for each, then what the lines point to. */
static size_t services_manifest(uint8_t *out, size_t size)
{
    enum { LINE = 24, HEAD = 2 * LINE };
    const size_t len = vtpm_manifest(out + HEAD, size - HEAD);
    const uint32_t whole = (uint32_t)(HEAD + len), one = 1, at = HEAD, len32 = (uint32_t)len;
    memcpy(out, services_guid, GUID_SIZE);
    memcpy(out + GUID_SIZE, &whole, 4);
    memcpy(out + GUID_SIZE + 4, &one, 4);
    memcpy(out + LINE, vtpm_guid, GUID_SIZE);
    memcpy(out + LINE + GUID_SIZE, &at, 4);
    memcpy(out + LINE + GUID_SIZE + 4, &len32, 4);
    return len ? whole : 0;
}

static bool digest(const uint8_t *nonce, const uint8_t *manifest, size_t len, uint8_t out[64])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) &&
                      EVP_DigestUpdate(ctx, nonce, NONCE_SIZE) && EVP_DigestUpdate(ctx, manifest, len) &&
                      EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    return good;
}

/* The table's lines, ended by one of zeros, have a GUID, an offset and a size each (56421, 4.1.8.1). It is the host's word. */
static size_t certificates_size(void)
{
    enum { LINE = 24 };
    static const uint8_t none[GUID_SIZE];
    size_t end = 0;
    for (size_t at = 0; at <= sizeof certificates - LINE && memcmp(certificates + at, none, GUID_SIZE) != 0;
         at += LINE) {
        uint32_t offset, size;
        memcpy(&offset, certificates + at + GUID_SIZE, 4);
        memcpy(&size, certificates + at + GUID_SIZE + 4, 4);
        const uint64_t its_end = (uint64_t)offset + size;
        if (its_end > sizeof certificates)
            return 0;
        end = its_end > end ? (size_t)its_end : end;
    }
    return end;
}

static bool put(const struct location *to, const void *from, size_t len)
{
    void *at = to->gpa % PAGE_SIZE || to->size < len ? NULL : guest_memory(to->gpa, len);
    if (at)
        memcpy(at, from, len);
    return at;
}

/* Says in RCX, RDX and R8 how long manifest, certificates and report are, also where there was no room for them. */
static uint32_t answer(const struct request *r, struct snp_vmsa *registers, const uint8_t *manifest,
                       size_t len)
{
    uint8_t nonce[NONCE_SIZE], data[64];
    struct snp_report report;
    const void *from = r->nonce.size == NONCE_SIZE ? guest_memory(r->nonce.gpa, NONCE_SIZE) : NULL;
    if (!from)
        return SVSM_ERR_INVALID_PARAMETER;
    memcpy(nonce, from, sizeof nonce);
    if (!digest(nonce, manifest, len, data) || !get_report(&report, data, r->certificates.size))
        return SVSM_ERR_INVALID_REQUEST;
    const size_t certified = r->certificates.size ? certificates_size() : 0;
    registers->rcx = len;
    registers->rdx = certified;
    registers->r8 = sizeof report;
    return put(&r->manifest, manifest, len) && put(&r->report, &report, sizeof report) &&
                   (!certified || put(&r->certificates, certificates, certified))
               ? SVSM_SUCCESS
               : SVSM_ERR_INVALID_PARAMETER;
}

uint32_t attest_call(uint32_t call, struct snp_vmsa *registers)
{
    static uint8_t manifest[PAGE_SIZE];
    struct request r = {0};
    const size_t size = call == SERVICES ? offsetof(struct request, service) : sizeof r;
    if (call > SINGLE_SERVICE)
        return SVSM_ERR_UNSUPPORTED_CALL;
    const void *from = registers->rcx % 8 ? NULL : guest_memory(registers->rcx, size);
    if (!from)
        return SVSM_ERR_INVALID_ADDRESS;
    memcpy(&r, from, size);
    const bool is_known =
        call == SERVICES || (memcmp(r.service, vtpm_guid, GUID_SIZE) == 0 && r.manifest_version == 0);
    if (!is_known || r.report.reserved || r.nonce.reserved || r.manifest.reserved ||
        r.certificates.reserved || r.reserved)
        return SVSM_ERR_INVALID_PARAMETER;
    const size_t len = call == SERVICES ? services_manifest(manifest, sizeof manifest)
                                        : vtpm_manifest(manifest, sizeof manifest);
    return answer(&r, registers, manifest, len);
}
