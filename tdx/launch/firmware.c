#include "tdx/launch/firmware.h"

#include <assert.h>
#include <string.h>

#include "tdx/hob.h"
#include "tdx/layout.h"

/* Where sections may lie: in the image's own memory, or in RAM below it. */
static bool is_in_ram(const struct tdx_tdvf_section *s, const struct shim_ram *ram)
{
    return s->gpa >= ram->gpa && s->gpa - ram->gpa < ram->size && s->size <= ram->size - (s->gpa - ram->gpa);
}

static int check_place(const struct tdx_tdvf_section *s, const struct tdx_tdvf *tdvf,
                       const struct shim_ram *low, struct cofre_err *err)
{
    if (s->gpa >= tdvf->table.gpa || is_in_ram(s, low)) /* no section ends above 4 GiB */
        return 0;
    return cofre_fail(
        err, COFRE_MALFORMED,
        "TDX metadata: the section \"%s\" at 0x%llx lies outside of the guest's memory, which ends at "
        "0x%llx",
        tdx_tdvf_section_name(s->type), (unsigned long long)s->gpa,
        (unsigned long long)(low->gpa + low->size));
}

/* Memory for the TD HOB */

static const struct tdx_tdvf_section *next_section(const struct tdx_tdvf *tdvf, const struct shim_ram *ram,
                                                   uint64_t from)
{
    const struct tdx_tdvf_section *next = NULL;
    for (size_t i = 0; i < tdvf->section_count; i++) {
        const struct tdx_tdvf_section *s = &tdvf->section[i];
        if (is_in_ram(s, ram) && s->gpa >= from && (!next || s->gpa < next->gpa))
            next = s;
    }
    return next;
}

#define MEMORY_MAX                                                                                           \
    (2 * TDX_TDVF_SECTIONS_MAX + 2) /* each section, what lies before it, and the rest of both RAMs */

/* RAM in its order: sections are added before the launch is final, the firmware accepts what lies between them. */
static size_t list_memory(struct tdx_hob_memory out[MEMORY_MAX], const struct tdx_tdvf *tdvf,
                          const struct shim_ram *ram, unsigned rams)
{
    size_t count = 0;
    for (unsigned i = 0; i < rams; i++) {
        const uint64_t end = ram[i].gpa + ram[i].size;
        for (uint64_t at = ram[i].gpa; at < end;) {
            const struct tdx_tdvf_section *s = next_section(tdvf, &ram[i], at);
            const uint64_t until = s ? s->gpa : end;
            if (until > at)
                out[count++] = (struct tdx_hob_memory){at, until - at, false};
            if (s)
                out[count++] = (struct tdx_hob_memory){s->gpa, s->size, true};
            at = s ? s->gpa + s->size : end;
        }
    }
    return count;
}

static int fill_hob(uint8_t *out, const struct tdx_tdvf_section *hob, const struct tdx_tdvf *tdvf,
                    const struct shim_ram *ram, unsigned rams, struct cofre_err *err)
{
    struct tdx_hob_memory memory[MEMORY_MAX];
    const size_t count = list_memory(memory, tdvf, ram, rams);
    if (tdx_hob_build(out, hob->size, hob->gpa, memory, count))
        return 0;
    return cofre_fail(err, COFRE_MALFORMED,
                      "TDX metadata: the TD HOB has 0x%llx bytes, too few for %zu ranges of memory",
                      (unsigned long long)hob->size, count);
}

/* Its ranges */

static bool is_filled(const struct tdx_tdvf_section *s) /* by us: its bytes are not all in the image */
{
    return s->type == TDX_TDVF_TD_HOB || (s->data.len && s->data.len < s->size);
}

static enum launch_page_kind kind_of(const struct tdx_tdvf_section *s)
{
    if (!(s->attributes & TDX_TDVF_MR_EXTEND))
        return LAUNCH_UNMEASURED;
    return s->data.len ? LAUNCH_MEASURED : LAUNCH_ZERO;
}

static size_t filled_size(const struct tdx_tdvf *tdvf)
{
    size_t size = 0;
    for (size_t i = 0; i < tdvf->section_count; i++)
        size += is_filled(&tdvf->section[i]) ? tdvf->section[i].size : 0;
    return size;
}

static int add_sections(struct launch_image *image, const struct tdx_tdvf *tdvf, const struct shim_ram *ram,
                        unsigned rams, struct cofre_err *err)
{
    static_assert(TDX_TDVF_SECTIONS_MAX <= LAUNCH_RANGES_MAX, "a TDVF's sections fit into a launch image");
    uint8_t *filled = image->storage.data;
    int rc = 0;
    for (size_t i = 0; i < tdvf->section_count && rc == 0; i++) {
        const struct tdx_tdvf_section *s = &tdvf->section[i];
        struct launch_range range = {kind_of(s), s->gpa, s->size, s->data.data};
        if (is_filled(s)) {
            range.data = filled;
            if (s->data.len)
                memcpy(filled, s->data.data, s->data.len);
            filled += s->size;
        }
        if (s->type == TDX_TDVF_TD_HOB) {
            rc = fill_hob(filled - s->size, s, tdvf, ram, rams, err);
            image->start_argument = s->gpa;
        }
        image->range[image->count++] = range;
    }
    return rc;
}

/* Places first: sections may say gigabytes, and nothing is taken for what the guest has no memory for. */
static int build(struct launch_image *image, const struct tdx_tdvf *tdvf, const struct boot_config *config,
                 struct cofre_err *err)
{
    struct shim_ram ram[2];
    const unsigned rams = boot_ram(config->memory, ram);
    int rc = 0;
    for (size_t i = 0; i < tdvf->section_count && rc == 0; i++)
        rc = check_place(&tdvf->section[i], tdvf, &ram[0], err);
    if (rc == 0)
        rc = bytes_alloc_pages(&image->storage, filled_size(tdvf), err);
    return rc ? rc : add_sections(image, tdvf, ram, rams, err);
}

int tdx_firmware_image(const struct boot_config *config, struct launch_image *image, struct cofre_err *err)
{
    struct tdx_tdvf tdvf;
    int rc = tdx_tdvf_parse(&tdvf, config->firmware, err);
    if (rc == 0)
        rc = tdx_layout_check(&tdvf, err);
    if (rc == 0)
        rc = build(image, &tdvf, config, err);
    return rc < 0 ? cofre_within(err, rc, "--firmware") : 0;
}
