/* Reference values by number, with the CoRIMs they came in. None is ever changed or deleted; one may be retired, once. */
#ifndef COFRE_ATTEST_STORE_REFERENCE_H
#define COFRE_ATTEST_STORE_REFERENCE_H

#include "attest/reference.h"
#include "attest/store/db.h"

/* Where values came from. */
struct reference_file {
    struct view digest; /* SHA-256 of it */
    struct view document;
    const char *id;     /* the CoRIM's */
    struct view signer; /* thumbprint of the key whose signature was verified; len 0: it is not signed */
    const char *issuer; /* whom its header names, or "" */
    int64_t imported;   /* seconds since 1970 */
    const char *importer;
};

struct stored_reference {
    int64_t number;
    struct reference value;
    struct reference_file file; /* without the document */
    const char *retirer;        /* "": it is not retired */
};
typedef int (*stored_reference_take)(void *context, const struct stored_reference *stored,
                                     struct cofre_err *err);

/* Within a transaction: the file and its values, whose numbers go one by one from the result on. -COFRE_NEGATIVE: it is there. */
int64_t stored_reference_add(struct db *db, const struct reference_file *file,
                             const struct references *values, struct cofre_err *err);
/* Values of that TEE and name, or all there are, in the order of their numbers; how many. */
int stored_reference_list(struct db *db, enum reference_tee tee, const char *name, stored_reference_take take,
                          void *context, struct cofre_err *err);
int stored_reference_list_all(struct db *db, stored_reference_take take, void *context,
                              struct cofre_err *err);
/* -COFRE_NEGATIVE: there is none. */
int stored_reference_find(struct db *db, int64_t number, stored_reference_take take, void *context,
                          struct cofre_err *err);
/* -COFRE_NEGATIVE: there is none that is not retired. */
int stored_reference_retire(struct db *db, int64_t number, int64_t at, const char *by, const char *reason,
                            struct cofre_err *err);
typedef int (*reference_document_take)(void *context, struct view document, struct cofre_err *err);
/* The file that the value came in, as it came. */
int stored_reference_document(struct db *db, int64_t number, reference_document_take take, void *context,
                              struct cofre_err *err);

#endif
