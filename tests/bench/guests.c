#include "tests/bench/guests.h"

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/collateral/item.h"
#include "sev/report.h"
#include "tests/bench/bench.h"
#include "tests/unit/model/fixture.h"
#include "vmm/base/json.h"

static void join(struct bytes *out, struct view one, struct view two)
{
    BENCH_CHECK(bytes_alloc(out, one.len + two.len, NULL) == 0);
    memcpy(out->data, one.data, one.len);
    memcpy(out->data + one.len, two.data, two.len);
}

void guests_make(struct guests *g)
{
    struct bytes snp_root = {0}, tdx_root = {0};
    char dir[] = "/tmp/cofre-bench-XXXXXX", line[64];
    *g = (struct guests){.seqno = 1, .secrets = calloc(1, sizeof *g->secrets)};
    BENCH_CHECK(g->secrets && mkdtemp(dir) && tdx_platform_open(&g->tdx, dir, NULL, NULL) == 0);
    BENCH_CHECK(psp_open(&g->psp, dir, &(struct psp_options){.product = SNP_PRODUCT_MILAN}, NULL) == 0);
    (void)snprintf(line, sizeof line, "rm -r '%s'", dir);
    BENCH_CHECK(system(line) == 0);
    g->snp = launch_guest(g->psp, g->secrets, NULL);
    BENCH_CHECK(psp_cert_table(g->psp, &g->certificates, NULL) == 0 &&
                psp_root(g->psp, &snp_root, NULL) == 0 && tdx_platform_root(g->tdx, &tdx_root, NULL) == 0);
    join(&g->roots, bytes_view(&snp_root), bytes_view(&tdx_root));
    bytes_free(&snp_root);
    bytes_free(&tdx_root);
    BENCH_CHECK(x509_certs_add(&g->root, bytes_view(&g->roots), NULL) == 0 && g->root.count == 2);
    BENCH_CHECK(tdx_platform_collateral(g->tdx, (int64_t)time(NULL), &g->collateral, NULL) == 0 &&
                tdx_collateral_parse(&g->decoded, bytes_view(&g->collateral), NULL) == 0);
    policy_init(&g->policy);
}

void guests_free(struct guests *g)
{
    psp_guest_free(g->snp);
    psp_close(g->psp);
    tdx_platform_close(g->tdx);
    free(g->secrets);
    bytes_free(&g->certificates);
    bytes_free(&g->roots);
    bytes_free(&g->collateral);
    bytes_free(&g->signer);
    x509_certs_free(&g->root);
    tdx_collateral_free(&g->decoded);
    policy_free(&g->policy);
}

void guests_snp_on(struct guests *g, struct view report_data, struct evidence *out)
{
    struct snp_report_req request = {0};
    memcpy(request.report_data, report_data.data, report_data.len);
    const struct snp_report_rsp response = ask_report(g->snp, g->secrets, 0, g->seqno, &request);
    g->seqno += 2; /* its answer has a number, too */
    *out = (struct evidence){.tee = "snp"};
    const struct view report = {(const uint8_t *)&response.report, sizeof response.report};
    BENCH_CHECK(bytes_copy(&out->report, report, NULL) == 0);
}

void guests_snp(struct guests *g, const uint8_t nonce[GUEST_NONCE], bool with_certificates,
                struct evidence *out)
{
    guests_snp_on(g, (struct view){nonce, GUEST_NONCE}, out);
    BENCH_CHECK(!with_certificates ||
                bytes_copy(&out->certificates, bytes_view(&g->certificates), NULL) == 0);
}

/* Intel's enclave has its report signed once, and the emulated one for each quote: all get the first one's. */
static void sign_once(struct guests *g, struct bytes *raw)
{
    struct tdx_quote quote;
    BENCH_CHECK(tdx_quote_parse(&quote, bytes_view(raw), NULL) == 0);
    const struct view signer = tdx_signer_bytes(&quote);
    if (g->signer.len == 0)
        BENCH_CHECK(bytes_copy(&g->signer, signer, NULL) == 0);
    BENCH_CHECK(g->signer.len == signer.len);
    memcpy((uint8_t *)signer.data, g->signer.data, signer.len);
}

void guests_tdx(struct guests *g, const uint8_t nonce[GUEST_NONCE], struct evidence *out)
{
    guests_tdx_on(g, (struct view){nonce, GUEST_NONCE}, out);
}

void guests_tdx_on(struct guests *g, struct view report_data, struct evidence *out)
{
    struct tdx_report report = {.td = {.attributes = {0, 0, 0, 0x10}, .xfam = {0xe7}}};
    memcpy(report.mac.report_data, report_data.data, report_data.len);
    tdx_platform_seal_report(g->tdx, &report);
    *out = (struct evidence){.tee = "tdx"};
    BENCH_CHECK(tdx_platform_quote(g->tdx, &report, &out->report, NULL) == 0);
    sign_once(g, &out->report);
}

char *guests_body(const struct evidence *evidence, const char *kind, const uint8_t nonce[GUEST_NONCE],
                  bool jwt)
{
    struct bytes file = {0};
    char hex[2 * GUEST_NONCE + 1];
    hex_encode(hex, nonce, GUEST_NONCE);
    BENCH_CHECK(evidence_write(&file, evidence, NULL) == 0);
    json_t *body =
        json_pack("{s:o, s:s, s:s, s:b}", "evidence", json_loadb((const char *)file.data, file.len, 0, NULL),
                  "policy", "bench", kind, hex, "jwt", (int)jwt);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    BENCH_CHECK(text);
    json_decref(body);
    bytes_free(&file);
    return text;
}

static json_t *item(const struct collateral_id *id, struct view body)
{
    char name[COLLATERAL_NAME_MAX], *text = NULL;
    collateral_name(name, id);
    BENCH_CHECK(base64_encode(&text, body, NULL) == 0);
    json_t *object = json_pack("{s:s, s:s}", "name", name, "body", text);
    free(text);
    return object;
}

static struct view in_table(const struct snp_cert_table *table, enum snp_cert_kind kind)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->entry[i].kind == kind)
            return table->entry[i].data;
    BENCH_CHECK(false);
    return (struct view){0};
}

/* ASK and ARK, as AMD's service gives them: PEM, one after the other. */
static void write_chain(struct bytes *out, const struct snp_cert_table *table)
{
    struct x509_certs certs = {0};
    BENCH_CHECK(x509_certs_add(&certs, in_table(table, SNP_CERT_ASK), NULL) == 0 &&
                x509_certs_add(&certs, in_table(table, SNP_CERT_ARK), NULL) == 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    for (size_t i = 0; i < certs.count; i++)
        BENCH_CHECK(PEM_write_bio_X509(bio, certs.cert[i]) == 1);
    const size_t len = (size_t)BIO_get_mem_data(bio, &text);
    BENCH_CHECK(bytes_copy(out, (struct view){(const uint8_t *)text, len}, NULL) == 0);
    BIO_free(bio);
    x509_certs_free(&certs);
}

void guests_parcel(struct guests *g, struct bytes *out)
{
    struct snp_cert_table table;
    struct bytes chain = {0};
    struct evidence evidence;
    struct snp_report report;
    const enum snp_product product = SNP_PRODUCT_MILAN;
    struct collateral_id vcek = {.kind = KDS_VCEK, .product = product},
                         of_chain = {.kind = KDS_CHAIN, .product = product},
                         list = {.kind = KDS_CRL, .product = product};
    guests_snp(g, (const uint8_t[GUEST_NONCE]){0}, false, &evidence);
    BENCH_CHECK(snp_report_parse(&report, bytes_view(&evidence.report), NULL) == 0 &&
                snp_cert_table_parse(&table, bytes_view(&g->certificates), NULL) == 0);
    memcpy(vcek.hwid, report.chip_id, sizeof vcek.hwid);
    BENCH_CHECK(snp_tcb_decode(&vcek.tcb, report.reported_tcb, product));
    write_chain(&chain, &table);
    json_t *parcel =
        json_pack("{s:i, s:[o, o, o]}", "cofre_collateral", 1, "items", item(&of_chain, bytes_view(&chain)),
                  item(&vcek, in_table(&table, SNP_CERT_VCEK)), item(&list, in_table(&table, SNP_CERT_CRL)));
    char *text = parcel ? json_dumps(parcel, 0) : NULL;
    BENCH_CHECK(text && bytes_copy(out, (struct view){(const uint8_t *)text, strlen(text)}, NULL) == 0);
    free(text);
    json_decref(parcel);
    bytes_free(&chain);
    evidence_free(&evidence);
}
