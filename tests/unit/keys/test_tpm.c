/*
 * A root that a TPM seals: who opens it and who does not, by which sentence, and what is left when the TPM fails in the middle of
 * a command. With swtpm; without it these tests skip.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keys/seal/pcr_policy.h"
#include "keys/seal/recovery.h"
#include "keys/seal/root_file.h"
#include "keys/seal/seal.h"
#include "keys/seal/stretch.h"
#include "keys/seal/tpm_object.h"
#include "tests/unit/keys/swtpm.h"
#include "vmm/base/file.h"

#define CHEAP SEAL_COST_MIN
#define WORDS "correct horse battery"
#define AUTH  "only at the machine 7"
/* SHA-256 of PCR 7 alone after it was extended once by zeros. */
#define EXTENDED "e2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9"
#ifndef TPM_ENCRYPTED
#define TPM_ENCRYPTED 1
#endif

struct room {
    struct swtpm tpm;
    char file[96], policies[96], sentence[1024];
    struct secret root;
    char recovery[RECOVERY_SIZE];
    EVP_PKEY *owner;
    struct seal_tpm_made made;
};

static struct view view(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

static int show(void *context, const char *recovery, struct cofre_err *err)
{
    (void)err;
    memcpy(context, recovery, RECOVERY_SIZE);
    return 0;
}

/* The owner's approval of the state that the machine is in, or would be in. */
static void approve(struct room *r, EVP_PKEY *owner, const uint8_t *digest)
{
    struct pcr_approval approval = {.pcrs = 1u << 7};
    struct pcr_policy policy = {0};
    if (digest) {
        memcpy(approval.digest, digest, PCR_DIGEST_SIZE);
    } else {
        CLEAN_TPM tpm;
        assert_int_equal(tpm_open(&tpm, r->tpm.device, (struct view){0}, 30000, NULL), 0);
        assert_int_equal(tpm_pcr_digest(approval.digest, &tpm, approval.pcrs, NULL), 0);
    }
    (void)pcr_policy_read(&policy, r->policies, NULL);
    assert_int_equal(pcr_approve(&approval, owner, NULL), 0);
    assert_int_equal(pcr_policy_add(&policy, &approval, NULL), 0);
    assert_int_equal(pcr_policy_write(&policy, r->policies, NULL), 0);
}

static int set_tpm(struct room *r, unsigned milliseconds, const char *password, struct cofre_err *err)
{
    const struct seal_secret by = {.kind = SEAL_PASSPHRASE, .text = view(WORDS)};
    const struct seal_tpm_wish wish = {.device = r->tpm.device,
                                       .authorisation = view(AUTH),
                                       .password = view(password),
                                       .owner = r->owner,
                                       .cost = CHEAP,
                                       .milliseconds = milliseconds};
    return seal_set_tpm(r->file, &by, &wish, &r->made, err);
}

static int make(void **state)
{
    static struct room r;
    struct cofre_err err = {""};
    r = (struct room){.owner = EVP_EC_gen("P-256")};
    if (!swtpm_is_there()) {
        *state = NULL;
        return 0;
    }
    swtpm_new(&r.tpm);
    (void)snprintf(r.file, sizeof r.file, "%s/root.json", r.tpm.dir);
    (void)snprintf(r.policies, sizeof r.policies, "%s/pcrs.json", r.tpm.dir);
    assert_int_equal(seal_make(r.file, view(WORDS), CHEAP, &r.root, show, r.recovery, NULL), 0);
    const int rc = set_tpm(&r, 0, "", &err);
    if (rc < 0)
        print_error("%s\n", err.text);
    approve(&r, r.owner, NULL);
    *state = &r;
    return rc;
}

static int clear(void **state)
{
    struct room *r = *state;
    if (!r)
        return 0;
    secret_free(&r->root);
    EVP_PKEY_free(r->owner);
    swtpm_free(&r->tpm);
    return 0;
}

static struct room *room(void **state)
{
    if (!*state) {
        print_message("# swtpm is not there\n");
        skip();
    }
    return *state;
}

static int unseal(const struct room *r, const char *auth, unsigned milliseconds, struct seal_counter *counter,
                  struct cofre_err *err)
{
    CLEAN_SECRET root = {0};
    const struct seal_secret by = {
        .kind = SEAL_TPM, .text = view(auth), .tpm = {r->tpm.device, r->policies, milliseconds}};
    int rc = seal_open_counted(r->file, &by, &root, counter, err);
    if (rc == 0)
        assert_memory_equal(root.data, r->root.data, KEY_ROOT_SIZE);
    else
        assert_null(root.data);
    return rc;
}

static void opens(const struct room *r)
{
    struct seal_counter counter;
    struct cofre_err err;
    if (unseal(r, AUTH, 0, &counter, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(&counter, &r->made.counter, sizeof counter);
}

/* The very sentence; %F, %P and %T of it are the names of the file, the policies and the TPM. */
static void is_sentence(struct room *r, const struct cofre_err *err, const char *form)
{
    char *to = r->sentence;
    for (const char *c = form; *c; c++)
        if (*c == '%') {
            const char *name = *++c == 'F' ? r->file : *c == 'P' ? r->policies : r->tpm.device;
            to = stpcpy(to, name);
        } else
            *to++ = *c;
    *to = 0;
    assert_string_equal(err->text, r->sentence);
}

static void refuses(struct room *r, const char *auth, int code, const char *form)
{
    struct seal_counter counter;
    struct cofre_err err;
    assert_int_equal(unseal(r, auth, 0, &counter, &err), -code);
    is_sentence(r, &err, form);
}

static void opens_again_and_after_a_restart(void **state)
{
    struct room *r = room(state);
    opens(r);
    opens(r);
    swtpm_restart(&r->tpm);
    opens(r);
    CLEAN_SECRET root = {0};
    const struct seal_secret by = {.kind = SEAL_PASSPHRASE, .text = view(WORDS)};
    assert_int_equal(seal_open(r->file, &by, &root, NULL), 0); /* the other slots are as they were */
}

static void tells_another_authorisation_value(void **state)
{
    struct room *r = room(state);
    refuses(r, AUTH "!", COFRE_NEGATIVE,
            "%F: the TPM %T says that the authorisation value is another (it was to unseal the root)");
    opens(r);
}

/* A state of the machine that nobody approved; the owner signs it, and nothing is sealed anew. */
static void takes_another_state_when_the_owner_signed_it(void **state)
{
    struct room *r = room(state);
    CLEAN_BYTES before = {0}, after = {0};
    assert_int_equal(file_read(&before, r->file, ROOT_FILE_MAX, NULL), 0);
    swtpm_extend(&r->tpm);
    refuses(r, AUTH, COFRE_NEGATIVE,
            "%F: the machine is in a state that %P does not approve: PCRs 7 of the TPM %T have the "
            "digest " EXTENDED);
    approve(r, r->owner, NULL);
    opens(r);
    swtpm_restart(&r->tpm);
    opens(r); /* the old one is good, too */
    assert_int_equal(file_read(&after, r->file, ROOT_FILE_MAX, NULL), 0);
    assert_true(view_equal(bytes_view(&before), bytes_view(&after)));
}

/* Before an update comes. */
static void takes_a_state_that_was_approved_beforehand(void **state)
{
    struct room *r = room(state);
    uint8_t digest[PCR_DIGEST_SIZE];
    assert_true(hex_decode(digest, sizeof digest, EXTENDED));
    approve(r, r->owner, digest);
    opens(r);
    swtpm_extend(&r->tpm);
    opens(r);
    swtpm_extend(&r->tpm);
    struct seal_counter counter;
    assert_int_equal(unseal(r, AUTH, 0, &counter, NULL), -COFRE_NEGATIVE);
}

static void takes_no_state_that_somebody_else_signed(void **state)
{
    struct room *r = room(state);
    EVP_PKEY *other = EVP_EC_gen("P-256");
    unlink(r->policies);
    approve(r, other, NULL);
    EVP_PKEY_free(other);
    refuses(r, AUTH, COFRE_NEGATIVE,
            "%F: %P: what it approves of this machine's state is not signed by the owner's key");
}

/* A signature for other PCRs with the same values. */
static void takes_no_signature_of_another_approval(void **state)
{
    struct room *r = room(state);
    struct pcr_policy policy;
    assert_int_equal(pcr_policy_read(&policy, r->policies, NULL), 0);
    policy.approved[0].pcrs = 1u << 8;
    assert_int_equal(pcr_policy_write(&policy, r->policies, NULL), 0);
    refuses(r, AUTH, COFRE_NEGATIVE,
            "%F: %P: what it approves of this machine's state is not signed by the owner's key");
}

static void recovers_when_the_tpm_was_cleared(void **state)
{
    struct room *r = room(state);
    CLEAN_SECRET root = {0};
    struct cofre_err err;
    swtpm_clear(&r->tpm);
    refuses(
        r, AUTH, COFRE_NEGATIVE,
        "%F: the TPM %T is not the one that sealed the slot \"tpm\", or was cleared since: give the root a "
        "new slot with the recovery passphrase");
    const struct seal_secret by = {.kind = SEAL_RECOVERY, .text = view(r->recovery)};
    const struct seal_tpm_wish wish = {
        .device = r->tpm.device, .authorisation = view(AUTH), .owner = r->owner, .cost = CHEAP};
    assert_int_equal(seal_open(r->file, &by, &root, NULL), 0);
    assert_memory_equal(root.data, r->root.data, KEY_ROOT_SIZE);
    if (seal_set_tpm(r->file, &by, &wish, &r->made, &err) < 0)
        fail_msg("%s", err.text);
    opens(r);
}

static void tells_that_there_is_no_tpm(void **state)
{
    struct room *r = room(state);
    char path[sizeof r->tpm.device];
    strcpy(path, r->tpm.device);
    (void)snprintf(r->tpm.device, sizeof r->tpm.device, "%s/none", r->tpm.dir);
    refuses(r, AUTH, COFRE_LACKING, "%F: the TPM %T cannot be opened: No such file or directory");
    strcpy(r->tpm.device, r->file);
    refuses(r, AUTH, COFRE_USAGE, "%F: the TPM %T is neither a device nor a socket");
    strcpy(r->tpm.device, path);
    opens(r);
}

static void opens_not_without_it(struct room *r)
{
    refuses(r, AUTH, COFRE_LACKING,
            "%F: the TPM %T makes no storage key without its owner's password, and keeps none at 0x81000001");
}

static void seals_with_the_owners_password(void **state)
{
    struct room *r = room(state);
    struct cofre_err err;
    swtpm_take_ownership(&r->tpm, "its owner's");
    swtpm_forget(&r->tpm);
    opens_not_without_it(r);
    assert_int_equal(set_tpm(r, 0, "another", &err), -COFRE_LACKING);
    is_sentence(r, &err,
                "the TPM %T makes no storage key without its owner's password, and keeps none at 0x81000001");
    assert_int_equal(set_tpm(r, 0, "its owner's", &err), 0);
    assert_false(swtpm_saw(&r->tpm, "its owner's", strlen("its owner's")));
    opens_not_without_it(r);
}

/* A storage key that the TPM keeps is used, whatever password its owner has; another key in its place is not. */
static void uses_the_storage_key_that_is_kept(void **state)
{
    struct room *r = room(state);
    swtpm_keep_key(&r->tpm, false);
    opens(r);
    swtpm_keep_key(&r->tpm, true);
    opens(r);
    swtpm_take_ownership(&r->tpm, "its owner's");
    opens(r);
}

/* Failures of the TPM in the middle: each command of what is done in turn has each fault. */

#define LIMIT 400 /* milliseconds; those that stay silent cost as much */

static const char *const faults[BUS_FAULTS] = {
    [BUS_SILENT] = "has not answered within 400 milliseconds",
    [BUS_DEAF] = "ended without an answer",
    [BUS_CUT] = "ended without an answer",
    [BUS_HALF] = "ended in the middle of an answer",
    [BUS_HALF_SILENT] = "has not answered within 400 milliseconds",
    [BUS_CLOSED] = "ended without an answer",
    [BUS_NONSENSE] = "gives an answer whose size is not what it says",
};

static bool is_silent(enum bus_fault fault)
{
    return fault == BUS_SILENT || fault == BUS_HALF_SILENT;
}

/* Most commands have one; what costs time is tried at the last. */
static bool is_tried(enum bus_fault fault, unsigned at, unsigned all)
{
    return is_silent(fault) ? at == all : (at + fault) % 6 == 0 && (fault != BUS_CLOSED || at < all);
}

static void says_what_failed(const struct room *r, const char *file, const struct cofre_err *err,
                             enum bus_fault fault)
{
    char sentence[512];
    (void)snprintf(sentence, sizeof sentence, "%s%sthe TPM %s %s (it was to ", file, *file ? ": " : "",
                   r->tpm.device, faults[fault]);
    if (strncmp(err->text, sentence, strlen(sentence)) != 0)
        fail_msg("%s\nis not: %s...", err->text, sentence);
}

static void unseals_after_each_failure(void **state)
{
    struct room *r = room(state);
    struct seal_counter counter;
    struct cofre_err err;
    unsigned tried = 0;
    swtpm_restart(&r->tpm); /* which stands for a resource manager: what was loaded is gone */
    swtpm_fault(&r->tpm, BUS_WHOLE, 0);
    opens(r);
    const unsigned all = swtpm_number(&r->tpm, TPM2_CC_Unseal); /* what comes then is cleaning up */
    for (enum bus_fault fault = BUS_SILENT; fault < BUS_FAULTS; fault++)
        for (unsigned at = 1; at <= all; at++) {
            if (!is_tried(fault, at, all))
                continue;
            swtpm_restart(&r->tpm);
            swtpm_fault(&r->tpm, fault, at);
            assert_int_equal(unseal(r, AUTH, is_silent(fault) ? LIMIT : 0, &counter, &err), -COFRE_LACKING);
            says_what_failed(r, r->file, &err, fault);
            tried++;
        }
    swtpm_restart(&r->tpm);
    swtpm_fault(&r->tpm, BUS_WHOLE, 0);
    opens(r);
    print_message("# %u failures at %u commands\n", tried, all);
}

static void is_sealed_or_as_before_after_each_failure(void **state)
{
    struct room *r = room(state);
    struct cofre_err err;
    unsigned failed = 0, done = 0;
    swtpm_fault(&r->tpm, BUS_WHOLE, 0);
    assert_int_equal(set_tpm(r, 0, "", &err), 0);
    const unsigned all = r->tpm.commands;
    for (unsigned at = 1; at <= all; at += 4) {
        CLEAN_BYTES before = {0}, after = {0};
        const struct seal_tpm_made made = r->made;
        assert_int_equal(file_read(&before, r->file, ROOT_FILE_MAX, NULL), 0);
        swtpm_fault(&r->tpm, at % 8 == 1 ? BUS_CUT : BUS_DEAF, at);
        const int rc = set_tpm(r, 0, "", &err);
        swtpm_restart(&r->tpm);
        swtpm_fault(&r->tpm, BUS_WHOLE, 0);
        assert_int_equal(file_read(&after, r->file, ROOT_FILE_MAX, NULL), 0);
        assert_int_equal(view_equal(bytes_view(&before), bytes_view(&after)), rc < 0);
        if (rc < 0) {
            assert_int_equal(rc, -COFRE_LACKING);
            says_what_failed(r, "", &err, at % 8 == 1 ? BUS_CUT : BUS_DEAF);
            r->made = made;
        }
        opens(r);
        failed += rc < 0;
        done += rc == 0;
    }
    assert_true(failed > 3 && done > 0);
    assert_int_equal(set_tpm(r, 0, "", &err), 0);
    opens(r);
    assert_int_equal(swtpm_indexes(&r->tpm), 1); /* no counter of an older slot is left */
}

/* The counter */

static uint64_t count(const struct room *r, bool up)
{
    uint64_t value;
    struct cofre_err err;
    const struct seal_tpm at = {.device = r->tpm.device};
    const int rc =
        (up ? seal_counter_advance : seal_counter_read)(&value, &at, &r->made.counter, r->root.data, &err);
    if (rc < 0)
        fail_msg("%s", err.text);
    return value;
}

static void counts_up_and_stays(void **state)
{
    struct room *r = room(state);
    const uint64_t first = r->made.counter.first;
    assert_int_equal(count(r, false), first);
    assert_int_equal(count(r, true), first + 1);
    assert_int_equal(count(r, true), first + 2);
    swtpm_restart(&r->tpm);
    assert_int_equal(count(r, false), first + 2);
    swtpm_undefine(&r->tpm, r->made.counter.index);
    assert_int_equal(set_tpm(r, 0, "", NULL), 0); /* another counter goes on from there */
    assert_true(r->made.counter.first > first + 2);
}

static void counts_once_or_not_at_all_when_it_fails(void **state)
{
    struct room *r = room(state);
    struct cofre_err err;
    uint64_t value;
    struct seal_tpm at = {.device = r->tpm.device};
    swtpm_fault(&r->tpm, BUS_WHOLE, 0);
    uint64_t before = count(r, true);
    const unsigned all = swtpm_number(&r->tpm, TPM2_CC_NV_Read);
    for (unsigned i = 1; i <= all; i++) {
        const enum bus_fault fault = i == all ? BUS_SILENT : i % 2 ? BUS_HALF : BUS_CUT;
        at.milliseconds = is_silent(fault) ? LIMIT : 0;
        swtpm_fault(&r->tpm, fault, i);
        assert_int_equal(seal_counter_advance(&value, &at, &r->made.counter, r->root.data, &err),
                         -COFRE_LACKING);
        says_what_failed(r, "", &err, fault);
        swtpm_restart(&r->tpm);
        swtpm_fault(&r->tpm, BUS_WHOLE, 0);
        value = count(r, false);
        assert_true(value == before || value == before + 1);
        before = value;
    }
}

static void belongs_to_its_root(void **state)
{
    struct room *r = room(state);
    struct cofre_err err;
    uint64_t value;
    char sentence[256];
    uint8_t other[KEY_ROOT_SIZE] = {1};
    const struct seal_tpm at = {.device = r->tpm.device};
    (void)snprintf(sentence, sizeof sentence, "the TPM %s has no counter of this root at 0x%08x any more",
                   r->tpm.device, r->made.counter.index);
    assert_int_equal(seal_counter_advance(&value, &at, &r->made.counter, other, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, sentence);
    assert_int_equal(count(r, false), r->made.counter.first);
    swtpm_undefine(&r->tpm, r->made.counter.index);
    assert_int_equal(seal_counter_read(&value, &at, &r->made.counter, r->root.data, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, sentence);
}

/* The bus: what is said over it while a root is sealed, unsealed and counted. Built with TPM_ENCRYPTED as 0 the same search finds what is
 * looked for (keys-tpm-leaky). */
static void shows_nothing_on_the_bus(void **state)
{
    struct room *r = room(state);
    struct root_file file;
    uint8_t auth[STRETCH_SIZE];
    swtpm_forget(&r->tpm);
    assert_int_equal(set_tpm(r, 0, "", NULL), 0);
    assert_int_equal(root_file_read(&file, r->file, NULL), 0);
    assert_int_equal(
        stretch(auth, view(AUTH), CHEAP, (struct view){file.tpm.salt, sizeof file.tpm.salt}, NULL), 0);
    assert_int_equal(swtpm_saw(&r->tpm, r->root.data, KEY_ROOT_SIZE), !TPM_ENCRYPTED);
    assert_int_equal(swtpm_saw(&r->tpm, auth, sizeof auth - 1), !TPM_ENCRYPTED);
    swtpm_forget(&r->tpm);
    opens(r);
    assert_true(swtpm_saw(&r->tpm, file.tpm.object.private.data, file.tpm.object.private.len));
    (void)count(r, true);
    assert_int_equal(swtpm_saw(&r->tpm, r->root.data, KEY_ROOT_SIZE), !TPM_ENCRYPTED);
    assert_int_equal(swtpm_saw(&r->tpm, r->made.counter.id, sizeof r->made.counter.id), !TPM_ENCRYPTED);
    assert_false(swtpm_saw(&r->tpm, auth, sizeof auth - 1)); /* it is proved, not sent */
    assert_false(swtpm_saw(&r->tpm, AUTH, strlen(AUTH)));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_nothing_on_the_bus),
        /* The others are about what is built for use. */
        TEST(opens_again_and_after_a_restart),
        TEST(tells_another_authorisation_value),
        TEST(takes_another_state_when_the_owner_signed_it),
        TEST(takes_a_state_that_was_approved_beforehand),
        TEST(takes_no_state_that_somebody_else_signed),
        TEST(takes_no_signature_of_another_approval),
        TEST(recovers_when_the_tpm_was_cleared),
        TEST(tells_that_there_is_no_tpm),
        TEST(seals_with_the_owners_password),
        TEST(uses_the_storage_key_that_is_kept),
        TEST(unseals_after_each_failure),
        TEST(is_sealed_or_as_before_after_each_failure),
        TEST(counts_up_and_stays),
        TEST(counts_once_or_not_at_all_when_it_fails),
        TEST(belongs_to_its_root),
    };
    return TPM_ENCRYPTED ? cmocka_run_group_tests(tests, NULL, NULL)
                         : _cmocka_run_group_tests("leaky", tests, 1, NULL, NULL);
}
