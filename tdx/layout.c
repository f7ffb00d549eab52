#include "tdx/layout.h"

#include "tdx/mrtd.h"

static int check_section(const struct tdx_tdvf_section *s, struct cofre_err *err)
{
    bool measured = s->attributes & TDX_TDVF_MR_EXTEND;
    if (s->type > TDX_TDVF_TEMP_MEM)
        return cofre_fail(
            err, COFRE_MALFORMED,
            "TDX metadata: neither QEMU nor Google's VMM takes the section of type %u at 0x%llx", s->type,
            (unsigned long long)s->gpa);
    if (s->attributes & TDX_TDVF_PAGE_AUG)
        return cofre_fail(err, COFRE_MALFORMED,
                          "TDX metadata: the section at 0x%llx is for the running guest to add, and QEMU and "
                          "Google's VMM would add it before",
                          (unsigned long long)s->gpa);
    if (measured && s->type == TDX_TDVF_TD_HOB)
        return cofre_fail(err, COFRE_MALFORMED,
                          "TDX metadata: the TD HOB is measured, so that MRTD depends on the guest's memory");
    if (measured && s->data.len && s->data.len != s->size)
        return cofre_fail(err, COFRE_MALFORMED,
                          "TDX metadata: of the 0x%llx bytes measured at 0x%llx the image has 0x%zx",
                          (unsigned long long)s->size, (unsigned long long)s->gpa, s->data.len);
    return 0;
}

int tdx_layout_check(const struct tdx_tdvf *tdvf, struct cofre_err *err)
{
    bool has_code = false, has_hob = false;
    int rc = 0;
    for (size_t i = 0; i < tdvf->section_count && rc == 0; i++) {
        has_code |= tdvf->section[i].type == TDX_TDVF_BFV;
        has_hob |= tdvf->section[i].type == TDX_TDVF_TD_HOB;
        rc = check_section(&tdvf->section[i], err);
    }
    if (rc < 0)
        return rc;
    if (tdvf->section_count == 0)
        return cofre_fail(
            err, COFRE_MALFORMED,
            "the firmware has no TDX metadata, so it cannot start as a TDX guest; take one that "
            "has (Debian's package ovmf-inteltdx)");
    if (!has_code || !has_hob)
        return cofre_fail(err, COFRE_MALFORMED, "TDX metadata: there is no %s",
                          tdx_tdvf_section_name(has_code ? TDX_TDVF_TD_HOB : TDX_TDVF_BFV));
    return 0;
}

int tdx_layout_mrtd(uint8_t out[TDX_DIGEST_SIZE], const struct tdx_tdvf *tdvf, struct cofre_err *err)
{
    struct tdx_mrtd *mrtd = NULL;
    int rc = tdx_layout_check(tdvf, err);
    if (rc == 0)
        rc = tdx_mrtd_new(&mrtd, err);
    for (size_t i = 0; i < tdvf->section_count && rc == 0; i++) {
        const struct tdx_tdvf_section *s = &tdvf->section[i];
        rc = tdx_mrtd_pages(mrtd, s->gpa, s->data.data, s->size, s->attributes & TDX_TDVF_MR_EXTEND, err);
    }
    if (rc == 0)
        rc = tdx_mrtd_value(mrtd, out, err);
    tdx_mrtd_free(mrtd);
    return rc;
}
