#include "vmm/cli/measure_corim.h"

#include <stdio.h>
#include <string.h>

#include "attest/corim/corim.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"
#include "vmm/cli/log.h"

int measure_corim_check(const struct measure_corim *c, struct cofre_err *err)
{
    const struct view name = {(const uint8_t *)c->name, c->name ? strlen(c->name) : 0};
    if (!c->file && (c->name || c->version || c->until || c->key || c->issuer))
        return cofre_fail(err, COFRE_USAGE,
                          "--corim is missing: the other --corim options say what is in it");
    if (!c->file)
        return 0;
    if (!c->name)
        return cofre_fail(err, COFRE_USAGE, "--corim-name is missing: policies name the value by it");
    if (!reference_name_is_valid(name))
        return cofre_fail(
            err, COFRE_USAGE,
            "--corim-name: a name has 1 to %d letters, digits, '.', '_', '-', ':', '+' and spaces "
            "within",
            REFERENCE_NAME_MAX);
    if (!c->key != !c->issuer)
        return cofre_fail(err, COFRE_USAGE, "--corim-key and --corim-issuer go together: who signs is named");
    if (c->issuer && (!*c->issuer || strlen(c->issuer) > CORIM_ENTITY_MAX))
        return cofre_fail(err, COFRE_USAGE, "--corim-issuer has 1 to %d bytes", CORIM_ENTITY_MAX);
    return 0;
}

/* RTMR3 is the running guest's to extend: as it is at first says nothing of a guest that is up. */
static void set_field(struct reference *r, const struct tee_measurement *m)
{
    static const struct {
        const char *name;
        enum reference_field field;
    } fields[] = {{"launch digest", REFERENCE_MEASUREMENT},
                  {"MRTD", REFERENCE_MRTD},
                  {"RTMR0", REFERENCE_RTMR0},
                  {"RTMR1", REFERENCE_RTMR1},
                  {"RTMR2", REFERENCE_RTMR2}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(m->name, fields[i].name) == 0)
            reference_set(r, fields[i].field, m->value);
}

static int fill(struct corim *out, struct reference *r, const struct measure_corim *c, struct cofre_err *err)
{
    r->tee = out->tee;
    r->keys = out->tee == REFERENCE_SNP ? REFERENCE_VCEK | REFERENCE_VLEK : 0;
    (void)snprintf(r->name, sizeof r->name, "%s", c->name);
    int rc = number_parse(&r->version, c->version ? c->version : "1", "--corim-version", 0, INT64_MAX, err);
    if (rc == 0 && c->until)
        rc = time_parse(&out->until, c->until, "--corim-until", err);
    if (rc < 0)
        return rc;
    (void)snprintf(out->id, sizeof out->id, "%s:%llu", r->name, (unsigned long long)r->version);
    if (c->issuer) {
        (void)snprintf(out->signer, sizeof out->signer, "%s", c->issuer);
        (void)snprintf(out->entity[0].name, sizeof out->entity[0].name, "%s", c->issuer);
        out->entity[0].roles = 1u << CORIM_ROLE_CREATOR | 1u << CORIM_ROLE_SIGNER;
        out->entities = 1;
    }
    return 0;
}

static int make(struct bytes *out, const struct corim *corim, const char *key_file, struct cofre_err *err)
{
    CLEAN(pkey) EVP_PKEY *key = NULL;
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    if (!key_file)
        return corim_write(out, corim, err);
    int rc = log_read_private_key(&key, kid, key_file, err);
    return rc < 0 ? rc : corim_sign(out, corim, key, err);
}

int measure_corim_write(const struct measure_corim *c, const char *tee, const struct tee_measurement *value,
                        int count, struct cofre_err *err)
{
    struct reference r = {0};
    CLEAN_BYTES file = {0};
    struct corim corim = {.until = INT64_MAX, .values = {&r, 1}};
    corim.tee = strcmp(tee, reference_tee_names[REFERENCE_SNP]) == 0 ? REFERENCE_SNP : REFERENCE_TDX;
    int rc = fill(&corim, &r, c, err);
    for (int i = 0; rc == 0 && i < count; i++)
        set_field(&r, &value[i]);
    if (rc == 0)
        rc = make(&file, &corim, c->key, err);
    return rc < 0 ? rc : file_write(c->file, bytes_view(&file), 0644, err);
}
