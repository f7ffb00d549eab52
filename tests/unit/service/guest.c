#include "tests/unit/service/guest.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "attest/evidence.h"
#include "sev/cert_table.h"
#include "tests/unit/model/fixture.h"
#include "vmm/base/file.h"

static struct psp *psp;
static struct psp_guest *guest;
static struct snp_secrets_page secrets;
static uint64_t seqno; /* of its next request */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root_file[128], crl_file[128];

static void write_file(const char *path, struct view data)
{
    struct cofre_err err = {""};
    if (file_write(path, data, 0600, &err) < 0)
        fail_msg("%s", err.text);
}

static void write_endorsements(const struct fixture *f)
{
    CLEAN_BYTES root = {0}, certificates = {0};
    struct snp_cert_table table;
    snprintf(root_file, sizeof root_file, "%s/root", f->folder);
    snprintf(crl_file, sizeof crl_file, "%s/crl", f->folder);
    assert_int_equal(psp_root(psp, &root, NULL), 0);
    write_file(root_file, bytes_view(&root));
    assert_int_equal(psp_cert_table(psp, &certificates, NULL), 0);
    assert_int_equal(snp_cert_table_parse(&table, bytes_view(&certificates), NULL), 0);
    for (size_t i = 0; i < table.count; i++)
        if (table.entry[i].kind == SNP_CERT_CRL)
            write_file(crl_file, table.entry[i].data);
}

void guest_open(struct fixture *f)
{
    psp = open_platform((struct psp_options){.product = SNP_PRODUCT_MILAN});
    guest = launch_guest(psp, &secrets, NULL);
    seqno = 1;
    write_endorsements(f);
    f->config.trust_roots.path[0] = root_file;
    f->config.crls.path[0] = crl_file;
}

static struct snp_report_rsp answer(const struct snp_report_req *request)
{
    pthread_mutex_lock(&lock);
    struct snp_report_rsp response = ask_report(guest, &secrets, 0, seqno, request);
    seqno += 2; /* the response has a number, too */
    pthread_mutex_unlock(&lock);
    return response;
}

char *guest_evidence(const char *nonce)
{
    struct snp_report_req request = {0};
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    CLEAN_BYTES file = {0};
    assert_true(hex_decode(request.report_data, strlen(nonce) / 2, nonce));
    struct snp_report_rsp response = answer(&request);
    const struct view report = {(const uint8_t *)&response.report, sizeof response.report};
    assert_int_equal(bytes_copy(&evidence.report, report, NULL), 0);
    assert_int_equal(psp_cert_table(psp, &evidence.certificates, NULL), 0);
    assert_int_equal(evidence_write(&file, &evidence, NULL), 0);
    return strndup((const char *)file.data, file.len);
}

void guest_close(void)
{
    psp_guest_free(guest);
    psp_close(psp);
}
