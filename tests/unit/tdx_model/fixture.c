#include "fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *base_dir(void)
{
    const char *base = getenv("COFRE_TEST_EMULATED");
    assert_non_null(base);
    mkdir(base, 0755);
    return base;
}

struct tdx_platform *open_platform(unsigned quote_version)
{
    struct tdx_platform_options options = {.quote_version = quote_version};
    struct tdx_platform *platform = NULL;
    struct cofre_err err;
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/shared", base_dir());
    if (tdx_platform_open(&platform, dir, &options, &err) < 0)
        fail_msg("%s", err.text);
    return platform;
}

struct tdx_td_params good_params(void)
{
    struct tdx_td_params params = {
        .attributes = TDX_ATTR_SEPT_VE_DISABLE, .xfam = 7, .max_vcpus = 2, .gpaw = 48};
    memset(params.mrconfigid, 0xc1, sizeof params.mrconfigid);
    memset(params.mrowner, 0xc2, sizeof params.mrowner);
    memset(params.mrownerconfig, 0xc3, sizeof params.mrownerconfig);
    return params;
}

struct tdx_td *td_in(enum life life, const struct tdx_platform *platform)
{
    struct tdx_td *td = NULL;
    struct tdx_td_params params = good_params();
    uint8_t chunk[TDX_EXTEND_CHUNK];
    unsigned index;
    memset(chunk, 0x5a, sizeof chunk);
    assert_int_equal(tdx_td_new(&td, platform, NULL), 0);
    if (life >= INITIALISED)
        assert_int_equal(tdh_mng_init(td, &params), TDX_SUCCESS);
    if (life < RUNNING)
        return td;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(tdh_vp_init(td, &index), TDX_SUCCESS);
        assert_int_equal(index, i);
    }
    assert_int_equal(tdh_mem_page_add(td, 0x1000), TDX_SUCCESS);
    for (uint64_t at = 0x1000; at < 0x2000; at += sizeof chunk)
        assert_int_equal(tdh_mr_extend(td, at, chunk), TDX_SUCCESS);
    assert_int_equal(tdh_mr_finalize(td), TDX_SUCCESS);
    return td;
}

struct tdx_report report_of(struct tdx_td *td, uint8_t fill)
{
    uint8_t data[TDX_REPORT_DATA_SIZE];
    struct tdx_report report;
    memset(data, fill, sizeof data);
    assert_int_equal(tdg_mr_report(td, data, &report), TDX_SUCCESS);
    return report;
}

void new_dir(char path[4096])
{
    snprintf(path, 4096, "%s/new.XXXXXX", base_dir());
    assert_non_null(mkdtemp(path));
    assert_int_equal(rmdir(path), 0);
}

void remove_dir(const char *path)
{
    char file[8192];
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        (void)unlink(file);
    }
    closedir(dir);
    assert_int_equal(rmdir(path), 0);
}
