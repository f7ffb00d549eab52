/* How the members of a policy are read: tables of names and readers, for the sections of both TEEs. */
#ifndef COFRE_ATTEST_POLICY_READ_H
#define COFRE_ATTEST_POLICY_READ_H

#include <jansson.h>

#include "attest/policy.h"

/*
 * A member of an object: its name, how it is read, and what for. `where` is the member's path, for the sentence;
 * `to` is what the reader fills.
 */
struct member {
    const char *name;
    int (*read)(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err);
    size_t offset;  /* in the object's structure */
    uint64_t limit; /* bytes of a value, or the greatest number, or the count of an array that bits names */
    const struct policy_named_bit *bits;
};

/* "policy: WHERE REASON"; returns -COFRE_USAGE. */
int policy_wrong(const char *where, struct cofre_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The members of the table and no others; each fills its place from to on. */
int policy_read_object(const struct member *members, size_t count, json_t *object, const char *where,
                       void *to, struct cofre_err *err);
/* A list with at least one value, and not too many. */
int policy_check_list(json_t *value, const char *where, struct cofre_err *err);
int policy_list_append(struct policy_list *list, struct bytes *value, struct cofre_err *err);
/* Frees the lists that a table's members have filled. */
void policy_free_lists(const struct member *members, size_t count, void *from);

/* Readers; what to is: */
int policy_read_bit(const struct member *m, json_t *value, const char *where, void *to,
                    struct cofre_err *err);
/* an array of enum policy_bit, in the order of m->bits */
int policy_read_bits(const struct member *m, json_t *value, const char *where, void *to,
                     struct cofre_err *err);
int policy_read_number(const struct member *m, json_t *value, const char *where, void *to, /* uint32_t */
                       struct cofre_err *err);
int policy_read_mask(const struct member *m, json_t *value, const char *where, void *to, /* uint64_t */
                     struct cofre_err *err);
/* struct policy_list: one value, or a list of them */
int policy_read_hex_one(const struct member *m, json_t *value, const char *where, void *to,
                        struct cofre_err *err);
int policy_read_hex_list(const struct member *m, json_t *value, const char *where, void *to,
                         struct cofre_err *err);
/* Names of reference values, as attest/reference.h has them. */
int policy_read_names(const struct member *m, json_t *value, const char *where, void *to,
                      struct cofre_err *err);
/* Texts of at most m->limit characters. */
int policy_read_text_list(const struct member *m, json_t *value, const char *where, void *to,
                          struct cofre_err *err);

#define HEX_LIST(STRUCT, F, BYTES)                                                                           \
    {                                                                                                        \
#F, policy_read_hex_list, offsetof(STRUCT, F), BYTES, NULL                                           \
    }

/* The sections. A policy's lists are freed by the section's free, whatever was read. */
int policy_snp_read(struct policy_snp *to, json_t *value, const char *where, struct cofre_err *err);
void policy_snp_init(struct policy_snp *out);
void policy_snp_free(struct policy_snp *policy);
int policy_tdx_read(struct policy_tdx *to, json_t *value, const char *where, struct cofre_err *err);
void policy_tdx_init(struct policy_tdx *out);
void policy_tdx_free(struct policy_tdx *policy);

#endif
