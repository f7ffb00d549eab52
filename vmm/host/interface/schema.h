/*
 * Tables of JSON objects. One table checks what a client sent (the parser) and what came in a message (the decider), and becomes a
 * component of the OpenAPI document. What has passed is a jansson object with no member that is not in the table, every required
 * one there, and every value of its type and within its bounds.
 */
#ifndef COFRE_HOST_SCHEMA_H
#define COFRE_HOST_SCHEMA_H

#include "vmm/base/json.h"

#define SCHEMA_DEPTH_MAX 6 /* objects, lists and maps within each other */
#define SCHEMA_NAME_MAX  63

enum schema_type {
    SCHEMA_TEXT,     /* min to max bytes of UTF-8 without control characters, as check says */
    SCHEMA_UNSIGNED, /* min to max; max 0: JSON's greatest here, 2^63 - 1 */
    SCHEMA_BOOLEAN,
    SCHEMA_WORD,   /* one of words */
    SCHEMA_LIST,   /* min to max of each */
    SCHEMA_OBJECT, /* of object */
    SCHEMA_MAP,    /* min to max members of any name (SCHEMA_IS_NAME), each as each says */
    SCHEMA_ANY,    /* answers only: any value */
};

/* What a text is, beyond its length. Where max is 0 the check's own length holds. */
enum schema_check {
    SCHEMA_IS_TEXT,      /* one line */
    SCHEMA_IS_LINES,     /* may have line feeds and tabs */
    SCHEMA_IS_NAME,      /* [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? */
    SCHEMA_IS_DIGEST,    /* "sha256:" and 64 lower-case hexadecimal digits */
    SCHEMA_IS_IMAGE,     /* a digest, or a tag, which is a name */
    SCHEMA_IS_HEX,       /* lower-case hexadecimal digits of min to max bytes */
    SCHEMA_IS_CPUS,      /* "0-3,6": CPUs below 8192 in ascending order */
    SCHEMA_IS_BASE64,    /* canonical, of min to max bytes */
    SCHEMA_IS_TIME,      /* as time_format (vmm/base/timestamp.h) writes it */
    SCHEMA_IS_NUMBER,    /* decimal digits of a number up to 2^63 - 1, shortest form */
    SCHEMA_IS_BITS,      /* "0x" and 1 to 16 lower-case hexadecimal digits */
    SCHEMA_IS_OPERATION, /* an operation's name, or its noun's with a star: "guest.start", "guest.*", "*" */
    SCHEMA_CHECKS,
};

struct schema;

struct schema_shape {
    enum schema_type type;
    uint64_t min, max;
    enum schema_check check;
    const char *const *words;        /* ended by NULL */
    const struct schema *object;     /* of OBJECT */
    const struct schema_shape *each; /* of LIST and MAP */
};

struct schema_member {
    const char *name;
    struct schema_shape shape;
    bool required;
    const char *help; /* what it is, for the document */
};

struct schema {
    const char *name; /* of the document's component: "Guest" */
    const char *help;
    const struct schema_member *member; /* ended by one without a name */
    /* What no single member shows; NULL: nothing. The object has passed everything else. The sentence names members. */
    int (*rule)(const json_t *object, struct cofre_err *err);
};

/* 0, or -COFRE_MALFORMED with a sentence that names the member by its path: "disks[1].image: ...". */
int schema_check(const json_t *value, const struct schema *schema, struct cofre_err *err);
int schema_check_shape(const json_t *value, const struct schema_shape *shape, const char *name,
                       struct cofre_err *err);
/* Of a text alone: a path's part, a parameter. */
int schema_check_text(const char *text, enum schema_check check, const char *name, struct cofre_err *err);

/* A query's parameter is text: the JSON that its member's shape makes of it. *out is the caller's. Lists are not had so. */
int schema_from_text(json_t **out, const char *text, const struct schema_member *member,
                     struct cofre_err *err);
const struct schema_member *schema_find(const struct schema *schema, const char *name); /* NULL: none */

/* The shape as JSON Schema 2020-12, as OpenAPI 3.1 takes it; objects by reference to "#/components/schemas/NAME". NULL: no
 * memory. */
json_t *schema_document(const struct schema *schema);
json_t *schema_shape_document(const struct schema_shape *shape);

/* Getters for checked objects. What is not there, in object or object itself, is the value that is said. */
const char *member_text(const json_t *object, const char *name, const char *otherwise);
uint64_t member_unsigned(const json_t *object, const char *name, uint64_t otherwise);
bool member_boolean(const json_t *object, const char *name, bool otherwise);
const json_t *member_at(const json_t *object, const char *name); /* NULL: not there, or null */

#endif
