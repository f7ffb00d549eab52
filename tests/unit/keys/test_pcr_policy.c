/* What an owner approves of: files as they are written and as they cannot be, and what is signed. The TPM's side is in test_tpm.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys/seal/pcr_policy.h"
#include "vmm/base/ecdsa.h"

static struct view view(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

static void reads_what_it_writes(void **state)
{
    char path[] = "/tmp/cofre-pcrs-XXXXXX";
    struct pcr_policy policy = {0}, again;
    (void)state;
    close(mkstemp(path));
    for (uint8_t i = 0; i < PCR_APPROVED_MAX; i++) {
        const struct pcr_approval a = {.pcrs = 0x400081u << i % 2, .digest = {i}, .signature = {1, i}};
        assert_int_equal(pcr_policy_add(&policy, &a, NULL), 0);
    }
    assert_int_equal(pcr_policy_write(&policy, path, NULL), 0);
    assert_int_equal(pcr_policy_read(&again, path, NULL), 0);
    assert_memory_equal(&policy, &again, sizeof policy);
    unlink(path);
}

/* The same state approved again has the newer signature; one more than there can be is refused. */
static void adds_each_state_once(void **state)
{
    struct pcr_policy policy = {0};
    struct cofre_err err;
    (void)state;
    for (uint8_t i = 0; i < 2 * PCR_APPROVED_MAX; i++) {
        const struct pcr_approval a = {.pcrs = 1, .digest = {i % PCR_APPROVED_MAX}, .signature = {i}};
        assert_int_equal(pcr_policy_add(&policy, &a, NULL), 0);
    }
    assert_int_equal(policy.count, PCR_APPROVED_MAX);
    assert_int_equal(policy.approved[3].signature[0], 3 + PCR_APPROVED_MAX);
    const struct pcr_approval other = {.pcrs = 2};
    assert_int_equal(pcr_policy_add(&policy, &other, &err), -COFRE_USAGE);
    assert_string_equal(err.text, "it has 16 approvals, and more it cannot: begin another");
}

/* SHA-256(32 zeros, TPM_CC_PolicyPCR, one selection of SHA-256 with three bytes, digest), by hashlib. */
static void signs_what_a_tpm_computes(void **state)
{
    static const char expected[] = "b9c9f5a1a41bf8bcfc590c5483aa729165a9f7d72a259159e84b5bdd7635cf1f";
    struct pcr_approval a = {.pcrs = 1u << 7 | 1u << 11, .digest = {1, 2, 3}};
    TPM2B_DIGEST policy;
    char hex[2 * PCR_DIGEST_SIZE + 1];
    uint8_t text[PCR_DIGEST_SIZE + 12];
    EVP_PKEY *owner = EVP_EC_gen("P-256"), *wrong = EVP_EC_gen("P-384");
    (void)state;
    assert_int_equal(pcr_approved_policy(&policy, &a, NULL), 0);
    hex_encode(hex, policy.buffer, policy.size);
    assert_string_equal(hex, expected);
    memcpy(text, policy.buffer, PCR_DIGEST_SIZE);
    memcpy(text + PCR_DIGEST_SIZE, "cofre root 1", 12);
    assert_int_equal(pcr_approve(&a, wrong, NULL), -COFRE_USAGE);
    assert_int_equal(pcr_approve(&a, owner, NULL), 0);
    assert_int_equal(ecdsa_verify(&ecdsa_p256, a.signature, owner, (struct view){text, sizeof text}, NULL),
                     0);
    EVP_PKEY_free(owner);
    EVP_PKEY_free(wrong);
}

static void reads_lists_of_pcrs(void **state)
{
    static const char *const wrong[] = {
        "", ",", "7,", ",7", "7,,11", "24", "-1", "+1", "7 11", "7,7", "x", "7x", "99999999999999999999"};
    uint32_t pcrs;
    char list[80];
    struct cofre_err err;
    (void)state;
    assert_int_equal(pcr_parse_list(&pcrs, "0,7,23", NULL), 0);
    assert_int_equal(pcrs, 1u | 1u << 7 | 1u << 23);
    pcr_print_list(list, 0xffffffu);
    assert_string_equal(list, "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (pcr_parse_list(&pcrs, wrong[i], &err) != -COFRE_USAGE)
            fail_msg("\"%s\" is taken", wrong[i]);
    assert_int_equal(pcr_parse_list(&pcrs, "7,7", &err), -COFRE_USAGE);
    assert_string_equal(err.text, "\"7,7\" is no list of PCRs, as 7,11 is: from 0 to 23, each once");
}

#define HEX32          "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"
#define STATE(pcrs)    "{\"pcrs\": [" pcrs "], \"digest\": \"" HEX32 "\", \"signature\": \"" HEX32 HEX32 "\"}"
#define POLICY(states) "{\"cofre_pcr_policy\": 1, \"approved\": [" states "]}"
#define FOUR(s)        s ", " s ", " s ", " s

static void refuses_what_a_file_cannot_say(void **state)
{
    static const struct {
        const char *text, *sentence;
    } files[] = {
        {"{}", "it is no policy of PCRs of version 1"},
        {"{\"cofre_pcr_policy\": 2, \"approved\": []}", "it is no policy of PCRs of version 1"},
        {POLICY(""), "approved: it is to be a list of 1 to 16"},
        {POLICY(FOUR(FOUR(STATE("7"))) ", " STATE("7")), "approved: it is to be a list of 1 to 16"},
        {POLICY("7"), "approved 1: it is to have pcrs, digest and signature alone"},
        {POLICY(STATE("")), "approved 1: pcrs: there are none"},
        {POLICY(STATE("24")), "approved 1: pcrs: they are to be numbers from 0 to 23, each once"},
        {POLICY(STATE("7") ", " STATE("-1")),
         "approved 2: pcrs: they are to be numbers from 0 to 23, each once"},
        {POLICY(STATE("7, 7")), "each once"},
        {POLICY(STATE("7.5")), "each once"},
        {POLICY("{\"pcrs\": [7], \"digest\": \"00\", \"signature\": \"" HEX32 HEX32 "\"}"),
         "digest and signature are to be 32 and 64 bytes in hexadecimal digits"},
    };
    struct pcr_policy policy;
    (void)state;
    assert_int_equal(pcr_policy_parse(&policy, view(POLICY(STATE("7"))), NULL), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct cofre_err err = {""};
        assert_int_equal(pcr_policy_parse(&policy, view(files[i].text), &err), -COFRE_MALFORMED);
        if (!strstr(err.text, files[i].sentence))
            fail_msg("%s\n%s\nis not: %s", files[i].text, err.text, files[i].sentence);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_writes),           cmocka_unit_test(adds_each_state_once),
        cmocka_unit_test(signs_what_a_tpm_computes),      cmocka_unit_test(reads_lists_of_pcrs),
        cmocka_unit_test(refuses_what_a_file_cannot_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
