/* TCB info and QE identity without their signatures, and what they make of a platform that the input describes too. */
#include <string.h>

#include "tdx/pcs.h"
#include "tdx/qe_identity.h"
#include "tests/fuzz/fuzz.h"

/* The platform: the first bytes of the input; then TCB info, a newline, and a QE identity. */
static size_t take_seen(struct tdx_tcb_seen *seen, const uint8_t *data, size_t size)
{
    *seen = (struct tdx_tcb_seen){0};
    if (size < 53)
        return size;
    memcpy(seen->sgx, data, 16);
    memcpy(seen->tdx, data + 16, 16);
    memcpy(seen->tdx_2, data + 32, 16);
    seen->pce_svn = le16(data + 48);
    seen->qe_isv_svn = le16(data + 50);
    seen->has_tdx_2 = data[52] & 1;
    return 53;
}

static void check_levels(const struct tdx_isv_levels *levels)
{
    for (size_t i = 0; i < levels->count; i++) {
        FUZZ_CHECK(levels->level[i].status < TDX_TCB_STATUSES);
        FUZZ_CHECK(i == 0 || levels->level[i - 1].isv_svn >= levels->level[i].isv_svn);
    }
}

static void check_found(const struct tdx_tcb_info *info, const struct tdx_qe_identity *qe,
                        const struct tdx_tcb_seen *seen)
{
    struct tdx_tcb_found found;
    struct cofre_err err = {""};
    if (tdx_tcb_find(&found, info, qe, seen, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return;
    }
    FUZZ_CHECK(found.platform && found.qe && found.status < TDX_TCB_STATUSES);
    FUZZ_CHECK(found.date <= found.platform->date && found.date <= found.qe->date);
    for (unsigned i = 0; i < TDX_TCB_COMPONENTS; i++)
        FUZZ_CHECK(found.sgx->sgx[i] <= seen->sgx[i]);
    FUZZ_CHECK(found.qe->isv_svn <= seen->qe_isv_svn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tdx_tcb_seen seen;
    struct tdx_tcb_info info = {0};
    struct tdx_qe_identity qe = {0};
    struct cofre_err err = {""};
    size_t at = take_seen(&seen, data, size);
    const uint8_t *newline = memchr(data + at, '\n', size - at);
    size_t middle = newline ? (size_t)(newline - data) : size;
    int first = tdx_tcb_info_parse(&info, (struct view){data + at, middle - at}, &err);
    FUZZ_CHECK(first == 0 || (first == -COFRE_MALFORMED && *err.text));
    int second = tdx_qe_identity_parse(&qe, (struct view){data + middle, size - middle}, &err);
    FUZZ_CHECK(second == 0 || second == -COFRE_MALFORMED);
    if (first == 0) {
        FUZZ_CHECK(info.levels > 0 && info.levels <= TDX_TCB_LEVELS_MAX);
        for (size_t i = 0; i < info.identities; i++)
            check_levels(&info.identity[i].levels);
    }
    if (second == 0)
        check_levels(&qe.levels);
    if (first == 0 && second == 0)
        check_found(&info, &qe, &seen);
    if (first == 0)
        tdx_tcb_info_free(&info);
    if (second == 0)
        tdx_qe_identity_free(&qe);
    return 0;
}

#define HEADING                                                                                              \
    "\"issueDate\":\"2024-05-31T23:00:00Z\",\"nextUpdate\":\"2024-07-01T00:00:00Z\","                        \
    "\"tcbEvaluationDataNumber\":20,"
#define ISV_LEVELS                                                                                           \
    "\"tcbLevels\":[{\"tcb\":{\"isvsvn\":5},\"tcbDate\":\"2025-08-13T00:00:00Z\",\"tcbStatus\":"             \
    "\"UpToDate\"},"                                                                                         \
    "{\"tcb\":{\"isvsvn\":2},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"OutOfDate\","              \
    "\"advisoryIDs\":[\"INTEL-SA-00001\"]}]"
#define ZEROS_48 "%096d"

static size_t put_components(char *out, const char *name, unsigned svn)
{
    size_t n = (size_t)sprintf(out, "\"%s\":[", name);
    for (unsigned i = 0; i < TDX_TCB_COMPONENTS; i++)
        n += (size_t)sprintf(out + n, "%s{\"svn\":%u}", i ? "," : "", i < 3 ? svn : 0);
    return n + (size_t)sprintf(out + n, "]");
}

static size_t put_level(char *out, unsigned svn, const char *status)
{
    size_t n = (size_t)sprintf(out, "{\"tcb\":{");
    n += put_components(out + n, "sgxtcbcomponents", svn);
    n += (size_t)sprintf(out + n, ",\"pcesvn\":%u,", svn);
    n += put_components(out + n, "tdxtcbcomponents", svn);
    return n +
           (size_t)sprintf(out + n, "},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"%s\"}", status);
}

static size_t put_documents(char *out)
{
    size_t n = (size_t)sprintf(
        out,
        "{\"id\":\"TDX\",\"version\":3," HEADING "\"fmspc\":\"E006C0F00000\",\"pceId\":\"0000\","
        "\"tcbType\":0,\"tdxModule\":{\"mrsigner\":\"" ZEROS_48 "\",\"attributes\":\"%016d\","
        "\"attributesMask\":\"FFFFFFFFFFFFFFFF\"},\"tdxModuleIdentities\":[{\"id\":\"TDX_01\","
        "\"mrsigner\":\"" ZEROS_48 "\",\"attributes\":\"%016d\","
        "\"attributesMask\":\"FFFFFFFFFFFFFFFF\"," ISV_LEVELS "}],\"tcbLevels\":[",
        0, 0, 0, 0);
    n += put_level(out + n, 5, "UpToDate");
    out[n++] = ',';
    n += put_level(out + n, 2, "ConfigurationAndSWHardeningNeeded");
    return n +
           (size_t)sprintf(
               out + n,
               "]}\n{\"id\":\"TD_QE\",\"version\":2," HEADING "\"miscselect\":\"%08d\",\"miscselectMask\":"
               "\"FFFFFFFF\",\"attributes\":\"%032d\",\"attributesMask\":\"%032d\",\"mrsigner\":\"%064d\","
               "\"isvprodid\":2," ISV_LEVELS "}",
               0, 0, 0, 0);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (index > 2)
        return 0;
    memset(out, index == 2 ? 3 : 9, 50);
    memset(out + 50, 0, 3);
    out[17] = index == 1; /* which module */
    out[50] = 9;
    return 53 + put_documents((char *)out + 53);
}
