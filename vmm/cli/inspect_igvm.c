/* cofre inspect: IGVM files. Pages that follow each other are one line; the first thousand lines are shown. */
#include <string.h>

#include "vmm/cli/inspect.h"
#include "vmm/igvm/file.h"

static json_t *platforms_json(const struct igvm_file *file)
{
    json_t *list = json_array();
    for (size_t i = 0; i < file->platforms; i++) {
        const struct igvm_platform *p = &file->platform[i];
        json_t *one =
            json_pack("{s:s, s:i}", "name", igvm_platform_name(p->type), "highest_vtl", (int)p->highest_vtl);
        inspect_put_address(one, "mask", p->mask);
        if (p->shared_boundary)
            inspect_put_address(one, "shared_boundary", p->shared_boundary);
        json_array_append_new(list, one);
    }
    return list;
}

static void put_page(json_t *out, const struct igvm_header *h)
{
    static const char *const types[] = {
        [IGVM_PAGE_NORMAL] = NULL,
        [IGVM_PAGE_SECRETS] = "secrets",
        [IGVM_PAGE_CPUID] = "CPUID",
        [IGVM_PAGE_CPUID_XF] = "CPUID, extended features",
    };
    const char *contents = types[h->page.type] ? types[h->page.type] : h->data.len ? "data" : "zeros";
    inspect_put_address(out, "address", h->page.gpa);
    inspect_put_address(out, "size", h->page.size);
    json_object_set_new(out, "contents", json_string(contents));
    json_object_set_new(
        out, "measured",
        json_boolean(h->page.type == IGVM_PAGE_NORMAL && !h->page.unmeasured && !h->page.shared));
    if (h->page.shared)
        json_object_set_new(out, "shared", json_true());
}

static void put_body(json_t *out, const struct igvm_header *h)
{
    switch (h->type) {
    case IGVM_PAGE_DATA:
        put_page(out, h);
        break;
    case IGVM_GUEST_POLICY:
        inspect_put_address(out, "policy", h->policy);
        break;
    case IGVM_RELOCATABLE_REGION:
    case IGVM_PAGE_TABLE_REGION:
    case IGVM_REQUIRED_MEMORY:
    case IGVM_ERROR_RANGE:
        inspect_put_address(out, "address", h->memory.gpa);
        inspect_put_address(out, "size", h->memory.size);
        break;
    case IGVM_PARAMETER_AREA:
        json_object_set_new(out, "area", json_integer(h->area.number));
        inspect_put_address(out, "size", h->area.size);
        break;
    case IGVM_PARAMETER_INSERT:
        json_object_set_new(out, "area", json_integer(h->insert.area));
        inspect_put_address(out, "address", h->insert.gpa);
        break;
    case IGVM_VP_CONTEXT:
        json_object_set_new(out, "vcpu", json_integer(h->context.vp));
        inspect_put_address(out, "address", h->context.gpa);
        break;
    case IGVM_SNP_ID_BLOCK:
        inspect_put_hex(out, "launch_digest", h->body.data + 8, 48);
        break;
    case IGVM_VP_COUNT:
    case IGVM_SRAT:
    case IGVM_MADT:
    case IGVM_MMIO_RANGES:
    case IGVM_MEMORY_MAP:
    case IGVM_COMMAND_LINE:
    case IGVM_SLIT:
    case IGVM_PPTT:
    case IGVM_DEVICE_TREE:
    case IGVM_ENVIRONMENT_INFO:
        json_object_set_new(out, "area", json_integer(h->parameter.area));
        inspect_put_address(out, "offset", h->parameter.offset);
        break;
    default:
        break;
    }
}

static json_t *header_json(const struct igvm_header *h)
{
    const char *name = igvm_header_name(h->type);
    json_t *out = json_object();
    json_object_set_new(out, "header", json_integer((json_int_t)h->index));
    json_object_set_new(out, "name", json_string(name ? name : "unknown"));
    if (!name)
        inspect_put_address(out, "type", h->type);
    if (h->mask != UINT32_MAX)
        inspect_put_address(out, "mask", h->mask);
    if (h->optional)
        json_object_set_new(out, "optional", json_true());
    put_body(out, h);
    return out;
}

/* A page like the one before it, that follows it in memory. */
static bool continues(const struct igvm_header *before, const struct igvm_header *h)
{
    return before->type == IGVM_PAGE_DATA && h->type == IGVM_PAGE_DATA && before->mask == h->mask &&
           before->page.type == h->page.type && before->page.unmeasured == h->page.unmeasured &&
           before->page.shared == h->page.shared && (before->data.len == 0) == (h->data.len == 0) &&
           before->page.gpa + before->page.size == h->page.gpa;
}

#define LINES_MAX 1000 /* a file may have millions of headers */

static json_t *headers_json(const struct igvm_file *file)
{
    json_t *list = json_array(), *last = NULL;
    struct igvm_header h = {0}, before = {0};
    uint64_t size = 0;
    while (igvm_file_next(file, &h)) {
        const bool joins = last && continues(&before, &h);
        before = h;
        if (joins) {
            size += h.page.size;
            inspect_put_address(last, "size", size);
            continue;
        }
        if (json_array_size(list) == LINES_MAX)
            break;
        size = h.page.size;
        last = header_json(&h);
        json_array_append_new(list, last);
    }
    return list;
}

static int describe_igvm(json_t **out, struct view bytes, struct cofre_err *err)
{
    json_t *description = *out = json_object();
    struct igvm_file file;
    int rc = igvm_file_parse(&file, bytes, err);
    if (rc == 0)
        rc = inspect_put_sha256(description, bytes, err);
    if (rc < 0)
        return rc;
    json_object_set_new(description, "format_version", json_integer(file.version));
    json_object_set_new(description, "header_count", json_integer((json_int_t)file.count));
    json_object_set_new(description, "platforms", platforms_json(&file));
    json_object_set_new(description, "headers", headers_json(&file));
    return 0;
}

const struct artefact_kind inspect_igvm = {"IGVM file", igvm_file_is, describe_igvm};
