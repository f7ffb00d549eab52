#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/host/cofred/part.h"

/* The parts share the file's position, so it is not used. */
static int read_config(struct config *out, struct cofre_err *err)
{
    static uint8_t text[CONFIG_FILE_MAX];
    const ssize_t len = pread(PART_CONFIG_FD, text, sizeof text, 0);
    *out = (struct config){0};
    return len > 0 ? config_parse(out, (struct view){text, (size_t)len}, err)
                   : cofre_fail(err, COFRE_USAGE, "a part is started by cofred, and not by hand");
}

static int run(const char *name, struct cofre_err *err)
{
    struct config config;
    for (const struct part_here *p = parts_here; p->run; p++)
        if (strcmp(part_name(p->part), name) == 0) {
            int rc = read_config(&config, err);
            if (rc == 0)
                rc = p->run(&config, err);
            config_free(&config);
            return rc;
        }
    return cofre_fail(err, COFRE_USAGE, "--part %s: there is no such part", name);
}

void part_run(const char *name)
{
    struct cofre_err err = {""};
    const int rc = run(name, &err);
    if (rc < 0)
        fprintf(stderr, "cofred: %s: %s\n", name, err.text);
    _exit(-rc); /* what a sanitizer does at an exit takes what a part has given up */
}
