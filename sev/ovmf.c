#include "sev/ovmf.h"

#include <openssl/evp.h>
#include <string.h>

static const char *const section_names[] = {
    [SNP_OVMF_SEC_MEM] = "SEC memory",
    [SNP_OVMF_SECRETS] = "secrets",
    [SNP_OVMF_CPUID] = "CPUID",
    [SNP_OVMF_SVSM_CAA] = "SVSM calling area",
    [SNP_OVMF_KERNEL_HASHES] = "kernel hashes",
};

const char *snp_ovmf_section_name(uint32_t type)
{
    return type < sizeof section_names / sizeof section_names[0] ? section_names[type] : NULL;
}

const struct snp_ovmf_section *snp_ovmf_section_find(const struct snp_ovmf *ovmf,
                                                     enum snp_ovmf_section_type type)
{
    for (size_t i = 0; i < ovmf->section_count; i++)
        if (ovmf->section[i].type == type)
            return &ovmf->section[i];
    return NULL;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a < b + b_len && b < a + a_len;
}

static bool is_single_page(uint32_t type)
{
    return type == SNP_OVMF_SECRETS || type == SNP_OVMF_CPUID || type == SNP_OVMF_KERNEL_HASHES;
}

static int check_section(const struct snp_ovmf *ovmf, const struct snp_ovmf_section *s, struct cofre_err *err)
{
    if (s->size == 0 || (s->gpa | s->size) % SNP_PAGE_SIZE || (uint64_t)s->gpa + s->size > OVMF_END)
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: 0x%x bytes at 0x%x are not whole pages below 4 GiB", s->size,
                          s->gpa);
    if (is_single_page(s->type) && (s->size != SNP_PAGE_SIZE || snp_ovmf_section_find(ovmf, s->type)))
        return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: the section \"%s\" is not one page, once",
                          section_names[s->type]);
    if (overlap(s->gpa, s->size, ovmf->table.gpa, ovmf->table.image.len))
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: the section at 0x%x lies over the image itself", s->gpa);
    for (size_t i = 0; i < ovmf->section_count; i++)
        if (overlap(s->gpa, s->size, ovmf->section[i].gpa, ovmf->section[i].size))
            return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: the sections at 0x%x and 0x%x overlap",
                              s->gpa, ovmf->section[i].gpa);
    return 0;
}

#define METADATA_HEADER  16 /* "ASEV", length of all of it, version, number of sections */
#define METADATA_SECTION 12 /* address, size, type */

static int parse_metadata(struct snp_ovmf *out, struct view metadata, struct cofre_err *err)
{
    uint32_t len = le32(metadata.data + 4), version = le32(metadata.data + 8),
             count = le32(metadata.data + 12);
    if (memcmp(metadata.data, "ASEV", 4) != 0 || version != 1)
        return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: not of version 1");
    if (count > SNP_OVMF_SECTIONS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: %u sections, and at most %d are taken", count,
                          SNP_OVMF_SECTIONS_MAX);
    if (len > metadata.len || len < METADATA_HEADER + count * METADATA_SECTION)
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: %u bytes cannot hold its %u sections, or exceed the image", len,
                          count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = metadata.data + METADATA_HEADER + i * METADATA_SECTION;
        struct snp_ovmf_section section = {le32(at), le32(at + 4), le32(at + 8)};
        int rc = check_section(out, &section, err);
        if (rc < 0)
            return rc;
        out->section[out->section_count++] = section;
    }
    return 0;
}

static int find_metadata(struct snp_ovmf *out, struct cofre_err *err)
{
    struct view metadata;
    int rc = ovmf_table_metadata(&out->table, OVMF_SEV_METADATA, METADATA_HEADER, &metadata, err);
    return rc == 0 && metadata.len ? parse_metadata(out, metadata, err) : rc;
}

/* The hash table as QEMU lays it out (target/i386/sev.c, PaddedSevHashTable). */
struct hash_entry {
    uint8_t guid[16];
    uint16_t len;
    uint8_t hash[32];
} __attribute__((packed));
struct hash_table {
    uint8_t guid[16];
    uint16_t len; /* without the padding */
    struct hash_entry cmdline, initrd, kernel;
    uint8_t padding[8];
} __attribute__((packed));
static_assert(sizeof(struct hash_entry) == 50, "hash entry");
static_assert(sizeof(struct hash_table) == 176, "hash table");

static const uint8_t table_guid[16] =
    GUID(0x9438d606, 0x4f22, 0x4cc9, 0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21);
static const uint8_t kernel_guid[16] =
    GUID(0x4de79437, 0xabd2, 0x427f, 0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b);
static const uint8_t initrd_guid[16] =
    GUID(0x44baf731, 0x3a2f, 0x4bd7, 0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d);
static const uint8_t cmdline_guid[16] =
    GUID(0x97d02dd8, 0xbd20, 0x4c94, 0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a);

static int check_hash_table(const struct snp_ovmf *ovmf, struct cofre_err *err)
{
    const struct snp_ovmf_section *page = snp_ovmf_section_find(ovmf, SNP_OVMF_KERNEL_HASHES);
    if (!ovmf->has_hash_table || !page)
        return 0;
    if (ovmf->hash_table_size < sizeof(struct hash_table) || ovmf->hash_table_gpa < page->gpa ||
        ovmf->hash_table_gpa - page->gpa > SNP_PAGE_SIZE - sizeof(struct hash_table))
        return cofre_fail(
            err, COFRE_MALFORMED,
            "the room for kernel hashes, 0x%x bytes at 0x%x, does not hold them within the page at 0x%x",
            ovmf->hash_table_size, ovmf->hash_table_gpa, page->gpa);
    return 0;
}

int snp_ovmf_parse(struct snp_ovmf *out, struct view image, struct cofre_err *err)
{
    uint32_t room[2] = {0, 0};
    memset(out, 0, sizeof *out);
    int rc = ovmf_table_parse(&out->table, image, err);
    if (rc == 0)
        rc = ovmf_table_numbers(&out->table, OVMF_SEV_RESET, &out->reset_eip, 1, &out->has_reset_eip, err);
    if (rc == 0)
        rc = ovmf_table_numbers(&out->table, OVMF_SEV_HASHES, room, 2, &out->has_hash_table, err);
    out->hash_table_gpa = room[0];
    out->hash_table_size = room[1];
    if (rc == 0)
        rc = find_metadata(out, err);
    return rc < 0 ? rc : check_hash_table(out, err);
}

static bool fill_hash(struct hash_entry *out, const uint8_t guid[16], struct view data, bool final_zero)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(md, data.data, data.len) == 1 &&
              (!final_zero || EVP_DigestUpdate(md, "", 1) == 1) &&
              EVP_DigestFinal_ex(md, out->hash, NULL) == 1;
    EVP_MD_CTX_free(md);
    memcpy(out->guid, guid, sizeof out->guid);
    put_le16(&out->len, sizeof *out);
    return ok;
}

int snp_ovmf_hash_table(uint8_t out[SNP_HASH_TABLE_SIZE], const struct snp_kernel_items *items,
                        struct cofre_err *err)
{
    static_assert(sizeof(struct hash_table) - sizeof((struct hash_table){0}.padding) == SNP_HASH_TABLE_SIZE,
                  "hash table without padding");
    struct hash_table table = {0};
    memcpy(table.guid, table_guid, sizeof table.guid);
    put_le16(&table.len, SNP_HASH_TABLE_SIZE);
    if (!fill_hash(&table.cmdline, cmdline_guid, items->cmdline, true) ||
        !fill_hash(&table.initrd, initrd_guid, items->initrd, false) ||
        !fill_hash(&table.kernel, kernel_guid, items->kernel, false))
        return cofre_fail(err, COFRE_FAILED, "kernel hashes: SHA-256 is not available in this OpenSSL");
    memcpy(out, &table, SNP_HASH_TABLE_SIZE);
    return 0;
}

int snp_ovmf_hash_page(uint8_t page[SNP_PAGE_SIZE], const struct snp_ovmf *ovmf,
                       const struct snp_kernel_items *items, struct cofre_err *err)
{
    if (!ovmf->has_hash_table || !snp_ovmf_section_find(ovmf, SNP_OVMF_KERNEL_HASHES))
        return cofre_fail(
            err, COFRE_MALFORMED,
            "the firmware has no room for kernel hashes, so it would not check the kernel; take one "
            "that has (Debian's package ovmf-amdsev)");
    memset(page, 0, SNP_PAGE_SIZE);
    return snp_ovmf_hash_table(page + ovmf->hash_table_gpa % SNP_PAGE_SIZE, items, err);
}
