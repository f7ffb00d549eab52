/*
 * Reference values: what somebody who built a guest says that its evidence will have. A value is a name, a version and some
 * fields of a report; evidence matches it where it has every one of them. Several values may have one name: they are alternatives.
 */
#ifndef COFRE_ATTEST_REFERENCE_H
#define COFRE_ATTEST_REFERENCE_H

#include <jansson.h>

#include "sev/product.h"
#include "vmm/base/bytes.h"

#define REFERENCE_NAME_MAX   64 /* bytes: letters, digits, '.', '_', '-', ':', '+' and spaces within */
#define REFERENCE_REASON_MAX 160
#define REFERENCE_FIELD_MAX  48

enum reference_tee { REFERENCE_SNP, REFERENCE_TDX, REFERENCE_TEES };

enum reference_field {
    REFERENCE_MEASUREMENT,
    REFERENCE_HOST_DATA,
    REFERENCE_ID_KEY,
    REFERENCE_AUTHOR_KEY,
    REFERENCE_FAMILY_ID,
    REFERENCE_IMAGE_ID,
    REFERENCE_GUEST_POLICY,
    REFERENCE_PLATFORM_INFO,
    REFERENCE_GUEST_SVN,
    REFERENCE_VMPL,
    REFERENCE_CURRENT_TCB,
    REFERENCE_REPORTED_TCB,
    REFERENCE_COMMITTED_TCB,
    REFERENCE_LAUNCH_TCB,
    REFERENCE_MRTD,
    REFERENCE_RTMR0,
    REFERENCE_RTMR1,
    REFERENCE_RTMR2,
    REFERENCE_RTMR3,
    REFERENCE_TD_ATTRIBUTES,
    REFERENCE_TEE_TCB_SVN,
    REFERENCE_FIELDS,
};

/* How two values of a field are compared. */
enum reference_order {
    REFERENCE_BITS,       /* equal, under the mask */
    REFERENCE_NUMBER,     /* little-endian; may be a minimum */
    REFERENCE_TCB,        /* TCB_VERSION; may be a minimum of each component */
    REFERENCE_COMPONENTS, /* bytes; may be a minimum of each */
};

struct reference_kind {
    const char *name; /* "measurement": as policies and claims have it */
    enum reference_tee tee;
    size_t size; /* bytes, in the order in which reports carry them */
    enum reference_order order;
};
extern const struct reference_kind reference_kinds[REFERENCE_FIELDS];
extern const char *const reference_tee_names[REFERENCE_TEES]; /* "snp" */

struct reference_datum {
    bool given, at_least;
    uint8_t value[REFERENCE_FIELD_MAX];
    uint8_t mask[REFERENCE_FIELD_MAX]; /* of BITS: which bits count; no bit of value outside of it */
};

/* Which key of the chip signs reports, of SNP. */
enum { REFERENCE_VCEK = 1, REFERENCE_VLEK = 2 };

struct reference {
    char name[REFERENCE_NAME_MAX + 1];
    uint64_t version;
    enum reference_tee tee;
    unsigned keys; /* of SNP: REFERENCE_VCEK, REFERENCE_VLEK */
    struct reference_datum field[REFERENCE_FIELDS];
    /* Seconds since 1970: valid from then on (0: always was), and until then, the end not included (INT64_MAX: no end). */
    int64_t from, until;
    int64_t retired; /* 0: not */
    char reason[REFERENCE_REASON_MAX + 1];
};

/* Zeroed is empty. */
struct references {
    struct reference *item;
    size_t count;
};
void references_free(struct references *all);
#define CLEAN_REFERENCES __attribute__((cleanup(references_free))) struct references
int references_append(struct references *all, const struct reference *one, struct cofre_err *err);

bool reference_name_is_valid(struct view name);
/* Whole field, all of its bits; value has the field's size. */
void reference_set(struct reference *r, enum reference_field field, const uint8_t *value);
/* Every value says what was launched: -COFRE_MALFORMED where one does not. */
int reference_check(const struct reference *r, struct cofre_err *err);

/* Whether a value is good at that time. */
enum reference_state { REFERENCE_GOOD, REFERENCE_RETIRED, REFERENCE_NOT_YET, REFERENCE_NO_LONGER };
enum reference_state reference_state(const struct reference *r, int64_t at);

/* Of the evidence that is being judged. */
struct reference_facts {
    enum reference_tee tee;
    enum snp_product product;
    unsigned key;                        /* of SNP */
    struct view field[REFERENCE_FIELDS]; /* those of the TEE */
};
/* False, and *differs (REFERENCE_FIELDS: the key that signed), where evidence is not what r says. */
bool reference_matches(const struct reference *r, const struct reference_facts *facts,
                       enum reference_field *differs);

/* {"measurement": {"value": HEX, "mask": HEX, "at_least": true}, ..., "keys": ["vcek"]}; NULL without memory. */
json_t *reference_fields_json(const struct reference *r);
/* Into r, whose TEE is said; -COFRE_USAGE names what is wrong. */
int reference_fields_read(struct reference *r, json_t *object, struct cofre_err *err);

#endif
