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
    const struct seal_secret by = {.kind = SEAL_TPM,
                                   .text = view(auth),
                                   .tpm = {r->tpm.device, r->policies, milliseconds}};
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opens_again_and_after_a_restart),
        TEST(tells_another_authorisation_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
