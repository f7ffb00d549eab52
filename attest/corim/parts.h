/* Between the files of this room: numbers of the formats, and readers and writers of a part each. */
#ifndef COFRE_ATTEST_CORIM_PARTS_H
#define COFRE_ATTEST_CORIM_PARTS_H

#include "attest/corim/corim.h"
#include "attest/cose/cbor.h"

#define CORIM_TAG          501
#define CORIM_TAG_COMID    506
#define CORIM_TAG_TIME     1
#define CORIM_TAG_URI      32
#define CORIM_TAG_UUID     37
#define CORIM_TAG_OID      111
#define CORIM_TAG_BYTES    560
#define CORIM_TAG_MASKED   563
#define CORIM_TAG_SVN      552
#define CORIM_TAG_MIN_SVN  553
#define CORIM_TAG_NUMERIC  60010 /* Intel's expressions: [operator, value] */
#define CORIM_OPERATOR_GE  2
#define CORIM_SHA256       1 /* Named Information registry */
#define CORIM_SHA384       7
#define CORIM_CONTENT_TYPE "application/rim+cbor"

enum { CORIM_ID, CORIM_TAGS, CORIM_DEPENDENT, CORIM_PROFILE, CORIM_VALIDITY, CORIM_ENTITIES_KEY };
enum { COMID_LANGUAGE, COMID_IDENTITY, COMID_ENTITIES, COMID_LINKED, COMID_TRIPLES };
enum { CORIM_HEADER_META = 8 };
enum {
    MVAL_SVN = 1,
    MVAL_DIGESTS = 2,
    MVAL_RAW = 4,
    MVAL_RAW_MASK = 5,
    MVAL_REGISTERS = 14,
    MVAL_INT = 15,
    MVAL_ATTRIBUTES = -82,
    MVAL_MRTEE = -83,
    MVAL_COMP_SVN = -125,
};

#define CORIM_AMD_PROFILE  "tag:amd.com,2025:snp-corim-profile"
#define CORIM_INTEL_VENDOR "Intel Corporation"
#define CORIM_INTEL_TD                                                                                       \
    "TDX TD" /* ours: the profile has classes for the module and for enclaves, and none for TDs */
extern const uint8_t corim_intel_profile[10]; /* 2.16.840.1.113741.1.16.1, contents octets */
extern const uint8_t corim_amd_classes[2][9]; /* 1.3.6.1.4.1.3704.3.1 (VCEK) and .3.2 (VLEK) */

/* Of AMD's profile: which measurement key a field has, and in which form. */
enum amd_form { AMD_SVN, AMD_RAW, AMD_DIGEST, AMD_INT };
struct amd_field {
    int64_t mkey;
    enum reference_field field;
    enum amd_form form;
};
#define AMD_FIELDS 14
extern const struct amd_field corim_amd_fields[AMD_FIELDS];

#define corim_no(err, ...) cofre_fail(err, COFRE_MALFORMED, __VA_ARGS__)

/* Every key of the map is an integer on the list. what: "the CoRIM". */
int corim_check_keys(const struct cose_item *map, const char *what, const int64_t *known, size_t count,
                     struct cofre_err *err);
#define CORIM_CHECK_KEYS(MAP, WHAT, ERR, ...)                                                                \
    corim_check_keys(MAP, WHAT, (const int64_t[]){__VA_ARGS__},                                              \
                     sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), ERR)
/* Text, or a tagged UUID as its text, of at most max bytes into out (max + 1). */
bool corim_text(char *out, size_t max, const struct cose_item *item);
/* {0 not-before, 1 not-after}: narrows from and until. */
int corim_read_validity(int64_t *from, int64_t *until, const struct cose_item *map, struct cofre_err *err);
/* Tag 111 on the contents octets, or, as AMD's profile has it, with the two octets of their header before them. */
bool corim_is_oid(const struct cose_item *item, struct view content);

/* forms.c: into a field, which is then given. */
int corim_read_digest(struct reference *r, enum reference_field field, const struct cose_item *list,
                      struct cofre_err *err);
/* mask: of the form with two members, or NULL. */
int corim_read_raw(struct reference *r, enum reference_field field, const struct cose_item *raw,
                   const struct cose_item *mask, struct cofre_err *err);
bool corim_read_svn(uint64_t *out, bool *at_least, const struct cose_item *svn);
int corim_set_number(struct reference *r, enum reference_field field, uint64_t number, bool at_least,
                     struct cofre_err *err);
void corim_put_raw(struct cose_writer *w, const struct reference_datum *d, size_t size);
void corim_put_digest(struct cose_writer *w, const struct reference_datum *d);

/* The measurements of one triple, of that profile. amd.c, intel.c */
int corim_read_amd(struct reference *r, const struct cose_item *list, struct cofre_err *err);
int corim_read_intel(struct reference *r, const struct cose_item *list, struct cofre_err *err);
void corim_put_amd(struct cose_writer *w, const struct reference *r);
void corim_put_intel(struct cose_writer *w, const struct reference *r);
/* One CoMID: its values are added. comid.c */
int corim_read_comid(struct corim *out, struct view comid, struct cofre_err *err);
/* As the bytes that tag 506 is on. */
int corim_write_comid(struct bytes *out, const struct reference *r, struct cofre_err *err);

#endif
