/* How the tables of schemas_*.c are written. */
#ifndef COFRE_HOST_SCHEMAS_PARTS_H
#define COFRE_HOST_SCHEMAS_PARTS_H

#include "vmm/host/interface/schemas.h"

#define TEXT(least, most)                                                                                    \
    {                                                                                                        \
        .type = SCHEMA_TEXT, .min = (least), .max = (most), .check = SCHEMA_IS_TEXT                          \
    }
#define CHECKED(is)                                                                                          \
    {                                                                                                        \
        .type = SCHEMA_TEXT, .check = (is)                                                                   \
    }
#define NAME   CHECKED(SCHEMA_IS_NAME)
#define DIGEST CHECKED(SCHEMA_IS_DIGEST)
#define BITS   CHECKED(SCHEMA_IS_BITS)
#define TIME   CHECKED(SCHEMA_IS_TIME)
/* Digits of so many bytes. */
#define HEX(least, most)                                                                                     \
    {                                                                                                        \
        .type = SCHEMA_TEXT, .min = (least), .max = (most), .check = SCHEMA_IS_HEX                           \
    }
#define BASE64(least, most)                                                                                  \
    {                                                                                                        \
        .type = SCHEMA_TEXT, .min = (least), .max = (most), .check = SCHEMA_IS_BASE64                        \
    }
#define NUMBER(least, most)                                                                                  \
    {                                                                                                        \
        .type = SCHEMA_UNSIGNED, .min = (least), .max = (most)                                               \
    }
#define BOOLEAN                                                                                              \
    {                                                                                                        \
        .type = SCHEMA_BOOLEAN                                                                               \
    }
#define ANY                                                                                                  \
    {                                                                                                        \
        .type = SCHEMA_ANY                                                                                   \
    }
#define WORD(list)                                                                                           \
    {                                                                                                        \
        .type = SCHEMA_WORD, .words = (list)                                                                 \
    }
#define OBJECT(is)                                                                                           \
    {                                                                                                        \
        .type = SCHEMA_OBJECT, .object = &(is)                                                               \
    }
#define LIST(least, most, of)                                                                                \
    {                                                                                                        \
        .type = SCHEMA_LIST, .min = (least), .max = (most), .each = &(of)                                    \
    }
#define MAP(most, of)                                                                                        \
    {                                                                                                        \
        .type = SCHEMA_MAP, .max = (most), .each = &(of)                                                     \
    }
#define LABELS MAP(LABELS_MAX, schema_label_shape)
#define END                                                                                                  \
    {                                                                                                        \
        0                                                                                                    \
    }

extern const struct schema_shape schema_label_shape, schema_any_shape;

#endif
