/* What the tests of the emulated TDX module share: a platform, and a TD at each step of its life. */
#ifndef COFRE_TEST_TDX_MODEL_FIXTURE_H
#define COFRE_TEST_TDX_MODEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tdx/model/module.h"
#include "tdx/model/platform.h"

/* A platform on the build tree's directory; version of its quotes, 0 for the default. */
struct tdx_platform *open_platform(unsigned quote_version);

/* Parameters that are allowed: SEPT_VE_DISABLE, x87 to AVX, 2 vCPUs, 48 bits. */
struct tdx_td_params good_params(void);

enum life { CREATED, INITIALISED, RUNNING, LIVES };
/* A TD at that step; a running one has 2 vCPUs, and one measured page of 0x5a at 0x1000. */
struct tdx_td *td_in(enum life life, const struct tdx_platform *platform);

/* Its report over 64 bytes of fill. */
struct tdx_report report_of(struct tdx_td *td, uint8_t fill);

/* A new directory below the build tree's, which does not exist yet; and everything of it removed. */
void new_dir(char path[4096]);
void remove_dir(const char *path);

#endif
