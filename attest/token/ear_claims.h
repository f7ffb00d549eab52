/* The claims of a result, by name (JSON) and by key (CBOR): data, which both serialisations go through. */
#ifndef COFRE_ATTEST_TOKEN_EAR_CLAIMS_H
#define COFRE_ATTEST_TOKEN_EAR_CLAIMS_H

#include <stddef.h>

#include "attest/token/ear.h"

enum ear_kind {
    EAR_TEXT,    /* char[EAR_TEXT_SIZE]; there where it is not empty */
    EAR_INTEGER, /* int64_t from 0 on; there where it is not 0 */
    EAR_FLAG,    /* bool */
    EAR_BYTES,   /* struct ear_bytes of min bytes or more; base64url in JSON */
    EAR_TEXTS,   /* json_t *, a list of texts with one at least */
    EAR_STATUS,  /* int64_t; a word in JSON */
    EAR_VECTOR,  /* struct ear_vector */
    EAR_GROUP,   /* claims of the same structure, in a map of their own */
};

struct ear_claim {
    const char *name; /* NULL ends a table */
    int64_t key;
    enum ear_kind kind;
    size_t offset; /* in the structure that the table is of */
    size_t min;    /* of BYTES */
    bool required;
    const struct ear_claim *group;
};

extern const struct ear_claim ear_token_claims[];  /* of a struct ear, but the two below */
extern const struct ear_claim ear_submod_claims[]; /* of a struct ear_submod */
#define EAR_PROFILE_NAME "eat_profile"
#define EAR_PROFILE_KEY  265
#define EAR_SUBMODS_NAME "submods"
#define EAR_SUBMODS_KEY  266

#define EAR_TEXTS_MAX 128 /* of one list */

/* A claim's place. */
static inline void *ear_claim_at(const void *of, const struct ear_claim *claim)
{
    return (uint8_t *)(uintptr_t)of + claim->offset;
}
/* There is something to write; of a group: in it. */
bool ear_claim_is_there(const void *of, const struct ear_claim *claim);

/* What readers of both serialisations do with what they found. -COFRE_MALFORMED names the claim. */
int ear_take_text(void *of, const struct ear_claim *claim, struct view text, struct cofre_err *err);
int ear_take_integer(void *of, const struct ear_claim *claim, int64_t value, struct cofre_err *err);
int ear_take_bytes(void *of, const struct ear_claim *claim, struct view bytes, struct cofre_err *err);
int ear_take_texts_item(void *of, const struct ear_claim *claim, struct view text, struct cofre_err *err);
int ear_take_status(void *of, const struct ear_claim *claim, int64_t value, struct cofre_err *err);
int ear_take_member(struct ear_vector *v, int member, int64_t value, struct cofre_err *err);
int ear_is_not(const struct ear_claim *claim, const char *what, struct cofre_err *err);

/* After all is read: a status that is better than what it sums up is refused. */
int ear_check_statuses(const struct ear *ear, struct cofre_err *err);

#endif
