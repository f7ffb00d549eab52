/* cofre inspect: OVMF images, for SNP guests, TDX guests, or both. */
#include <string.h>

#include "sev/ovmf.h"
#include "tdx/layout.h"
#include "vmm/cli/inspect.h"

static json_t *entries_json(const struct ovmf_table *table)
{
    json_t *list = json_array();
    for (size_t i = 0; i < table->count; i++) {
        char guid[GUID_TEXT_SIZE];
        const char *name = ovmf_entry_name(table->entry[i].guid);
        guid_format(guid, table->entry[i].guid);
        json_array_append_new(list, json_pack("{s:s, s:s*, s:I}", "guid", guid, "name", name, "size",
                                              (json_int_t)table->entry[i].data.len));
    }
    return list;
}

static json_t *sections_json(const struct snp_ovmf *ovmf)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ovmf->section_count; i++) {
        const struct snp_ovmf_section *s = &ovmf->section[i];
        json_t *section =
            json_pack("{s:I, s:s*}", "type", (json_int_t)s->type, "name", snp_ovmf_section_name(s->type));
        inspect_put_address(section, "address", s->gpa);
        inspect_put_address(section, "size", s->size);
        json_array_append_new(list, section);
    }
    return list;
}

static json_t *tdx_sections_json(const struct tdx_tdvf *tdvf)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tdvf->section_count; i++) {
        const struct tdx_tdvf_section *s = &tdvf->section[i];
        json_t *section =
            json_pack("{s:I, s:s*}", "type", (json_int_t)s->type, "name", tdx_tdvf_section_name(s->type));
        inspect_put_address(section, "address", s->gpa);
        inspect_put_address(section, "size", s->size);
        if (s->data.len)
            inspect_put_address(section, "offset", (uint64_t)(s->data.data - tdvf->table.image.data));
        json_object_set_new(section, "measured", json_boolean(s->attributes & TDX_TDVF_MR_EXTEND));
        json_array_append_new(list, section);
    }
    return list;
}

static int describe_sev(json_t *description, struct view file, struct cofre_err *err)
{
    struct snp_ovmf ovmf;
    int rc = snp_ovmf_parse(&ovmf, file, err);
    json_object_set_new(description, "starts_snp_guests", json_boolean(rc == 0 && ovmf.section_count > 0));
    if (rc < 0) {
        json_object_set_new(description, "no_snp_guests_because", json_string(err->text));
        return rc;
    }
    json_object_set_new(description, "sev_sections", sections_json(&ovmf));
    if (ovmf.has_reset_eip)
        inspect_put_address(description, "sev_es_reset_address", ovmf.reset_eip);
    if (ovmf.has_hash_table && ovmf.hash_table_size)
        inspect_put_address(description, "kernel_hashes_address", ovmf.hash_table_gpa);
    json_object_set_new(
        description, "checks_kernel_hashes",
        json_boolean(ovmf.has_hash_table && snp_ovmf_section_find(&ovmf, SNP_OVMF_KERNEL_HASHES)));
    return 0;
}

static int describe_tdx(json_t *description, struct view file, struct cofre_err *err)
{
    struct tdx_tdvf tdvf;
    uint8_t mrtd[TDX_DIGEST_SIZE];
    int rc = tdx_tdvf_parse(&tdvf, file, err);
    if (rc == 0)
        json_object_set_new(description, "tdx_sections", tdx_sections_json(&tdvf));
    int starts = rc == 0 ? tdx_layout_mrtd(mrtd, &tdvf, err) : rc;
    json_object_set_new(description, "starts_tdx_guests", json_boolean(starts == 0));
    if (starts == 0)
        inspect_put_hex(description, "mrtd", mrtd, sizeof mrtd);
    else
        json_object_set_new(description, "no_tdx_guests_because", json_string(err->text));
    return rc;
}

/* Firmware for one kind of guest may carry the other's metadata unfilled: broken is an image that is good for neither. */
static int describe_ovmf(json_t **out, struct view file, struct cofre_err *err)
{
    json_t *description = *out = json_object();
    struct ovmf_table table;
    struct cofre_err tdx_why;
    int rc = ovmf_table_parse(&table, file, err);
    if (rc == 0)
        rc = inspect_put_sha256(description, file, err);
    if (rc < 0)
        return rc;
    inspect_put_address(description, "address", table.gpa);
    json_object_set_new(description, "table", entries_json(&table));
    rc = describe_sev(description, file, err);
    return describe_tdx(description, file, &tdx_why) < 0 ? rc : 0;
}

const struct artefact_kind inspect_ovmf = {"OVMF firmware image", ovmf_table_is, describe_ovmf};
