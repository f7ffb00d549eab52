/* Writes one report of an emulated platform and its certificates into a directory, for verifiers that we did not write:
 * emulated_report PRODUCT VERSION vcek|vlek CHAIN OUT [NONCE] writes OUT/{report.bin,leaf.der,ask.der,ark.der}, and with a nonce
 * OUT/evidence.json as well, as cofre attest brings it from a guest. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "sev/cert_table.h"
#include "sev/model/psp.h"
#include "sev/product.h"
#include "vmm/base/file.h"

static int write_in(const char *dir, const char *name, struct view data, struct cofre_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return file_write(path, data, 0644, err);
}

static int write_certs(const struct psp *psp, const char *dir, struct cofre_err *err)
{
    CLEAN_BYTES raw = {0};
    struct snp_cert_table table = {0};
    int rc = psp_cert_table(psp, &raw, err);
    if (rc == 0)
        rc = snp_cert_table_parse(&table, bytes_view(&raw), err);
    for (size_t i = 0; rc == 0 && i < table.count; i++) {
        enum snp_cert_kind kind = table.entry[i].kind;
        const char *name = kind == SNP_CERT_ARK   ? "ark.der"
                           : kind == SNP_CERT_ASK ? "ask.der"
                           : kind == SNP_CERT_CRL ? "crl.der"
                                                  : "leaf.der";
        rc = write_in(dir, name, table.entry[i].data, err);
    }
    return rc;
}

/* The guest's side of one report request. */
static bool exchange(struct psp_guest *guest, const uint8_t key[32], const char *nonce,
                     struct snp_report_rsp *response)
{
    uint8_t page[SNP_PAGE_SIZE] = {0}, answer[SNP_PAGE_SIZE], iv[12] = {1};
    struct snp_report_req request = {0};
    struct snp_guest_msg_header h = {.msg_seqno = 1,
                                     .algo = 1,
                                     .hdr_version = 1,
                                     .hdr_size = sizeof h,
                                     .msg_type = SNP_MSG_REPORT_REQ,
                                     .msg_version = 1,
                                     .msg_size = sizeof request};
    int len;
    if (!nonce)
        memset(request.report_data, 0x42, sizeof request.report_data);
    else if (strlen(nonce) > 128 || !hex_decode(request.report_data, strlen(nonce) / 2, nonce))
        return false;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
              EVP_EncryptUpdate(ctx, NULL, &len, (uint8_t *)&h + 0x30, 0x30) == 1 &&
              EVP_EncryptUpdate(ctx, page + sizeof h, &len, (uint8_t *)&request, sizeof request) == 1 &&
              EVP_EncryptFinal_ex(ctx, page + sizeof h + len, &len) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, h.authtag) == 1;
    memcpy(page, &h, sizeof h);
    ok = ok && psp_guest_request(guest, page, answer) == PSP_SUCCESS;
    iv[0] = 2;
    ok = ok && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &len, answer + 0x30, 0x30) == 1 &&
         EVP_DecryptUpdate(ctx, (uint8_t *)response, &len, answer + 0x60, sizeof *response) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, answer) == 1 &&
         EVP_DecryptFinal_ex(ctx, (uint8_t *)response + len, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok && response->status == PSP_SUCCESS;
}

/* What a fetcher brings: the report with the certificates that the host has. */
static int write_evidence(const struct psp *psp, const char *dir, const struct snp_report *report,
                          const char *nonce, struct cofre_err *err)
{
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    CLEAN_BYTES file = {0};
    int rc = hex_decode_some(&evidence.nonce, EVIDENCE_NONCE_MAX, nonce, err);
    if (rc == 0)
        rc = bytes_copy(&evidence.report, (struct view){(const uint8_t *)report, sizeof *report}, err);
    if (rc == 0)
        rc = psp_cert_table(psp, &evidence.certificates, err);
    if (rc == 0)
        rc = evidence_write(&file, &evidence, err);
    return rc < 0 ? rc : write_in(dir, "evidence.json", bytes_view(&file), err);
}

static int make_report(const struct psp *psp, const char *dir, const char *nonce, struct cofre_err *err)
{
    const uint8_t gosvw[16] = {0};
    uint8_t page[SNP_PAGE_SIZE] = {1};
    struct snp_secrets_page secrets;
    struct snp_report_rsp response;
    struct psp_guest *guest = NULL;
    int rc = psp_guest_create(&guest, psp, err);
    struct psp_page first = {.type = SNP_PAGE_NORMAL, .gpa = 0x1000, .data = page};
    struct psp_page second = {.type = SNP_PAGE_SECRETS, .gpa = 0x2000, .data = (uint8_t *)&secrets};
    bool ok =
        rc == 0 && psp_launch_start(guest, SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT, gosvw) == PSP_SUCCESS &&
        psp_launch_update(guest, &first) == PSP_SUCCESS && psp_launch_update(guest, &second) == PSP_SUCCESS &&
        psp_launch_finish(guest, &(struct psp_launch_finish){0}) == PSP_SUCCESS &&
        exchange(guest, secrets.vmpck[0], nonce, &response);
    psp_guest_free(guest);
    if (!ok)
        return rc < 0 ? rc : cofre_fail(err, COFRE_FAILED, "the emulated firmware gave no report");
    if (nonce)
        rc = write_evidence(psp, dir, &response.report, nonce, err);
    return rc < 0 ? rc
                  : write_in(dir, "report.bin",
                             (struct view){(uint8_t *)&response.report, sizeof response.report}, err);
}

int main(int argc, char **argv)
{
    struct cofre_err err;
    struct psp *psp = NULL;
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "usage: emulated_report PRODUCT VERSION vcek|vlek CHAIN OUT [NONCE]\n");
        return COFRE_USAGE;
    }
    struct psp_options options = {.product = snp_product_named(argv[1], strlen(argv[1])),
                                  .report_version = (unsigned)atoi(argv[2]),
                                  .vlek = strcmp(argv[3], "vlek") == 0};
    int rc = psp_open(&psp, argv[4], &options, &err);
    if (rc == 0)
        rc = write_certs(psp, argv[5], &err);
    if (rc == 0)
        rc = make_report(psp, argv[5], argc == 7 ? argv[6] : NULL, &err);
    psp_close(psp);
    if (rc < 0)
        fprintf(stderr, "emulated_report: %s\n", err.text);
    return -rc;
}
