/* Manifests of an SVSM's services: what is one, and which endorsement keys tie something to a vTPM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "attest/svsm.h"
#include "tests/unit/attest/made_manifest.h"

static void must_read(struct svsm_manifest *out, const struct made_manifest *m)
{
    struct cofre_err err = {""};
    if (svsm_manifest_read(out, made_view(m), &err) != 0)
        fail_msg("%s", err.text);
}

static void must_refuse(const struct made_manifest *m, const char *because)
{
    CLEAN_MANIFEST read;
    struct cofre_err err = {""};
    assert_int_equal(svsm_manifest_read(&read, made_view(m), &err), -COFRE_MALFORMED);
    if (!strstr(err.text, because))
        fail_msg("\"%s\" does not say \"%s\"", err.text, because);
}

/* Keys of swtpm's by the TCG's default templates, and the names that tpm2_readpublic wrote. */
static const struct {
    const char *area, *name, *kind, *pem;
} real[] = {
    {"0001000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa000600800043001008"
     "00000000000100d477348f0b96e0dd42bbf2a66f8833e1751f9b73bcce4d0a19fcc39965f6a1dd49fa271d93f658888c8a22aa"
     "e751574dec43120b485ebe36bd38a3834999d53c5cbaa1fa6bdccf38be664a3e5fcf68c1a549936a98e5c8efb2fa35b80f9271"
     "3f643960aa897b30abfb24dde6419dc910fc27d7bcf424de3b065fd4f7ad0d0ab7a7c803b1a6e04db8180849f7b781ff1aba90"
     "3c5527bed67fc51d48170cdf217c76aba92e3ce02b9c00b85261fca0b6406c82113cf28552a5245ee9d4854af276cde901521f"
     "621ba9dd0e2677dfa0a487313662eeb4aa60269a99b90119fa428a32701faf6654e0a6c5d20f782205559b673f7adadbaaf74a"
     "38909ca9f89c00bb",
     "000bdc45bfd1e2f735b362811bd9f2bcf38843a7b999f578150f0341db3341393c6c", "RSA-2048, SHA-256, AES-128-CFB",
     NULL},
    {"0023000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa000600800043001000"
     "03001000206062286b8744f9b8ab82dfc52ade9dab8fcd794307743925d23181fbfacbf7ae00202a804b02dce59ebfebd93ff2"
     "8155b20d36d48f0cb04884dc029b356004f8f092",
     "000b219f5fe69935c88e6474bbf85b3e0e9615d702770cc20cde16049d87165728fc",
     "ECC P-256, SHA-256, AES-128-CFB",
     "-----BEGIN PUBLIC KEY-----\n"
     "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYGIoa4dE+birgt/FKt6dq4/NeUMH\n"
     "dDkl0jGB+/rL964qgEsC3OWev+vZP/KBVbINNtSPDLBIhNwCmzVgBPjwkg==\n"
     "-----END PUBLIC KEY-----\n"},
};

static void keys_of_a_tpm_are_read_with_their_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        CLEAN_MANIFEST read;
        CLEAN_BYTES pem = {0};
        struct made_manifest m = {.len = strlen(real[i].area) / 2};
        char name[2 * SVSM_EK_NAME_MAX + 1];
        assert_true(hex_decode(m.data, m.len, real[i].area));
        must_read(&read, &m);
        hex_encode(name, read.ek.name, read.ek.name_len);
        assert_string_equal(name, real[i].name);
        assert_string_equal(read.ek.kind, real[i].kind);
        assert_null(read.ek.unfit);
        assert_false(read.all);
        assert_int_equal(svsm_ek_pem(&pem, &read.ek, NULL), 0);
        assert_memory_equal(pem.data, "-----BEGIN PUBLIC KEY-----\n", 27);
        if (real[i].pem) {
            assert_int_equal(pem.len, strlen(real[i].pem));
            assert_memory_equal(pem.data, real[i].pem, pem.len);
        }
    }
}

static void a_table_s_vtpm_is_the_same_as_alone(void **state)
{
    (void)state;
    TPMT_PUBLIC key;
    struct made_manifest ek, table;
    CLEAN_MANIFEST alone, among;
    made_rsa(&key);
    made_ek(&ek, &key);
    made_table(&table, &ek, 4);
    must_read(&alone, &ek);
    must_read(&among, &table);
    assert_true(among.all);
    assert_int_equal(among.services, 4);
    assert_true(view_equal(among.service[0].manifest, alone.bytes));
    assert_int_equal(among.service[3].manifest.len, 0); /* a service without a manifest of its own */
    assert_memory_equal(among.service[0].guid, made_vtpm_guid, 16);
    assert_int_equal(among.ek.name_len, alone.ek.name_len);
    assert_memory_equal(among.ek.name, alone.ek.name, alone.ek.name_len);
}

static void each_end_is_no_manifest_s(void **state)
{
    (void)state;
    TPMT_PUBLIC key;
    struct made_manifest ek, table;
    CLEAN_MANIFEST none;
    made_ecc(&key);
    made_ek(&ek, &key);
    made_table(&table, &ek, 3);
    for (size_t len = 0; len < ek.len; len++) {
        struct made_manifest cut = {.len = len};
        memcpy(cut.data, ek.data, len);
        must_refuse(&cut, "TPM's public key");
    }
    for (size_t len = 0; len < table.len; len++) {
        struct made_manifest cut = {.len = len};
        memcpy(cut.data, table.data, len);
        must_refuse(&cut, len < 24 ? "no table of services" : "says that it has");
    }
    ek.data[ek.len++] = 0;
    must_refuse(&ek, "1 bytes are behind");
    table.data[table.len++] = 0;
    must_refuse(&table, "says that it has");
    uint8_t *large = calloc(1, SVSM_MANIFEST_MAX + 1);
    assert_int_equal(svsm_manifest_read(&none, (struct view){large, SVSM_MANIFEST_MAX + 1}, NULL),
                     -COFRE_MALFORMED);
    free(large);
}

static void hostile_tables_are_refused(void **state)
{
    (void)state;
    TPMT_PUBLIC key;
    struct made_manifest ek, good, m;
    made_rsa(&key);
    made_ek(&ek, &key);
    made_table(&good, &ek, 3);
    const uint32_t first = le32(good.data + MADE_OFFSET_AT(0)), last = le32(good.data + MADE_OFFSET_AT(2)),
                   size = le32(good.data + MADE_SIZE_AT(2));
    assert_true(size == 8);
    struct {
        size_t at;
        uint32_t value;
        const char *because;
    } wrong[] = {
        {16, 0, "says that it has 0 bytes"},
        {16, UINT32_MAX, "says that it has 4294967295"},
        {20, UINT32_MAX, "says that it has 4294967295"},
        {20, 0x0aaaaaab, "says that it has 178956971"}, /* times 24 is 8 in 32 bits */
        {20, SVSM_SERVICES_MAX + 1, "says that it has 33"},
        {20, 32, "says that it has 32"}, /* more than its bytes hold */
        {MADE_OFFSET_AT(2), 0, "behind its head"},
        {MADE_OFFSET_AT(2), first - 1, "behind its head"},
        {MADE_OFFSET_AT(2), first, "lies over another"},
        {MADE_OFFSET_AT(2), first + 1, "lies over another"},
        {MADE_OFFSET_AT(2), last - 1, "lies over another"},
        {MADE_OFFSET_AT(2), last + 1, "not in the manifest"},
        {MADE_OFFSET_AT(2), (uint32_t)good.len, "not in the manifest"},
        {MADE_OFFSET_AT(2), UINT32_MAX, "not in the manifest"},
        {MADE_OFFSET_AT(2), UINT32_MAX - 7, "not in the manifest"}, /* and its size are 0 in 32 bits */
        {MADE_SIZE_AT(2), size + 1, "not in the manifest"},
        {MADE_SIZE_AT(2), UINT32_MAX, "not in the manifest"},
        {MADE_SIZE_AT(0), le32(good.data + MADE_SIZE_AT(0)) + 1, "lies over another"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        m = good;
        put_le32(m.data + wrong[i].at, wrong[i].value);
        must_refuse(&m, wrong[i].because);
    }
    m = good;
    memcpy(m.data + 48, m.data + 24, 16);
    must_refuse(&m, "c476f1eb-0123-45a5-9641-b4e7dde5bfe3 is there twice");
    m = good; /* the vTPM's part of it is shorter by a byte, which is nobody's */
    put_le32(m.data + MADE_SIZE_AT(0), le32(m.data + MADE_SIZE_AT(0)) - 1);
    must_refuse(&m, "cut off");
    m = good;
    m.data[first + 1] = 0x25;
    must_refuse(&m, "the vTPM's key: it is no TPM's public key");
}

static void as_many_services_as_there_may_be_are_read(void **state)
{
    (void)state;
    TPMT_PUBLIC key;
    struct made_manifest ek, table;
    CLEAN_MANIFEST read, none;
    made_rsa(&key);
    made_ek(&ek, &key);
    made_table(&table, &ek, SVSM_SERVICES_MAX);
    must_read(&read, &table);
    assert_int_equal(read.services, SVSM_SERVICES_MAX);
    made_table(&table, &ek, 0);
    must_read(&none, &table);
    assert_int_equal(none.services, 0);
    assert_null(none.ek.key);
    CLEAN_BYTES pem = {0};
    assert_int_equal(svsm_ek_pem(&pem, &none.ek, NULL), -COFRE_MALFORMED);
}

static void a_vtpm_of_a_table_may_have_no_manifest(void **state)
{
    (void)state;
    const struct made_manifest empty = {.len = 0};
    struct made_manifest table;
    CLEAN_MANIFEST read;
    made_table(&table, &empty, 1);
    must_read(&read, &table);
    assert_int_equal(read.services, 1);
    assert_null(read.ek.key);
}

static void unfit(const TPMT_PUBLIC *key, const char *because)
{
    CLEAN_MANIFEST read;
    struct made_manifest ek;
    made_ek(&ek, key);
    must_read(&read, &ek);
    assert_non_null(read.ek.unfit);
    if (!strstr(read.ek.unfit, because))
        fail_msg("\"%s\" does not say \"%s\"", read.ek.unfit, because);
}

static void keys_that_tie_nothing_are_told_from_those_that_do(void **state)
{
    (void)state;
    static const struct {
        TPMA_OBJECT without, with;
        const char *because;
    } wrong[] = {
        {TPMA_OBJECT_FIXEDTPM, 0, "other TPMs"},
        {TPMA_OBJECT_FIXEDPARENT, 0, "other TPMs"},
        {TPMA_OBJECT_SENSITIVEDATAORIGIN, 0, "not made by the TPM"},
        {TPMA_OBJECT_RESTRICTED, 0, "no restricted decryption key"},
        {TPMA_OBJECT_DECRYPT, 0, "no restricted decryption key"},
        {TPMA_OBJECT_DECRYPT, TPMA_OBJECT_SIGN_ENCRYPT, "no restricted decryption key"},
        {0, TPMA_OBJECT_SIGN_ENCRYPT, "no restricted decryption key"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        TPMT_PUBLIC rsa, ecc;
        made_rsa(&rsa);
        made_ecc(&ecc);
        rsa.objectAttributes = (rsa.objectAttributes & ~wrong[i].without) | wrong[i].with;
        ecc.objectAttributes = rsa.objectAttributes;
        unfit(&rsa, wrong[i].because);
        unfit(&ecc, wrong[i].because);
    }
    TPMT_PUBLIC key;
    made_rsa(&key);
    key.parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
    unfit(&key, "AES in CFB");
    made_ecc(&key);
    key.parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CBC;
    unfit(&key, "AES in CFB");
    made_ecc(&key);
    key.parameters.eccDetail.symmetric.keyBits.aes = 64;
    unfit(&key, "AES in CFB");
}

static void kinds(const TPMT_PUBLIC *key, const char *kind)
{
    CLEAN_MANIFEST read;
    struct made_manifest ek;
    made_ek(&ek, key);
    must_read(&read, &ek);
    assert_string_equal(read.ek.kind, kind);
    assert_null(read.ek.unfit);
}

static void other_templates_are_named(void **state)
{
    (void)state;
    TPMT_PUBLIC key;
    made_rsa(&key);
    key.nameAlg = TPM2_ALG_SHA384;
    key.parameters.rsaDetail.symmetric.keyBits.aes = 256;
    key.parameters.rsaDetail.keyBits = 3072;
    key.unique.rsa.size = 384;
    memset(key.unique.rsa.buffer, 0xf1, 384);
    kinds(&key, "RSA-3072, SHA-384, AES-256-CFB");
    made_ecc(&key);
    key.nameAlg = TPM2_ALG_SHA512;
    kinds(&key, "ECC P-256, SHA-512, AES-128-CFB");
}

static void refused(const TPMT_PUBLIC *key, const char *because)
{
    struct made_manifest ek;
    made_ek(&ek, key);
    must_refuse(&ek, because);
}

static void public_keys_that_are_none_are_refused(void **state)
{
    (void)state;
    TPMT_PUBLIC key;
    made_rsa(&key);
    key.parameters.rsaDetail.keyBits = 1024;
    key.unique.rsa.size = 128;
    refused(&key, "not one of RSA");
    made_rsa(&key);
    key.unique.rsa.size = 255;
    refused(&key, "not one of RSA");
    made_rsa(&key);
    key.unique.rsa.buffer[0] = 0x7f;
    refused(&key, "not one of RSA");
    made_rsa(&key);
    key.unique.rsa.buffer[255] ^= 1;
    refused(&key, "not one of RSA");
    made_rsa(&key);
    key.parameters.rsaDetail.exponent = 3;
    refused(&key, "not one of RSA");
    made_rsa(&key);
    key.nameAlg = TPM2_ALG_SHA1;
    refused(&key, "the hash 0x0004");
    made_rsa(&key);
    key.nameAlg = TPM2_ALG_NULL;
    refused(&key, "the hash 0x0010");
    made_ecc(&key);
    key.parameters.eccDetail.curveID = TPM2_ECC_NIST_P224;
    refused(&key, "P-256 and P-384");
    made_ecc(&key);
    key.unique.ecc.y.buffer[31] ^= 1;
    refused(&key, "no point of P-256");
    made_ecc(&key);
    key.unique.ecc.x.size = 33;
    refused(&key, "P-256 and P-384");
    made_ecc(&key);
    key.unique.ecc.x.size = key.unique.ecc.y.size = 0;
    refused(&key, "no point of P-256");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_a_tpm_are_read_with_their_names),
        cmocka_unit_test(a_table_s_vtpm_is_the_same_as_alone),
        cmocka_unit_test(each_end_is_no_manifest_s),
        cmocka_unit_test(hostile_tables_are_refused),
        cmocka_unit_test(as_many_services_as_there_may_be_are_read),
        cmocka_unit_test(a_vtpm_of_a_table_may_have_no_manifest),
        cmocka_unit_test(keys_that_tie_nothing_are_told_from_those_that_do),
        cmocka_unit_test(other_templates_are_named),
        cmocka_unit_test(public_keys_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
