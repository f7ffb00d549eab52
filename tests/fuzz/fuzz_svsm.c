/* Manifests of an SVSM's services, as a guest and its host can hand them over. */
#include <string.h>

#include "attest/svsm.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/attest/made_manifest.h"

static void check_services(const struct svsm_manifest *m, struct view file)
{
    FUZZ_CHECK(m->services <= SVSM_SERVICES_MAX && view_equal(m->bytes, file));
    for (size_t i = 0; i < m->services; i++) {
        const struct view data = m->service[i].manifest;
        FUZZ_CHECK(data.len == 0 || (data.data >= file.data && data.len <= file.len &&
                                     data.data <= file.data + file.len - data.len));
        for (size_t j = 0; j < i; j++) {
            const struct view other = m->service[j].manifest;
            FUZZ_CHECK(memcmp(m->service[i].guid, m->service[j].guid, 16) != 0);
            FUZZ_CHECK(data.len == 0 || other.len == 0 || data.data + data.len <= other.data ||
                       other.data + other.len <= data.data);
        }
    }
}

/* Whatever key is taken has a name, and can be written for others. */
static void check_key(const struct svsm_ek *ek)
{
    CLEAN_BYTES pem = {0};
    if (!ek->key) {
        FUZZ_CHECK(ek->name_len == 0 && svsm_ek_pem(&pem, ek, NULL) == -COFRE_MALFORMED);
        return;
    }
    FUZZ_CHECK(ek->name_len == 34 || ek->name_len == 50 || ek->name_len == 66);
    FUZZ_CHECK(ek->name[0] == 0 && strchr(ek->kind, ',') && (!ek->unfit || *ek->unfit));
    FUZZ_CHECK(ek->unfit || strstr(ek->kind, "-CFB"));
    FUZZ_CHECK(svsm_ek_pem(&pem, ek, NULL) == 0 && pem.len > 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_MANIFEST read;
    struct cofre_err err = {""};
    const struct view file = {data, size};
    if (svsm_manifest_read(&read, file, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return 0;
    }
    check_services(&read, file);
    check_key(&read.ek);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    struct made_manifest ek, table;
    TPMT_PUBLIC key;
    if (index % 2)
        made_rsa(&key);
    else
        made_ecc(&key);
    if (index == 4)
        key.objectAttributes &= ~TPMA_OBJECT_FIXEDTPM;
    made_ek(&ek, &key);
    if (index > 7)
        return 0;
    if (index < 2 || index == 4) {
        memcpy(out, ek.data, ek.len);
        return ek.len;
    }
    made_table(&table, &ek, index == 7 ? 0 : index);
    memcpy(out, table.data, table.len);
    return table.len;
}
