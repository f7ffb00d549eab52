#include "attest/policy_read.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/reference.h"

#define POLICY_BITS_MAX POLICY_SNP_GUEST_BITS /* of one object: the longest */

int policy_wrong(const char *where, struct cofre_err *err, const char *format, ...)
{
    char reason[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return cofre_fail(err, COFRE_USAGE, "policy: %s %s", where, reason);
}

static const struct member *member_named(const struct member *members, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    return NULL;
}

int policy_read_object(const struct member *members, size_t count, json_t *object, const char *where,
                       void *to, struct cofre_err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return policy_wrong(where, err, "is not an object");
    json_object_foreach(object, name, value)
    {
        char path[160];
        (void)snprintf(path, sizeof path, "%s%s%.64s", where, *where ? "." : "", name);
        for (char *p = path; *p; p++)
            if (!isprint((unsigned char)*p))
                *p = '?';
        const struct member *m = member_named(members, count, name);
        int rc = m ? m->read(m, value, path, (char *)to + m->offset, err)
                   : policy_wrong(path, err, "is not a member that a policy has");
        if (rc < 0)
            return rc;
    }
    return 0;
}

int policy_read_bit(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    (void)m;
    static const char *const words[] = {
        [POLICY_ANY] = "any", [POLICY_REQUIRED] = "required", [POLICY_FORBIDDEN] = "forbidden"};
    for (int i = 0; i < 3; i++)
        if (json_is_string(value) && strcmp(json_string_value(value), words[i]) == 0) {
            *(enum policy_bit *)to = (enum policy_bit)i;
            return 0;
        }
    return policy_wrong(where, err, "is not \"required\", \"forbidden\" or \"any\"");
}

int policy_read_bits(const struct member *m, json_t *value, const char *where, void *to,
                     struct cofre_err *err)
{
    struct member members[POLICY_BITS_MAX];
    for (size_t i = 0; i < m->limit; i++)
        members[i] = (struct member){
            .name = m->bits[i].name, .read = policy_read_bit, .offset = i * sizeof(enum policy_bit)};
    return policy_read_object(members, m->limit, value, where, to, err);
}

int policy_read_number(const struct member *m, json_t *value, const char *where, void *to,
                       struct cofre_err *err)
{
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    if (n < 0 || (uint64_t)n > m->limit)
        return policy_wrong(where, err, "is not a whole number from 0 to %" PRIu64, m->limit);
    *(uint32_t *)to = (uint32_t)n;
    return 0;
}

int policy_list_append(struct policy_list *list, struct bytes *value, struct cofre_err *err)
{
    struct bytes *grown = realloc(list->item, (list->count + 1) * sizeof *grown);
    if (!grown) {
        bytes_free(value);
        return cofre_fail(err, COFRE_FAILED, "no memory for the policy");
    }
    list->item = grown;
    list->item[list->count++] = *value;
    return 0;
}

/* A chip id may be given by its first 8 bytes alone, as Turin has it; limit 0: any length from 1 to 64. */
static bool length_fits(const struct member *m, size_t len)
{
    return m->limit ? len == m->limit || (strcmp(m->name, "chip_id") == 0 && len == 8) : len > 0;
}

static int read_hex(const struct member *m, json_t *value, const char *where, struct policy_list *to,
                    struct cofre_err *err)
{
    struct bytes bytes;
    if (!json_is_string(value))
        return policy_wrong(where, err, "is not a string of hexadecimal digits");
    if (hex_decode_some(&bytes, 64, json_string_value(value), NULL) < 0)
        return policy_wrong(where, err, "is not an even number of hexadecimal digits, at most 128");
    if (!length_fits(m, bytes.len)) {
        size_t len = bytes.len;
        bytes_free(&bytes);
        return m->limit ? policy_wrong(where, err, "has %zu bytes where %" PRIu64 " are due", len, m->limit)
                        : policy_wrong(where, err, "is empty");
    }
    if (strcmp(m->name, "chip_id") == 0 && bytes.len == 8) {
        struct bytes whole;
        int rc = bytes_alloc(&whole, 64, err);
        if (rc == 0)
            memcpy(whole.data, bytes.data, 8);
        bytes_free(&bytes);
        return rc < 0 ? rc : policy_list_append(to, &whole, err);
    }
    return policy_list_append(to, &bytes, err);
}

int policy_read_hex_one(const struct member *m, json_t *value, const char *where, void *to,
                        struct cofre_err *err)
{
    return read_hex(m, value, where, to, err);
}

int policy_check_list(json_t *value, const char *where, struct cofre_err *err)
{
    if (!json_is_array(value))
        return policy_wrong(where, err, "is not a list");
    if (json_array_size(value) == 0)
        return policy_wrong(where, err,
                            "is an empty list, which nothing could satisfy; leave the member out instead");
    return json_array_size(value) > POLICY_LIST_MAX
               ? policy_wrong(where, err, "has more than %d values", POLICY_LIST_MAX)
               : 0;
}

int policy_read_hex_list(const struct member *m, json_t *value, const char *where, void *to,
                         struct cofre_err *err)
{
    size_t i;
    json_t *item;
    int rc = policy_check_list(value, where, err);
    if (rc < 0)
        return rc;
    json_array_foreach(value, i, item)
    {
        char path[192];
        (void)snprintf(path, sizeof path, "%s[%zu]", where, i);
        if ((rc = read_hex(m, item, path, to, err)) < 0)
            return rc;
    }
    return 0;
}

/* A mask of up to 64 bits, most significant digit first. */
int policy_read_mask(const struct member *m, json_t *value, const char *where, void *to,
                     struct cofre_err *err)
{
    (void)m;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t len = strlen(text);
    if (len == 0 || len > 16 || strspn(text, "0123456789abcdefABCDEF") != len)
        return policy_wrong(where, err, "is not a string of 1 to 16 hexadecimal digits");
    *(uint64_t *)to = strtoull(text, NULL, 16);
    return 0;
}

int policy_read_text_list(const struct member *m, json_t *value, const char *where, void *to,
                          struct cofre_err *err)
{
    size_t i;
    json_t *item;
    int rc = policy_check_list(value, where, err);
    json_array_foreach(value, i, item)
    {
        const char *text = json_is_string(item) ? json_string_value(item) : "";
        struct bytes copy = {0};
        if (rc == 0 && (!*text || strlen(text) > m->limit))
            rc = policy_wrong(where, err, "has a value that is no text of 1 to %" PRIu64 " characters",
                              m->limit);
        if (rc == 0)
            rc = bytes_copy(&copy, (struct view){(const uint8_t *)text, strlen(text)}, err);
        if (rc == 0)
            rc = policy_list_append(to, &copy, err);
        if (rc < 0)
            break;
    }
    return rc;
}

int policy_read_names(const struct member *m, json_t *value, const char *where, void *to,
                      struct cofre_err *err)
{
    const struct policy_list *list = to;
    int rc = policy_read_text_list(m, value, where, to, err);
    for (size_t i = 0; rc == 0 && i < list->count; i++)
        if (!reference_name_is_valid(bytes_view(&list->item[i])))
            rc = policy_wrong(where, err, "has a value that is no name of a reference value");
    return rc;
}

static void list_free(struct policy_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        bytes_free(&list->item[i]);
    free(list->item);
    *list = (struct policy_list){0};
}

void policy_free_lists(const struct member *members, size_t count, void *from)
{
    for (size_t i = 0; i < count; i++)
        if (members[i].read == policy_read_hex_list || members[i].read == policy_read_hex_one ||
            members[i].read == policy_read_text_list || members[i].read == policy_read_names)
            list_free((struct policy_list *)((char *)from + members[i].offset));
}

bool policy_list_has(const struct policy_list *list, struct view value)
{
    for (size_t i = 0; i < list->count; i++)
        if (view_equal(bytes_view(&list->item[i]), value))
            return true;
    return false;
}
