#include "fixture.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/product.h"

struct psp *open_platform(struct psp_options options)
{
    const char *base = getenv("COFRE_TEST_EMULATED");
    struct cofre_err err;
    struct psp *psp = NULL;
    char dir[4096];
    assert_non_null(base);
    if (options.product == SNP_PRODUCT_UNKNOWN)
        options.product = SNP_PRODUCT_MILAN;
    snprintf(dir, sizeof dir, "%s/%s", base, snp_product_name(options.product));
    if (psp_open(&psp, dir, &options, &err) < 0)
        fail_msg("%s", err.text);
    return psp;
}

enum psp_status give_page(struct psp_guest *guest, enum snp_page_type type, uint64_t gpa, void *data)
{
    return psp_launch_update(guest, &(struct psp_page){.type = type, .gpa = gpa, .data = data});
}

struct psp_guest *launch_guest(const struct psp *psp, struct snp_secrets_page *secrets,
                               const struct psp_launch_finish *finish)
{
    static const struct psp_launch_finish plain;
    struct psp_guest *guest = NULL;
    uint8_t page[SNP_PAGE_SIZE], gosvw[16] = {0};
    memset(page, 0x5a, sizeof page);
    assert_int_equal(psp_guest_create(&guest, psp, NULL), 0);
    assert_int_equal(psp_launch_start(guest, POLICY, gosvw), PSP_SUCCESS);
    assert_int_equal(give_page(guest, SNP_PAGE_NORMAL, 0x1000, page), PSP_SUCCESS);
    assert_int_equal(give_page(guest, SNP_PAGE_SECRETS, 0x2000, secrets), PSP_SUCCESS);
    assert_int_equal(psp_launch_finish(guest, finish ? finish : &plain), PSP_SUCCESS);
    return guest;
}

/* The tag of a message is over header bytes 30h..5Fh and the payload; the IV is the sequence number. */
static int crypt(int sealing, const uint8_t key[32], struct snp_guest_msg_header *h, const uint8_t *in,
                 uint8_t *out)
{
    uint8_t iv[12] = {0};
    int len = 0, ok = 1;
    memcpy(iv, &h->msg_seqno, 8);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    ok &= EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv, sealing);
    ok &= EVP_CipherUpdate(ctx, NULL, &len, (uint8_t *)h + 0x30, 0x30);
    ok &= EVP_CipherUpdate(ctx, out, &len, in, h->msg_size);
    if (!sealing)
        ok &= EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, h->authtag);
    ok &= EVP_CipherFinal_ex(ctx, out + len, &len);
    if (sealing)
        ok &= EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, h->authtag);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

void seal(uint8_t page[SNP_PAGE_SIZE], const uint8_t key[32], uint8_t vmpck, uint64_t seqno, uint8_t type,
          const void *payload, uint16_t size, void (*change)(struct snp_guest_msg_header *))
{
    uint8_t plain[SNP_PAGE_SIZE] = {0};
    memset(page, 0, SNP_PAGE_SIZE);
    struct snp_guest_msg_header *h = (struct snp_guest_msg_header *)page;
    *h = (struct snp_guest_msg_header){.msg_seqno = seqno,
                                       .algo = 1,
                                       .hdr_version = 1,
                                       .hdr_size = sizeof *h,
                                       .msg_type = type,
                                       .msg_version = 1,
                                       .msg_size = size,
                                       .msg_vmpck = vmpck};
    if (change)
        change(h);
    memcpy(plain, payload, size);
    if (h->msg_size <= SNP_PAGE_SIZE - sizeof *h)
        assert_int_equal(crypt(1, key, h, plain, page + sizeof *h), 1);
}

void unseal(const uint8_t page[SNP_PAGE_SIZE], const uint8_t key[32], uint64_t seqno, uint8_t type,
            void *payload, uint16_t size)
{
    struct snp_guest_msg_header h;
    uint8_t plain[SNP_PAGE_SIZE];
    memcpy(&h, page, sizeof h);
    assert_int_equal(h.msg_seqno, seqno);
    assert_int_equal(h.msg_type, type);
    assert_int_equal(h.msg_size, size);
    assert_int_equal(h.algo, 1);
    assert_int_equal(h.hdr_size, 0x60);
    assert_int_equal(crypt(0, key, &h, page + sizeof h, plain), 1);
    memcpy(payload, plain, size);
}

struct snp_report_rsp ask_report(struct psp_guest *guest, const struct snp_secrets_page *secrets,
                                 uint8_t vmpck, uint64_t seqno, const struct snp_report_req *request)
{
    uint8_t in[SNP_PAGE_SIZE], out[SNP_PAGE_SIZE];
    struct snp_report_rsp response;
    seal(in, secrets->vmpck[vmpck], vmpck, seqno, SNP_MSG_REPORT_REQ, request, sizeof *request, NULL);
    assert_int_equal(psp_guest_request(guest, in, out), PSP_SUCCESS);
    unseal(out, secrets->vmpck[vmpck], seqno + 1, SNP_MSG_REPORT_RSP, &response, sizeof response);
    return response;
}
