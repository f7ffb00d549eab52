/* CoRIMs, written and read again; and each reason for which one is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "attest/cose/sign1.h"
#include "tests/unit/corim/made.h"

static EVP_PKEY *key, *other;

static int setup(void **state)
{
    (void)state;
    key = EVP_EC_gen("P-384");
    other = EVP_EC_gen("P-256");
    return key && other ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return 0;
}

static void assert_same_values(const struct corim *read, const struct reference *values, size_t count)
{
    assert_int_equal(read->values.count, count);
    for (size_t i = 0; i < count; i++) {
        const struct reference *a = &read->values.item[i], *b = &values[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->version, b->version);
        assert_int_equal(a->keys, b->keys);
        assert_int_equal(a->from, b->from);
        assert_int_equal(a->until, b->until);
        for (int f = 0; f < REFERENCE_FIELDS; f++)
            if (memcmp(&a->field[f], &b->field[f], sizeof a->field[f]) != 0)
                fail_msg("value %zu: %s is not what was written", i, reference_kinds[f].name);
    }
}

static void what_was_written_is_read_again(void **state)
{
    (void)state;
    struct reference two[2] = {made_snp(), made_snp()}, td = made_tdx();
    strcpy(two[1].name, "database server");
    two[1].keys = REFERENCE_VLEK;
    struct corim in[] = {made_corim(two, 2), made_corim(&td, 1)};
    for (size_t i = 0; i < 2; i++) {
        CLEAN_CORIM out = {0};
        CLEAN_BYTES file = {0}, again = {0};
        struct cofre_err err = {""};
        assert_int_equal(corim_write(&file, &in[i], &err), 0);
        assert_true(corim_recognises(bytes_view(&file)));
        if (corim_read(&out, bytes_view(&file), &err) < 0)
            fail_msg("%s", err.text);
        assert_same_values(&out, in[i].values.item, in[i].values.count);
        assert_string_equal(out.id, in[i].id);
        assert_int_equal(out.entities, 1);
        assert_string_equal(out.entity[0].name, "A builder");
        assert_int_equal(out.entity[0].roles, 1u << CORIM_ROLE_CREATOR);
        assert_false(out.is_signed);
        assert_int_equal(corim_write(&again, &out, &err), 0);
        assert_true(view_equal(bytes_view(&file), bytes_view(&again)));
    }
}

static void give_key(struct cose_keys *keys, EVP_PKEY *k)
{
    struct cose_key *slot = &keys->key[keys->count++];
    EVP_PKEY_up_ref(k);
    *slot = (struct cose_key){.key = k, .alg = cose_alg_of_key(k), .kid_len = COSE_THUMBPRINT_SIZE};
    assert_int_equal(cose_key_thumbprint(slot->kid, k, NULL), 0);
}

static void a_signed_one_verifies_by_the_key_that_signed_it(void **state)
{
    (void)state;
    struct reference value = made_snp();
    struct corim in = made_corim(&value, 1);
    CLEAN_CORIM out = {0}, nobody = {0}, unverified = {0};
    CLEAN_COSE_KEYS good = {0}, bad = {0};
    CLEAN_BYTES file = {0};
    uint8_t signer[COSE_THUMBPRINT_SIZE];
    struct cofre_err err = {""};
    give_key(&good, other);
    give_key(&good, key);
    give_key(&bad, other);
    assert_int_equal(corim_sign(&file, &in, key, &err), 0);
    assert_true(corim_recognises(bytes_view(&file)));
    assert_int_equal(corim_verify(&out, signer, bytes_view(&file), &good, &err), 0);
    assert_memory_equal(signer, good.key[1].kid, sizeof signer);
    assert_true(out.is_signed);
    assert_string_equal(out.signer, "build.example");
    assert_same_values(&out, &value, 1);
    assert_int_equal(corim_read(&unverified, bytes_view(&file), &err), 0);
    assert_string_equal(unverified.signer, "build.example");

    assert_int_equal(corim_verify(&nobody, signer, bytes_view(&file), &bad, &err), -COFRE_NEGATIVE);
    file.data[file.len - 1] ^= 1;
    assert_int_equal(corim_verify(&nobody, signer, bytes_view(&file), &good, &err), -COFRE_NEGATIVE);
    file.data[file.len - 1] ^= 1;
    file.data[file.len - 200] ^= 1;
    assert_int_equal(corim_verify(&nobody, signer, bytes_view(&file), &good, &err), -COFRE_NEGATIVE);
}

static size_t hex(uint8_t *out, const char *text)
{
    const size_t len = strlen(text) / 2;
    assert_true(hex_decode(out, len, text));
    return len;
}

/* Bytes of a good file that become others, of the same number. */
struct change {
    const char *from, *to, *why;
};

static void change(struct bytes *file, const struct change *c)
{
    uint8_t from[64], to[64];
    const size_t len = hex(from, c->from);
    assert_int_equal(hex(to, c->to), len);
    uint8_t *at = memmem(file->data, file->len, from, len);
    if (!at)
        fail_msg("\"%s\": the file has no %s", c->why, c->from);
    memcpy(at, to, len);
}

static void assert_refused(const struct reference *value, const struct change *c)
{
    struct reference copy = *value;
    struct corim in = made_corim(&copy, 1), out;
    CLEAN_BYTES file = {0};
    struct cofre_err err = {""};
    assert_int_equal(corim_write(&file, &in, &err), 0);
    change(&file, c);
    int rc = corim_read(&out, bytes_view(&file), &err);
    if (rc != -COFRE_MALFORMED || !strstr(err.text, c->why))
        fail_msg("%s -> %s: %d, \"%s\" and not \"%s\"", c->from, c->to, rc, err.text, c->why);
}

static void refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    static const struct change cases[] = {
        {"d901f5", "d901f6", "it is no CoRIM (tag 501)"},
        {"03d82078", "02d82078", "the CoRIM has a member 2, which is not understood here"},
        {"03d82078", "06d82078", "the CoRIM has a member 6, which is not understood here"},
        {"616d642e636f6d", "616d652e636f6d", "its profile is neither AMD's for SEV-SNP nor Intel's"},
        {"04a200c11a", "04a202c11a", "the validity has a member 2"},
        {"01c11a", "01c21a", "is not tag 1 on whole seconds"},
        {"a20069412062", "a20369412062", "an entity has a member 3"},
        {"6c646572028101", "6c646572028121", "it has a role that is no number"},
        {"d901fa", "d901f9", "tag 0 is no CoMID, which alone is read here"},
        {"a201a2006377", "a205a2006377", "the tag has a member 5, which is not understood here"},
        {"a201a2006377", "a203a2006377", "the tag has a member 3, which is not understood here"},
        {"a2006377656201", "a2006377656202", "the tag's identity has a member 2"},
        {"63776562", "63772f62", "the tag's id is no name"},
        {"0103"
         "04a1"
         "0082",
         "0123"
         "04a1"
         "0082",
         "the tag's version is no number"},
        {"04a10082", "04a10182", "the map of triples has a member 1"},
        {"04a10082", "04a10a82", "the map of triples has a member 10"},
        {"82a100a100d86f4b", "82a101a100d86f4b", "an environment has a member 1"},
        {"82a100a100d86f4b", "82a100a102d86f4b", "a class of SNP guests has a member 2"},
        {"019c780301", "019c780303", "its class is none that guests have here"},
        {"06092b06", "06082b06", "its class is none that guests have here"},
        {"a200190281", "a202190281", "a measurement has a member 2"},
        {"a200190281", "a200190280", "a measurement of key 640 is not compared here"},
        {"a200190282", "a200190281", "measurement is there twice"},
        {"a20019028101a102", "a20019028101a109", "measurement: a digest has a member 9"},
        {"81820758301111", "81820858301111",
         "measurement has no digest of the kind that reports have (48 bytes)"},
        {"81820758301111", "81822758301111", "measurement has no digest of the kind"},
        {"a2000101a101d90229", "a2000101a101d90227", "guest_svn is not a security version"},
        {"a2000101a101d90229"
         "1a05050505",
         "a2000101a101d90228"
         "3a05050505",
         "guest_svn is not a security version"},
        {"a2000201a104d90233", "a2000201a104d90234",
         "guest_policy is neither bytes nor a value with its mask"},
        {"a2000301a104d90230", "a2000301a104d90232", "family_id is neither bytes nor a value with its mask"},
        {"a2000501a10f00", "a2000501a10f20", "vmpl is not a number"},
    };
    const struct reference value = made_snp();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(&value, &cases[i]);
}

static void refuses_a_td_that_it_does_not_understand(void **state)
{
    (void)state;
    static const struct change cases[] = {
        {"d86f4a60", "d86f4a61", "its profile is neither"},
        {"496e74656c", "496e74656d", "its class is none that guests have here"},
        {"0266544458", "0066544458", "a class of TDs has a member 0"},
        {"81a101a4", "81a102a4", "a TD's measurement has a member 2"},
        {"0ea3", "0ba3", "a TD's measurement has a member 11"},
        {"0ea300", "0ea304", "the list of RTMRs has a member 4"},
        {"3851d90233", "3851d90234", "td_attributes is neither bytes nor a value with its mask"},
        {"90d9ea6a8202", "90d9ea6a8203", "component 0 of tee_tcb_svn is no number of a byte, nor a minimum"},
        {"8202"
         "02d9ea6a",
         "8202"
         "22d9ea6a",
         "component 0 of tee_tcb_svn"},
    };
    const struct reference value = made_tdx();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(&value, &cases[i]);
}

static void refuses_a_value_that_does_not_say_what_was_launched(void **state)
{
    (void)state;
    struct reference value = made_snp();
    struct corim in = made_corim(&value, 1), out;
    CLEAN_BYTES file = {0};
    struct cofre_err err = {""};
    value.field[REFERENCE_MEASUREMENT].given = false;
    assert_int_equal(corim_write(&file, &in, &err), 0);
    assert_int_equal(corim_read(&out, bytes_view(&file), &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "\"web\": it has no launch digest"));
}

static void refuses_to_write_values_of_two_tees_or_none_or_too_many(void **state)
{
    (void)state;
    static struct reference many[CORIM_VALUES_MAX + 1];
    struct reference both[2] = {made_snp(), made_tdx()};
    struct cofre_err err = {""};
    struct bytes file;
    struct corim c = made_corim(both, 2);
    assert_int_equal(corim_write(&file, &c, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "values of one TEE"));
    c.values.count = 0;
    assert_int_equal(corim_write(&file, &c, &err), -COFRE_USAGE);
    c = made_corim(many, CORIM_VALUES_MAX + 1);
    assert_int_equal(corim_write(&file, &c, &err), -COFRE_USAGE);
    c = made_corim(both, 1);
    c.until = INT64_MAX;
    assert_int_equal(corim_write(&file, &c, &err), -COFRE_USAGE);
}

/* A header of our own making over a good payload. */
static void sign_with(struct bytes *out, const char *type, const char *issuer, const char *meta_signer,
                      int64_t exp)
{
    struct reference value = made_snp();
    struct corim in = made_corim(&value, 1);
    CLEAN_BYTES payload = {0}, header = {0}, meta = {0};
    CLEAN_COSE_WRITER w = {0}, m = {0};
    assert_int_equal(corim_write(&payload, &in, NULL), 0);
    cose_begin(&w);
    cose_put_int(&w, COSE_HEADER_ALG);
    cose_put_int(&w, -35);
    cose_put_int(&w, COSE_HEADER_CONTENT_TYPE);
    cose_put_text(&w, type);
    if (meta_signer) {
        cose_begin(&m);
        cose_put_int(&m, 0);
        cose_begin(&m);
        cose_put_int(&m, 0);
        cose_put_text(&m, meta_signer);
        cose_end_map(&m);
        cose_end_map(&m);
        assert_int_equal(cose_take(&meta, &m, NULL), 0);
        cose_put_int(&w, 8);
        cose_put_bytes(&w, bytes_view(&meta));
    }
    if (issuer) {
        cose_put_int(&w, COSE_HEADER_CWT_CLAIMS);
        cose_begin(&w);
        cose_put_int(&w, 1);
        cose_put_text(&w, issuer);
        cose_put_int(&w, 4);
        cose_put_int(&w, exp);
        cose_end_map(&w);
    }
    cose_end_map(&w);
    assert_int_equal(cose_take(&header, &w, NULL), 0);
    const struct cose_to_sign to = {.protected = bytes_view(&header), .payload = bytes_view(&payload)};
    assert_int_equal(cose_sign1_sign(out, &to, key, NULL), 0);
}

static void a_signed_header_has_to_name_one_signer(void **state)
{
    (void)state;
    static const struct {
        const char *type, *issuer, *meta, *why;
    } cases[] = {
        {"application/rim+cbor", "a", "a", NULL},
        {"application/rim+cbor", NULL, "a", NULL},
        {"application/rim+cbor", "a", "b", "names two signers that differ"},
        {"application/rim+cbor", NULL, NULL, "nobody is named"},
        {"application/cbor", "a", NULL, "its content type is not application/rim+cbor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_BYTES file = {0};
        CLEAN_CORIM out = {0};
        struct cofre_err err = {""};
        sign_with(&file, cases[i].type, cases[i].issuer, cases[i].meta, 1800000000);
        int rc = corim_read(&out, bytes_view(&file), &err);
        assert_int_equal(rc, cases[i].why ? -COFRE_MALFORMED : 0);
        if (cases[i].why)
            assert_non_null(strstr(err.text, cases[i].why));
    }
}

static void a_value_is_valid_no_longer_than_its_signature(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0};
    CLEAN_CORIM out = {0};
    sign_with(&file, "application/rim+cbor", "a", NULL, 1800000000);
    assert_int_equal(corim_read(&out, bytes_view(&file), NULL), 0);
    assert_int_equal(out.values.item[0].until, 1800000000);
    assert_int_equal(out.values.item[0].from, 1700000000);
}

static void oids_are_read_with_and_without_their_header(void **state)
{
    (void)state;
    static const uint8_t with[] = {0xd8, 0x6f, 0x4b, 0x06, 0x09};
    struct reference value = made_snp();
    value.keys = REFERENCE_VLEK;
    struct corim in = made_corim(&value, 1);
    CLEAN_BYTES file = {0}, shorter = {0};
    CLEAN_CORIM out = {0};
    assert_int_equal(corim_write(&file, &in, NULL), 0);
    uint8_t *at = memmem(file.data, file.len, with, sizeof with);
    assert_non_null(at);
    /* The two bytes go, and the lengths of what is around them say so. */
    static const uint8_t comid[] = {0xd9, 0x01, 0xfa, 0x59};
    uint8_t *length = memmem(file.data, file.len, comid, sizeof comid) + sizeof comid;
    const unsigned size = (unsigned)length[0] << 8 | length[1];
    length[0] = (uint8_t)((size - 2) >> 8);
    length[1] = (uint8_t)(size - 2);
    at[2] = 0x49;
    memmove(at + 3, at + 5, (size_t)(file.data + file.len - at) - 5);
    assert_int_equal(bytes_copy(&shorter, (struct view){file.data, file.len - 2}, NULL), 0);
    struct cofre_err err = {""};
    if (corim_read(&out, bytes_view(&shorter), &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(out.values.item[0].keys, REFERENCE_VLEK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_again),
        cmocka_unit_test(a_signed_one_verifies_by_the_key_that_signed_it),
        cmocka_unit_test(refuses_what_it_does_not_understand),
        cmocka_unit_test(refuses_a_td_that_it_does_not_understand),
        cmocka_unit_test(refuses_a_value_that_does_not_say_what_was_launched),
        cmocka_unit_test(refuses_to_write_values_of_two_tees_or_none_or_too_many),
        cmocka_unit_test(a_signed_header_has_to_name_one_signer),
        cmocka_unit_test(a_value_is_valid_no_longer_than_its_signature),
        cmocka_unit_test(oids_are_read_with_and_without_their_header),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
