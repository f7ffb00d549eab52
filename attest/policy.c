#include "attest/policy.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/abi.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

const struct policy_named_bit policy_snp_guest_bits[POLICY_SNP_GUEST_BITS] = {
    {"debug", SNP_POLICY_DEBUG, POLICY_FORBIDDEN},
    {"migrate_ma", SNP_POLICY_MIGRATE_MA, POLICY_FORBIDDEN},
    {"smt", SNP_POLICY_SMT, POLICY_ANY},
    {"single_socket", SNP_POLICY_SINGLE_SOCKET, POLICY_ANY},
    {"cxl", SNP_POLICY_CXL_ALLOW, POLICY_ANY},
    {"aes_256_xts", SNP_POLICY_MEM_AES_256_XTS, POLICY_ANY},
    {"rapl_disable", SNP_POLICY_RAPL_DIS, POLICY_ANY},
    {"ciphertext_hiding", SNP_POLICY_CIPHERTEXT_HIDING, POLICY_ANY},
    {"page_swap_disable", SNP_POLICY_PAGE_SWAP_DISABLE, POLICY_ANY},
};

const struct policy_named_bit policy_snp_platform_bits[POLICY_SNP_PLATFORM_BITS] = {
    {"smt", SNP_PLATFORM_SMT_EN, POLICY_ANY},
    {"tsme", SNP_PLATFORM_TSME_EN, POLICY_ANY},
    {"ecc", SNP_PLATFORM_ECC_EN, POLICY_ANY},
    {"rapl_disabled", SNP_PLATFORM_RAPL_DIS, POLICY_ANY},
    {"ciphertext_hiding", SNP_PLATFORM_CIPHERTEXT_HIDING, POLICY_ANY},
    {"alias_check", SNP_PLATFORM_ALIAS_CHECK, POLICY_ANY},
    {"iommu_write_safe", SNP_PLATFORM_IOMMU_WRITE_SAFE, POLICY_ANY},
    {"tio", SNP_PLATFORM_TIO_EN, POLICY_ANY},
};

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

static int wrong(const char *where, struct cofre_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int wrong(const char *where, struct cofre_err *err, const char *format, ...)
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

static int read_object(const struct member *members, size_t count, json_t *object, const char *where,
                       void *to, struct cofre_err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return wrong(where, err, "is not an object");
    json_object_foreach(object, name, value)
    {
        char path[160];
        (void)snprintf(path, sizeof path, "%s%s%.64s", where, *where ? "." : "", name);
        for (char *p = path; *p; p++)
            if (!isprint((unsigned char)*p))
                *p = '?';
        const struct member *m = member_named(members, count, name);
        int rc = m ? m->read(m, value, path, (char *)to + m->offset, err)
                   : wrong(path, err, "is not a member that a policy has");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_bit(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    (void)m;
    static const char *const words[] = {
        [POLICY_ANY] = "any", [POLICY_REQUIRED] = "required", [POLICY_FORBIDDEN] = "forbidden"};
    for (int i = 0; i < 3; i++)
        if (json_is_string(value) && strcmp(json_string_value(value), words[i]) == 0) {
            *(enum policy_bit *)to = (enum policy_bit)i;
            return 0;
        }
    return wrong(where, err, "is not \"required\", \"forbidden\" or \"any\"");
}

static int read_bits(const struct member *m, json_t *value, const char *where, void *to,
                     struct cofre_err *err)
{
    struct member members[POLICY_SNP_GUEST_BITS];
    for (size_t i = 0; i < m->limit; i++)
        members[i] =
            (struct member){.name = m->bits[i].name, .read = read_bit, .offset = i * sizeof(enum policy_bit)};
    return read_object(members, m->limit, value, where, to, err);
}

static int read_number(const struct member *m, json_t *value, const char *where, void *to,
                       struct cofre_err *err)
{
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    if (n < 0 || (uint64_t)n > m->limit)
        return wrong(where, err, "is not a whole number from 0 to %" PRIu64, m->limit);
    *(uint32_t *)to = (uint32_t)n;
    return 0;
}

static int read_svn(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    uint32_t n = 0;
    int rc = read_number(m, value, where, &n, err);
    *(uint8_t *)to = (uint8_t)n;
    return rc;
}

static int list_append(struct policy_list *list, struct bytes *value, struct cofre_err *err)
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
        return wrong(where, err, "is not a string of hexadecimal digits");
    if (hex_decode_some(&bytes, 64, json_string_value(value), NULL) < 0)
        return wrong(where, err, "is not an even number of hexadecimal digits, at most 128");
    if (!length_fits(m, bytes.len)) {
        size_t len = bytes.len;
        bytes_free(&bytes);
        return m->limit ? wrong(where, err, "has %zu bytes where %" PRIu64 " are due", len, m->limit)
                        : wrong(where, err, "is empty");
    }
    if (strcmp(m->name, "chip_id") == 0 && bytes.len == 8) {
        struct bytes whole;
        int rc = bytes_alloc(&whole, 64, err);
        if (rc == 0)
            memcpy(whole.data, bytes.data, 8);
        bytes_free(&bytes);
        return rc < 0 ? rc : list_append(to, &whole, err);
    }
    return list_append(to, &bytes, err);
}

static int read_hex_one(const struct member *m, json_t *value, const char *where, void *to,
                        struct cofre_err *err)
{
    return read_hex(m, value, where, to, err);
}

static int check_list(json_t *value, const char *where, struct cofre_err *err)
{
    if (!json_is_array(value))
        return wrong(where, err, "is not a list");
    if (json_array_size(value) == 0)
        return wrong(where, err,
                     "is an empty list, which nothing could satisfy; leave the member out instead");
    return json_array_size(value) > POLICY_LIST_MAX
               ? wrong(where, err, "has more than %d values", POLICY_LIST_MAX)
               : 0;
}

static int read_hex_list(const struct member *m, json_t *value, const char *where, void *to,
                         struct cofre_err *err)
{
    size_t i;
    json_t *item;
    int rc = check_list(value, where, err);
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
static int read_mask(const struct member *m, json_t *value, const char *where, void *to,
                     struct cofre_err *err)
{
    (void)m;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t len = strlen(text);
    if (len == 0 || len > 16 || strspn(text, "0123456789abcdefABCDEF") != len)
        return wrong(where, err, "is not a string of 1 to 16 hexadecimal digits");
    *(uint64_t *)to = strtoull(text, NULL, 16);
    return 0;
}

static int read_abi(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    (void)m;
    unsigned major, minor;
    char rest;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (strspn(text, "0123456789.") != strlen(text) || strlen(text) > 7 ||
        sscanf(text, "%3u.%3u%c", &major, &minor, &rest) != 2 || major > 255 || minor > 255)
        return wrong(where, err, "is not an ABI version such as \"1.51\"");
    *(uint16_t *)to = (uint16_t)(major << 8 | minor);
    return 0;
}

static enum snp_product product_of(const char *name)
{
    enum snp_product product = snp_product_named(name, strlen(name));
    return strcmp(snp_product_name(product), name) == 0 ? product : SNP_PRODUCT_UNKNOWN;
}

static int read_products(const struct member *m, json_t *value, const char *where, void *to,
                         struct cofre_err *err)
{
    (void)m;
    struct policy_snp *snp = to;
    size_t i;
    json_t *item;
    int rc = check_list(value, where, err);
    if (rc < 0)
        return rc;
    json_array_foreach(value, i, item)
    {
        enum snp_product product = product_of(json_is_string(item) ? json_string_value(item) : "");
        if (product == SNP_PRODUCT_UNKNOWN)
            return wrong(where, err, "has a value other than \"Milan\", \"Genoa\" and \"Turin\"");
        snp->product[product] = true;
    }
    snp->has_products = true;
    return 0;
}

#define SVN(NAME, COMPONENT)                                                                                 \
    {                                                                                                        \
        NAME, read_svn, COMPONENT, 255, NULL                                                                 \
    }
static const struct member tcb_members[] = {
    SVN("boot_loader", SNP_TCB_BOOT_LOADER), SVN("tee", SNP_TCB_TEE), SVN("snp", SNP_TCB_SNP),
    SVN("microcode", SNP_TCB_MICROCODE),     SVN("fmc", SNP_TCB_FMC),
};

static int read_min_tcb(const struct member *m, json_t *value, const char *where, void *to,
                        struct cofre_err *err)
{
    (void)m;
    struct policy_snp *snp = to;
    const char *name;
    json_t *tcb;
    if (!json_is_object(value) || json_object_size(value) == 0)
        return wrong(where, err, "is not an object with a member for at least one product");
    json_object_foreach(value, name, tcb)
    {
        char path[160];
        enum snp_product product = product_of(name);
        (void)snprintf(path, sizeof path, "%s.%.32s", where, name);
        if (product == SNP_PRODUCT_UNKNOWN)
            return wrong(where, err, "has a member other than \"Milan\", \"Genoa\" and \"Turin\"");
        int rc = read_object(tcb_members, sizeof tcb_members / sizeof *tcb_members, tcb, path,
                             snp->min_tcb[product].tcb.svn, err);
        if (rc < 0)
            return rc;
        if (product != SNP_PRODUCT_TURIN && json_object_get(tcb, "fmc"))
            return wrong(path, err, "has \"fmc\", a component that only Turin has");
        snp->min_tcb[product].given = true;
    }
    snp->has_min_tcb = true;
    return 0;
}

#define AT(FIELD) offsetof(struct policy_snp, FIELD)
#define HEX_LIST(F, BYTES)                                                                                   \
    {                                                                                                        \
#F, read_hex_list, AT(F), BYTES, NULL                                                                \
    }
static const struct member snp_members[] = {
    HEX_LIST(measurement, 48),
    HEX_LIST(host_data, 32),
    HEX_LIST(id_key_digest, 48),
    HEX_LIST(author_key_digest, 48),
    HEX_LIST(family_id, 16),
    HEX_LIST(image_id, 16),
    HEX_LIST(chip_id, 64),
    HEX_LIST(csp_id, 0),
    HEX_LIST(report_id, 32),
    HEX_LIST(report_id_ma, 32),
    {"report_data", read_hex_one, AT(report_data), 64, NULL},
    {"min_tcb", read_min_tcb, 0, 0, NULL},
    {"max_vmpl", read_number, AT(max_vmpl), 3, NULL},
    {"min_guest_svn", read_number, AT(min_guest_svn), UINT32_MAX, NULL},
    {"min_abi", read_abi, AT(min_abi), 0, NULL},
    {"mitigations", read_mask, AT(mitigations), 0, NULL},
    {"products", read_products, 0, 0, NULL},
    {"guest_policy", read_bits, AT(guest_policy), POLICY_SNP_GUEST_BITS, policy_snp_guest_bits},
    {"platform_info", read_bits, AT(platform_info), POLICY_SNP_PLATFORM_BITS, policy_snp_platform_bits},
    {"provisional_firmware", read_bit, AT(provisional_firmware), 0, NULL},
    {"unknown_bits", read_bit, AT(unknown_bits), 0, NULL},
};

static int read_snp(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    (void)m;
    return read_object(snp_members, sizeof snp_members / sizeof *snp_members, value, where, to, err);
}

static const struct member policy_members[] = {
    {"snp", read_snp, offsetof(struct policy, snp), 0, NULL},
};

void policy_init(struct policy *out)
{
    *out =
        (struct policy){.snp = {.provisional_firmware = POLICY_FORBIDDEN, .unknown_bits = POLICY_FORBIDDEN}};
    for (size_t i = 0; i < POLICY_SNP_GUEST_BITS; i++)
        out->snp.guest_policy[i] = policy_snp_guest_bits[i].initial;
    for (size_t i = 0; i < POLICY_SNP_PLATFORM_BITS; i++)
        out->snp.platform_info[i] = policy_snp_platform_bits[i].initial;
}

static void list_free(struct policy_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        bytes_free(&list->item[i]);
    free(list->item);
    *list = (struct policy_list){0};
}

void policy_free(struct policy *policy)
{
    for (size_t i = 0; i < sizeof snp_members / sizeof *snp_members; i++)
        if (snp_members[i].read == read_hex_list || snp_members[i].read == read_hex_one)
            list_free((struct policy_list *)((char *)&policy->snp + snp_members[i].offset));
}

bool policy_list_has(const struct policy_list *list, struct view value)
{
    for (size_t i = 0; i < list->count; i++)
        if (view_equal(bytes_view(&list->item[i]), value))
            return true;
    return false;
}

bool policy_recognises(struct view file)
{
    size_t i = 0;
    while (i < file.len && isspace(file.data[i]))
        i++;
    return file.data && i < file.len && file.data[i] == '{' && memmem(file.data, file.len, "\"snp\"", 5) &&
           !memmem(file.data, file.len, "\"cofre_evidence\"", 16);
}

int policy_parse(struct policy *out, struct view file, struct cofre_err *err)
{
    policy_init(out);
    if (file.len > POLICY_FILE_MAX)
        return cofre_fail(err, COFRE_USAGE, "policy: %zu bytes are too many", file.len);
    CLEAN_JSON *object = NULL;
    int rc = json_read(&object, file, COFRE_USAGE, err);
    if (rc < 0)
        return cofre_within(err, rc, "policy");
    rc = read_object(policy_members, sizeof policy_members / sizeof *policy_members, object, "", out, err);
    if (rc < 0)
        policy_free(out);
    return rc;
}
