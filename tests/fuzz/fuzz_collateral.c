/* Collateral from anybody: whatever was changed in the emulated platform's, no signature verifies over other text. */
#include <stdio.h>
#include <string.h>

#include "tdx/collateral.h"
#include "tdx/model/platform.h"
#include "tests/fuzz/fuzz.h"

/* The emulated platform's collateral, and what it signed of it; the same in every run. */
static struct bytes made, signed_tcb, signed_qe;

static void check_signed(const struct tdx_signed *document, const struct bytes *signed_text)
{
    FUZZ_CHECK(document->issuers.count <= X509_CERTS_MAX);
    FUZZ_CHECK(document->signature_found.rc <= 0 && document->chain_found.rc <= 0);
    FUZZ_CHECK(document->signature_found.rc == 0 || *document->signature_found.why.text);
    if (document->signature_found.rc < 0)
        return;
    FUZZ_CHECK(document->has_signature && document->signer);
    FUZZ_CHECK(view_equal(bytes_view(&document->text), bytes_view(signed_text)));
}

static void check_levels(const struct tdx_tcb_info *info)
{
    FUZZ_CHECK(info->levels > 0 && info->levels <= TDX_TCB_LEVELS_MAX);
    for (size_t i = 0; i < info->levels; i++)
        FUZZ_CHECK(info->level[i].status < TDX_TCB_STATUSES);
}

static void make_collateral(void)
{
    char dir[] = "/tmp/cofre-fuzz-XXXXXX", command[64];
    struct tdx_platform *platform = NULL;
    struct tdx_collateral parsed;
    FUZZ_CHECK(mkdtemp(dir) && tdx_platform_open(&platform, dir, NULL, NULL) == 0);
    FUZZ_CHECK(tdx_platform_collateral(platform, FUZZ_NOW, &made, NULL) == 0);
    tdx_platform_close(platform);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    FUZZ_CHECK(system(command) == 0);
    FUZZ_CHECK(tdx_collateral_parse(&parsed, bytes_view(&made), NULL) == 0);
    FUZZ_CHECK(parsed.tcb_signed.signature_found.rc == 0 && parsed.qe_signed.signature_found.rc == 0);
    FUZZ_CHECK(bytes_copy(&signed_tcb, bytes_view(&parsed.tcb_signed.text), NULL) == 0);
    FUZZ_CHECK(bytes_copy(&signed_qe, bytes_view(&parsed.qe_signed.text), NULL) == 0);
    tdx_collateral_free(&parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_COLLATERAL collateral = {0};
    struct view file = {data, size}, object;
    uint8_t signature[64];
    struct cofre_err err = {""};
    if (!made.data)
        make_collateral();
    if (tdx_answer_split(file, "tcbInfo", &object, signature))
        FUZZ_CHECK(object.data > data && object.data + object.len < data + size);
    if (tdx_collateral_parse(&collateral, file, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return 0;
    }
    if (collateral.tcb_signed.text.len) {
        check_signed(&collateral.tcb_signed, &signed_tcb);
        check_levels(&collateral.tcb);
    }
    if (collateral.qe_signed.text.len)
        check_signed(&collateral.qe_signed, &signed_qe);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char tcb_answer[] = "{\"tcbInfo\":%.*s,\"signature\":\"%0128d\"}";
    if (!made.data)
        make_collateral();
    switch (index) {
    case 0:
        FUZZ_CHECK(made.len <= FUZZ_SEED_MAX);
        memcpy(out, made.data, made.len);
        return made.len;
    case 1:
        return (size_t)snprintf((char *)out, FUZZ_SEED_MAX, tcb_answer, (int)signed_tcb.len,
                                (const char *)signed_tcb.data, 0);
    default:
        return 0;
    }
}
