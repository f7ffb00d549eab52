/* IGVM files: the input is the headers of one. Checksum and size are made right, since mutation never would, and the data behind
 * them is always the same: a page, and a context. */
#include <string.h>
#include <zlib.h>

#include "sev/igvm.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/igvm/made_igvm.h"

#define HEADERS 1024u
#define RAM     (8u << 20)

static const struct igvm_machine machine = {.cpus = 2,
                                            .ram = {{0, RAM}, {0x100000000, RAM}},
                                            .rams = 2,
                                            .mmio = {{0xc0000000, 0x1000}, {0xd0000000, 0x1000}},
                                            .cmdline = {(const uint8_t *)"quiet", 5},
                                            .madt = {(const uint8_t *)"APIC", 4}};

static void make_whole(uint8_t *file, size_t size)
{
    const uint32_t offset = le32(file + 8), len = le32(file + 12), fixed = le32(file + 4) == 2 ? 32 : 24;
    if (size < fixed || offset > size || len > size - offset)
        return;
    put_le32(file + 16, (uint32_t)size);
    put_le32(file + 20, 0);
    put_le32(file + 20, (uint32_t)crc32(crc32(0, file, fixed), file + offset, len));
}

static bool in_input(struct view v, struct view file)
{
    return v.len == 0 ||
           (v.data >= file.data && v.len <= file.len && (size_t)(v.data - file.data) <= file.len - v.len);
}

static void check_headers(const struct igvm_file *file)
{
    struct igvm_header h = {0};
    size_t count = 0;
    for (; igvm_file_next(file, &h); count++) {
        FUZZ_CHECK(h.index == count && (h.known || h.optional));
        FUZZ_CHECK(in_input(h.body, file->bytes) && in_input(h.data, file->bytes));
    }
    FUZZ_CHECK(count == file->count && file->platforms > 0 && file->platforms <= IGVM_PLATFORMS_MAX);
}

static void check_guest(const struct igvm_guest *g, const struct igvm_file *file)
{
    FUZZ_CHECK(g->count <= IGVM_RANGES_MAX && g->contexts <= IGVM_CONTEXTS_MAX);
    for (size_t i = 0; i < g->count; i++) {
        const struct igvm_range *r = &g->range[i];
        FUZZ_CHECK(r->len > 0 && r->gpa % 4096 == 0 && r->len % 4096 == 0);
        FUZZ_CHECK(r->gpa < IGVM_ADDRESS_END && r->len <= IGVM_ADDRESS_END - r->gpa);
        FUZZ_CHECK(!r->data || in_input((struct view){r->data, r->len}, bytes_view(&g->contents)));
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(r->gpa + r->len <= g->range[j].gpa || g->range[j].gpa + g->range[j].len <= r->gpa);
    }
    for (size_t i = 0; i < g->contexts; i++)
        FUZZ_CHECK(in_input(g->context[i].state, file->bytes));
}

/* What is predicted of a file is what it is again, and does not hang on what parameters say. */
static void check_digest(const struct igvm_file *file)
{
    struct igvm_machine other = machine;
    struct snp_digest digest, again;
    other.memory_is_shared = true;
    const struct snp_igvm_layout layout = {.cpus = machine.cpus, .guest_features = SNP_FEATURE_ACTIVE};
    struct snp_igvm first = {0}, second = {0};
    if (snp_igvm_build(&first, file, &machine, &layout, NULL) == 0) {
        FUZZ_CHECK(snp_igvm_build(&second, file, &other, &layout, NULL) == 0);
        FUZZ_CHECK(snp_igvm_digest(&digest, &first, NULL) == 0 &&
                   snp_igvm_digest(&again, &second, NULL) == 0);
        FUZZ_CHECK(memcmp(&digest, &again, sizeof digest) == 0);
    }
    snp_igvm_free(&first);
    snp_igvm_free(&second);
}

static void make_data(struct made_igvm *made, uint32_t *page, uint32_t *state)
{
    struct snp_vmsa vmsa;
    uint8_t bytes[4096];
    snp_vmsa_of_entry(&vmsa, 0x1000, SNP_FEATURE_ACTIVE);
    memset(bytes, 0x5a, sizeof bytes);
    *page = igvm_made_data(made, bytes, sizeof bytes);
    *state = igvm_made_data(made, &vmsa, sizeof vmsa);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum igvm_platform_type types[] = {IGVM_SEV_SNP, IGVM_TDX};
    struct made_igvm made;
    struct igvm_file file;
    uint32_t page, state;
    igvm_made_begin(&made, 1, HEADERS, 2 * 4096);
    make_data(&made, &page, &state);
    const struct view whole = bytes_view(&made.file);
    memcpy(made.file.data, data, size < page ? size : page);
    make_whole(made.file.data, whole.len);
    if (igvm_file_parse(&file, whole, NULL) == 0) {
        check_headers(&file);
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            struct igvm_guest guest;
            if (igvm_guest_build(&guest, &file, types[i], &machine, NULL) == 0)
                check_guest(&guest, &file);
            igvm_guest_free(&guest);
        }
        check_digest(&file);
    }
    bytes_free(&made.file);
    return 0;
}

/* A whole guest: a page that is measured, one that is not, secrets, CPUID, parameters, a context. */
static void make_guest(struct made_igvm *made)
{
    enum { SNP = 1, TDX = 2 };
    uint32_t data, state;
    make_data(made, &data, &state);
    igvm_made_platform(made, IGVM_SEV_SNP, SNP);
    igvm_made_platform(made, IGVM_TDX, TDX);
    igvm_made_policy(made, SNP, 0x30000);
    igvm_made_area(made, 1, 0x1000, 0);
    igvm_made_parameter(made, IGVM_VP_COUNT, 1, 0);
    igvm_made_parameter(made, IGVM_MEMORY_MAP, 1, 0x40);
    igvm_made_parameter(made, IGVM_COMMAND_LINE, 1, 0x100);
    igvm_made_page(made, SNP | TDX, 0x1000, data, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(made, SNP, 0x2000, 0, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(made, SNP, 0x3000, data, MADE_UNMEASURED, IGVM_PAGE_NORMAL);
    igvm_made_page(made, SNP, 0x4000, 0, 0, IGVM_PAGE_SECRETS);
    igvm_made_page(made, SNP, 0x5000, 0, 0, IGVM_PAGE_CPUID);
    igvm_made_memory(made, IGVM_REQUIRED_MEMORY, SNP, 0x10000, 0x10000);
    igvm_made_insert(made, SNP | TDX, 0x6000, 1);
    igvm_made_context(made, SNP, SNP_VMSA_GPA, state, 0);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    struct made_igvm made;
    struct igvm_file file;
    struct snp_igvm igvm;
    const struct snp_igvm_layout layout = {.cpus = machine.cpus, .guest_features = SNP_FEATURE_ACTIVE};
    if (index > 1)
        return 0;
    igvm_made_begin(&made, index + 1, HEADERS - 8 * index, 2 * 4096); /* version 2 begins with 8 bytes more */
    make_guest(&made);
    FUZZ_CHECK(igvm_file_parse(&file, igvm_made_whole(&made), NULL) == 0 &&
               snp_igvm_build(&igvm, &file, &machine, &layout, NULL) == 0);
    snp_igvm_free(&igvm);
    const size_t len = made.begin + made.headers;
    memcpy(out, made.file.data, len);
    bytes_free(&made.file);
    return len;
}
