#include "vmm/igvm/guest.h"

#include <string.h>

/* A parameter area: declared, filled by parameters, then put into the guest. */
struct area {
    uint32_t number;
    uint64_t size;
    bool inserted;
    size_t contents; /* where its bytes are, once it is */
};

struct builder {
    struct igvm_guest *guest;
    const struct igvm_file *file;
    const struct igvm_machine *machine;
    struct area area[IGVM_AREAS_MAX];
    size_t areas;
    size_t used; /* of the contents: the next page's place */
};

typedef int header_fn(struct builder *b, const struct igvm_header *h, struct cofre_err *err);

/* Where memory lies */

static bool within(const struct igvm_memory *m, uint64_t gpa, uint64_t size)
{
    return gpa >= m->gpa && size <= m->size && gpa - m->gpa <= m->size - size;
}

static int check_ram(const struct builder *b, const struct igvm_header *h, uint64_t gpa, uint64_t size,
                     bool or_firmware, struct cofre_err *err)
{
    static const struct igvm_memory firmware = {IGVM_FIRMWARE_BASE, IGVM_FIRMWARE_END - IGVM_FIRMWARE_BASE};
    if (!b->machine || (or_firmware && within(&firmware, gpa, size)))
        return 0;
    for (unsigned i = 0; i < b->machine->rams; i++)
        if (within(&b->machine->ram[i], gpa, size))
            return 0;
    return igvm_header_fail(err, b->file, h, "0x%llx bytes at 0x%llx lie outside of the guest's memory",
                            (unsigned long long)size, (unsigned long long)gpa);
}

static int check_overlap(const struct builder *b, const struct igvm_header *h, uint64_t gpa, uint64_t size,
                         struct cofre_err *err)
{
    const struct igvm_guest *g = b->guest;
    for (size_t i = 0; i < g->count; i++)
        if (gpa < g->range[i].gpa + g->range[i].len && g->range[i].gpa < gpa + size)
            return igvm_header_fail(err, b->file, h, "what lies at 0x%llx was filled by a header before",
                                    (unsigned long long)gpa);
    return 0;
}

static int add_range(struct builder *b, const struct igvm_header *h, enum igvm_range_kind kind, uint64_t gpa,
                     uint64_t size, struct cofre_err *err)
{
    struct igvm_guest *g = b->guest;
    const bool has_contents = kind != IGVM_RANGE_SECRETS && kind != IGVM_RANGE_CPUID;
    int rc = check_ram(b, h, gpa, size, true, err);
    if (rc == 0)
        rc = check_overlap(b, h, gpa, size, err);
    if (rc < 0)
        return rc;
    if (has_contents && size > IGVM_CONTENTS_MAX - b->used)
        return igvm_header_fail(err, b->file, h, "more than %u MiB of memory are filled",
                                IGVM_CONTENTS_MAX >> 20);
    b->used += has_contents ? size : 0;
    for (size_t i = 0; i < g->contexts; i++)
        g->context[i].precedes_pages = true;
    struct igvm_range *last = g->count ? &g->range[g->count - 1] : NULL;
    if (has_contents && last && last->kind == kind && last->gpa + last->len == gpa) {
        last->len += size;
        return 0;
    }
    if (g->count == IGVM_RANGES_MAX)
        return igvm_header_fail(err, b->file, h, "more than %d ranges of memory are filled", IGVM_RANGES_MAX);
    g->range[g->count++] = (struct igvm_range){kind, gpa, size, NULL};
    return 0;
}

/* What each header says, without any contents: first all of it is checked, and how much there is of it */

static int plan_policy(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    if (b->guest->has_policy)
        return igvm_header_fail(err, b->file, h, "a second one for the same platform");
    b->guest->has_policy = true;
    b->guest->policy = h->policy;
    return 0;
}

/* Regions that may be moved stay where they are. */
static int plan_region(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    return check_ram(b, h, h->memory.gpa, h->memory.size, true, err);
}

static int plan_required(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    return check_ram(b, h, h->memory.gpa, h->memory.size, true, err);
}

static int plan_page(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    static const enum igvm_range_kind special[] = {[IGVM_PAGE_SECRETS] = IGVM_RANGE_SECRETS,
                                                   [IGVM_PAGE_CPUID] = IGVM_RANGE_CPUID,
                                                   [IGVM_PAGE_CPUID_XF] = IGVM_RANGE_CPUID};
    if (h->page.shared)
        return igvm_header_fail(err, b->file, h,
                                "a page that is shared with the host at the start is not had here");
    enum igvm_range_kind kind = h->page.type != IGVM_PAGE_NORMAL ? special[h->page.type]
                                : h->page.unmeasured             ? IGVM_RANGE_UNMEASURED
                                : h->data.len                    ? IGVM_RANGE_DATA
                                                                 : IGVM_RANGE_ZERO;
    return add_range(b, h, kind, h->page.gpa, h->page.size, err);
}

static struct area *find_area(struct builder *b, uint32_t number)
{
    for (size_t i = 0; i < b->areas; i++)
        if (b->area[i].number == number)
            return &b->area[i];
    return NULL;
}

static int plan_area(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    if (find_area(b, h->area.number))
        return igvm_header_fail(err, b->file, h, "area %u is there already", h->area.number);
    if (b->areas == IGVM_AREAS_MAX)
        return igvm_header_fail(err, b->file, h, "at most %d areas are taken", IGVM_AREAS_MAX);
    b->area[b->areas++] = (struct area){.number = h->area.number, .size = h->area.size};
    return 0;
}

/* An area that parameters may go to. */
static int open_area(struct builder *b, const struct igvm_header *h, uint32_t number, struct area **out,
                     struct cofre_err *err)
{
    *out = find_area(b, number);
    if (!*out)
        return igvm_header_fail(err, b->file, h, "there is no area %u before it", number);
    if ((*out)->inserted)
        return igvm_header_fail(err, b->file, h, "area %u is in the guest already", number);
    return 0;
}

static int plan_insert(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    struct area *area;
    int rc = open_area(b, h, h->insert.area, &area, err);
    if (rc < 0)
        return rc;
    if (area->size > IGVM_ADDRESS_END - h->insert.gpa)
        return igvm_header_fail(err, b->file, h, "0x%llx bytes at 0x%llx lie beyond all guest memory",
                                (unsigned long long)area->size, (unsigned long long)h->insert.gpa);
    area->contents = b->used;
    area->inserted = true;
    return add_range(b, h, IGVM_RANGE_UNMEASURED, h->insert.gpa, area->size, err);
}

static int plan_context(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    struct igvm_guest *g = b->guest;
    for (size_t i = 0; i < g->contexts; i++)
        if (g->context[i].vp == h->context.vp)
            return igvm_header_fail(err, b->file, h, "a second one of vCPU %u", h->context.vp);
    if (g->contexts == IGVM_CONTEXTS_MAX)
        return igvm_header_fail(err, b->file, h, "at most %d contexts are taken", IGVM_CONTEXTS_MAX);
    g->context[g->contexts++] =
        (struct igvm_context){.gpa = h->context.gpa, .state = h->data, .vp = h->context.vp};
    return 0;
}

static int plan_id_block(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    if (b->guest->platform.type != IGVM_SEV_SNP)
        return igvm_header_fail(err, b->file, h, "%s has none", igvm_platform_name(b->guest->platform.type));
    if (b->guest->id_block.len)
        return igvm_header_fail(err, b->file, h, "a second one for the same platform");
    b->guest->id_block = h->body;
    return 0;
}

static int refuse_error_range(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    return h->optional ? 0
                       : igvm_header_fail(err, b->file, h,
                                          "memory that is shared with the host at the start is not had here");
}

/* Parameters: bytes for who wants them, none of them measured */

#define MAP_ENTRY       24 /* page number, pages, type, flags, reserved */
#define MAP_ENTRIES_MAX 3  /* with the last one, of no pages */

static size_t make_count(uint8_t *out, const struct igvm_machine *m)
{
    put_le32(out, m->cpus);
    return 4;
}

static size_t make_environment(uint8_t *out, const struct igvm_machine *m)
{
    put_le32(out, m->memory_is_shared);
    return 4;
}

static void put_range(uint8_t *out, const struct igvm_memory *memory)
{
    put_le64(out, memory->gpa / IGVM_PAGE_SIZE);
    put_le64(out + 8, memory->size / IGVM_PAGE_SIZE);
}

static size_t make_map(uint8_t *out, const struct igvm_machine *m)
{
    for (unsigned i = 0; i < m->rams; i++)
        put_range(out + (size_t)i * MAP_ENTRY, &m->ram[i]);
    return (m->rams + 1) * (size_t)MAP_ENTRY;
}

static size_t make_mmio(uint8_t *out, const struct igvm_machine *m)
{
    put_range(out, &m->mmio[0]);
    put_range(out + 16, &m->mmio[1]);
    return 32;
}

static const struct parameter {
    uint32_t type;
    size_t (*make)(uint8_t *out, const struct igvm_machine *m); /* into MAP_ENTRY * MAP_ENTRIES_MAX zeros */
    size_t bytes;                                               /* or the machine's view there */
    bool with_zero;
} parameters[] = {
    {IGVM_VP_COUNT, make_count, 0, false},
    {IGVM_ENVIRONMENT_INFO, make_environment, 0, false},
    {IGVM_MEMORY_MAP, make_map, 0, false},
    {IGVM_MMIO_RANGES, make_mmio, 0, false},
    {IGVM_COMMAND_LINE, NULL, offsetof(struct igvm_machine, cmdline), true},
    {IGVM_MADT, NULL, offsetof(struct igvm_machine, madt), false},
    /* SRAT, SLIT, PPTT and device tree: nobody makes them here. */
};

static const struct parameter *parameter_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (parameters[i].type == type)
            return &parameters[i];
    return NULL;
}

struct value {
    uint8_t made[MAP_ENTRY * MAP_ENTRIES_MAX];
    struct view bytes;
    size_t size; /* with the final zero */
};

static bool value_of(struct value *out, uint32_t type, const struct igvm_machine *machine)
{
    const struct parameter *p = parameter_of(type);
    *out = (struct value){0};
    if (!p)
        return false;
    if (p->make)
        out->bytes = (struct view){out->made, p->make(out->made, machine)};
    else
        memcpy(&out->bytes, (const uint8_t *)machine + p->bytes, sizeof out->bytes);
    out->size = out->bytes.len + p->with_zero;
    return out->size > 0;
}

static int plan_parameter(struct builder *b, const struct igvm_header *h, struct cofre_err *err)
{
    struct area *area;
    struct value value;
    int rc = open_area(b, h, h->parameter.area, &area, err);
    if (rc < 0)
        return rc;
    if (h->parameter.offset >= area->size)
        return igvm_header_fail(err, b->file, h, "its place, 0x%x, lies behind area %u", h->parameter.offset,
                                area->number);
    if (!b->machine)
        return 0;
    if (!value_of(&value, h->type, b->machine))
        return h->optional ? 0 : igvm_header_fail(err, b->file, h, "this machine has none to give");
    if (value.size > area->size - h->parameter.offset)
        return igvm_header_fail(err, b->file, h, "its %zu bytes do not fit into area %u at 0x%x", value.size,
                                area->number, h->parameter.offset);
    return 0;
}

static header_fn *plan_of(uint32_t type)
{
    static const struct {
        uint32_t type;
        header_fn *plan;
    } plans[] = {
        {IGVM_GUEST_POLICY, plan_policy},
        {IGVM_RELOCATABLE_REGION, plan_region},
        {IGVM_PAGE_TABLE_REGION, plan_region},
        {IGVM_PARAMETER_AREA, plan_area},
        {IGVM_PAGE_DATA, plan_page},
        {IGVM_PARAMETER_INSERT, plan_insert},
        {IGVM_VP_CONTEXT, plan_context},
        {IGVM_REQUIRED_MEMORY, plan_required},
        {IGVM_VP_COUNT, plan_parameter},
        {IGVM_SRAT, plan_parameter},
        {IGVM_MADT, plan_parameter},
        {IGVM_MMIO_RANGES, plan_parameter},
        {IGVM_SNP_ID_BLOCK, plan_id_block},
        {IGVM_MEMORY_MAP, plan_parameter},
        {IGVM_ERROR_RANGE, refuse_error_range},
        {IGVM_COMMAND_LINE, plan_parameter},
        {IGVM_SLIT, plan_parameter},
        {IGVM_PPTT, plan_parameter},
        {IGVM_DEVICE_TREE, plan_parameter},
        {IGVM_ENVIRONMENT_INFO, plan_parameter},
        /* The others are no part of a guest: platforms were read, CoRIM is for who verifies, VBS is Hyper-V's. */
    };
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
        if (plans[i].type == type)
            return plans[i].plan;
    return NULL;
}

/* Contents, in the plan's order */

static void take_page(struct builder *b, const struct igvm_header *h)
{
    if (h->page.type != IGVM_PAGE_NORMAL)
        return;
    if (h->data.len)
        memcpy(b->guest->contents.data + b->used, h->data.data, h->data.len);
    b->used += h->page.size;
}

static void take_area(struct builder *b, const struct igvm_header *h)
{
    const struct area *area = find_area(b, h->area.number);
    if (area->inserted && h->data.len)
        memcpy(b->guest->contents.data + area->contents, h->data.data, h->data.len);
}

static void take_parameter(struct builder *b, const struct igvm_header *h)
{
    struct value value;
    const struct area *area = find_area(b, h->parameter.area);
    if (!area->inserted || !b->machine || !value_of(&value, h->type, b->machine))
        return;
    uint8_t *to = b->guest->contents.data + area->contents + h->parameter.offset;
    memset(to, 0, value.size);
    if (value.bytes.len)
        memcpy(to, value.bytes.data, value.bytes.len);
}

static void take_contents(struct builder *b, const struct igvm_header *h)
{
    if (h->type == IGVM_PAGE_DATA)
        take_page(b, h);
    else if (h->type == IGVM_PARAMETER_AREA)
        take_area(b, h);
    else if (h->type == IGVM_PARAMETER_INSERT)
        b->used += find_area(b, h->insert.area)->size;
    else if (plan_of(h->type) == plan_parameter)
        take_parameter(b, h);
}

static int fill(struct builder *b, struct cofre_err *err)
{
    struct igvm_guest *g = b->guest;
    struct igvm_header h = {0};
    int rc = bytes_alloc_pages(&g->contents, b->used, err);
    if (rc < 0)
        return rc;
    b->used = 0;
    for (size_t i = 0; i < g->count; i++)
        if (g->range[i].kind != IGVM_RANGE_SECRETS && g->range[i].kind != IGVM_RANGE_CPUID) {
            g->range[i].data = g->contents.data + b->used;
            b->used += g->range[i].len;
        }
    b->used = 0;
    while (igvm_file_next(b->file, &h))
        if (h.mask & g->platform.mask)
            take_contents(b, &h);
    return 0;
}

int igvm_guest_build(struct igvm_guest *out, const struct igvm_file *file, enum igvm_platform_type type,
                     const struct igvm_machine *machine, struct cofre_err *err)
{
    struct builder b = {.guest = out, .file = file, .machine = machine};
    struct igvm_header h = {0};
    const struct igvm_platform *platform = igvm_file_platform(file, type);
    *out = (struct igvm_guest){0};
    if (!platform)
        return cofre_fail(err, COFRE_NEGATIVE, "the IGVM file is not for %s", igvm_platform_name(type));
    out->platform = *platform;
    while (igvm_file_next(file, &h)) {
        header_fn *plan = plan_of(h.type);
        int rc = plan && h.mask & platform->mask ? plan(&b, &h, err) : 0;
        if (rc < 0)
            return rc;
    }
    return fill(&b, err);
}

void igvm_guest_free(struct igvm_guest *guest)
{
    bytes_free(&guest->contents);
    guest->count = 0;
}
