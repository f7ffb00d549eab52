/* Evidence through configfs-tsm: a directory per request, so that two requests cannot mix. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/agent/provider.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

/* The kernel's names of its providers, and what we call the TEE behind each. */
static const struct {
    const char *provider, *tee;
} known_providers[] = {{"sev_guest", "snp"}, {"tdx_guest", "tdx"}};

bool tsm_present(const char *root)
{
    return access(root, W_OK | X_OK) == 0;
}

static void remove_request(char (*directory)[PATH_MAX])
{
    if ((*directory)[0])
        rmdir(*directory);
}

/* An attribute takes its value in one write(2). */
static int write_attribute(const char *directory, const char *name, struct view value, struct cofre_err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    CLEAN_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value.data, value.len) != (ssize_t)value.len)
        return cofre_fail(err, COFRE_FAILED, "%s cannot be written: %s", path, strerror(errno));
    return 0;
}

static int read_attribute(const char *directory, const char *name, struct bytes *out, struct cofre_err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return file_read(out, path, EVIDENCE_PART_MAX, err);
}

static int generation(const char *directory, unsigned long *out, struct cofre_err *err)
{
    CLEAN_BYTES text = {0};
    int rc = read_attribute(directory, "generation", &text, err);
    if (rc < 0)
        return rc;
    char digits[24] = {0};
    memcpy(digits, text.data, text.len < sizeof digits - 1 ? text.len : sizeof digits - 1);
    *out = strtoul(digits, NULL, 10);
    return 0;
}

static int name_tee(const char *directory, struct agent_evidence *out, struct cofre_err *err)
{
    CLEAN_BYTES provider = {0};
    int rc = read_attribute(directory, "provider", &provider, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof known_providers / sizeof *known_providers; i++) {
        size_t len = strlen(known_providers[i].provider);
        if (provider.len >= len && memcmp(provider.data, known_providers[i].provider, len) == 0) {
            out->tee = known_providers[i].tee;
            return 0;
        }
    }
    return cofre_fail(err, COFRE_LACKING, "the kernel's provider \"%.*s\" is not known here",
                      (int)provider.len, provider.data ? (const char *)provider.data : "");
}

int tsm_get(const char *root, const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
            struct cofre_err *err)
{
    __attribute__((cleanup(remove_request))) char directory[PATH_MAX] = "";
    static unsigned request;
    snprintf(directory, sizeof directory, "%s/cofre-%d-%u", root, getpid(), request++);
    if (mkdir(directory, 0700) < 0) {
        int rc = cofre_fail(err, COFRE_FAILED, "%s cannot be made: %s", directory, strerror(errno));
        directory[0] = 0;
        return rc;
    }
    unsigned long before, after;
    int rc = write_attribute(directory, "inblob", (struct view){report_data, REPORT_DATA_SIZE}, err);
    if (rc == 0)
        rc = generation(directory, &before, err);
    if (rc == 0)
        rc = read_attribute(directory, "outblob", &out->report, err);
    if (rc == 0)
        (void)read_attribute(directory, "auxblob", &out->certificates, NULL); /* not every TEE has one */
    if (rc == 0)
        rc = name_tee(directory, out, err);
    if (rc == 0)
        rc = generation(directory, &after, err);
    if (rc == 0 && after != before)
        rc = cofre_fail(err, COFRE_FAILED, "%s was written by another program during the request", directory);
    return rc;
}
