/* Certificate tables of extended guest requests: from the host, and built by us. */
#include <string.h>

#include "sev/cert_table.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snp_cert_table table, again;
    CLEAN_BYTES built = {0};
    struct cofre_err err = {""};
    if (snp_cert_table_parse(&table, (struct view){data, size}, &err) < 0) {
        FUZZ_CHECK(*err.text);
        return 0;
    }
    FUZZ_CHECK(table.count <= SNP_CERT_TABLE_ENTRIES);
    for (size_t i = 0; i < table.count; i++) {
        const struct view entry = table.entry[i].data;
        FUZZ_CHECK(entry.len > 0 && entry.len <= size && entry.data >= data &&
                   entry.data <= data + size - entry.len && snp_cert_kind_name(table.entry[i].kind));
    }
    if (snp_cert_table_build(&built, table.entry, table.count, &err) < 0)
        return 0;
    FUZZ_CHECK(snp_cert_table_parse(&again, bytes_view(&built), &err) == 0 && again.count == table.count);
    for (size_t i = 0; i < table.count; i++)
        FUZZ_CHECK(again.entry[i].kind == table.entry[i].kind &&
                   view_equal(again.entry[i].data, table.entry[i].data));
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t bytes[] = "certificate";
    const struct snp_cert_entry entries[] = {
        {.kind = SNP_CERT_VCEK, .data = {bytes, 11}},
        {.kind = SNP_CERT_ASK, .data = {bytes, 4}},
        {.kind = SNP_CERT_OTHER, .guid = {1, 2, 3}, .data = {bytes, 1}},
        {.kind = SNP_CERT_CRL, .data = {bytes, 7}},
    };
    CLEAN_BYTES table = {0};
    if (index > 4)
        return 0;
    FUZZ_CHECK(snp_cert_table_build(&table, entries, index, NULL) == 0);
    memset(out, 0, table.len + 100);
    memcpy(out, table.data, table.len);
    return table.len + (index == 3 ? 100 : 0); /* one as in a buffer of whole pages */
}
