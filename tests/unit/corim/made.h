/* CoRIMs of either profile with every form that is written. */
#ifndef TESTS_UNIT_CORIM_MADE_H
#define TESTS_UNIT_CORIM_MADE_H

#include <string.h>

#include "attest/corim/corim.h"

static inline void made_field(struct reference *r, enum reference_field field, int fill)
{
    uint8_t value[REFERENCE_FIELD_MAX];
    memset(value, fill, sizeof value);
    reference_set(r, field, value);
}

static inline struct reference made_snp(void)
{
    struct reference r = {
        .name = "web", .version = 3, .tee = REFERENCE_SNP, .keys = REFERENCE_VCEK | REFERENCE_VLEK};
    made_field(&r, REFERENCE_MEASUREMENT, 0x11);
    made_field(&r, REFERENCE_HOST_DATA, 0x22);
    made_field(&r, REFERENCE_ID_KEY, 0x33);
    made_field(&r, REFERENCE_FAMILY_ID, 0x44);
    made_field(&r, REFERENCE_GUEST_POLICY, 0x03);
    memset(r.field[REFERENCE_GUEST_POLICY].mask, 0x0f, 8);
    made_field(&r, REFERENCE_GUEST_SVN, 0x05);
    r.field[REFERENCE_GUEST_SVN].at_least = true;
    made_field(&r, REFERENCE_VMPL, 0);
    made_field(&r, REFERENCE_REPORTED_TCB, 0xdb);
    made_field(&r, REFERENCE_LAUNCH_TCB, 0x07);
    r.field[REFERENCE_LAUNCH_TCB].at_least = true;
    return r;
}

static inline struct reference made_tdx(void)
{
    struct reference r = {.name = "web", .version = 4, .tee = REFERENCE_TDX};
    for (int i = REFERENCE_MRTD; i <= REFERENCE_RTMR2; i++)
        made_field(&r, (enum reference_field)i, 0x50 + i);
    made_field(&r, REFERENCE_TD_ATTRIBUTES, 0);
    memset(r.field[REFERENCE_TD_ATTRIBUTES].mask, 0x01, 8);
    made_field(&r, REFERENCE_TEE_TCB_SVN, 0x02);
    r.field[REFERENCE_TEE_TCB_SVN].at_least = true;
    return r;
}

/* Of values whose items are the caller's. */
static inline struct corim made_corim(struct reference *values, size_t count)
{
    struct corim c = {.id = "https://build.example/web",
                      .tee = values->tee,
                      .from = 1700000000,
                      .until = 1900000000,
                      .entities = 1,
                      .values = {values, count},
                      .signer = "build.example"};
    strcpy(c.entity[0].name, "A builder");
    c.entity[0].roles = 1u << CORIM_ROLE_CREATOR;
    for (size_t i = 0; i < count; i++) {
        values[i].from = c.from;
        values[i].until = c.until;
    }
    return c;
}

#endif
