/* cofred-parser: the zygote, whose copies parsers are. Each library that is mapped here costs every connection. */
#include "vmm/host/cofred/confine.h"
#include "vmm/host/cofred/part.h"
#include "vmm/host/front/zygote.h"

static const struct parser_limits parser_limits = {
    .request_seconds = 30, .idle_seconds = 120, .beat_seconds = 30};

static int run_zygote(const struct config *config, struct cofre_err *err)
{
    int rc = confine(config->gate.uid, config->gate.gid, CONFINE_NO_NETWORK | CONFINE_NO_PROGRAMS, err);
    return rc < 0 ? rc : zygote_run(PART_FIRST_FD, &parser_limits, err);
}

const struct part_here parts_here[] = {{PART_ZYGOTE, run_zygote}, {PARTS, NULL}};
