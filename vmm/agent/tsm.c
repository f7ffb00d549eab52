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

#define VTPM_GUID "c476f1eb-0123-45a5-9641-b4e7dde5bfe3" /* the service (AMD publication 58019, section 8) */

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

static int write_text(const char *directory, const char *name, const char *text, struct cofre_err *err)
{
    return write_attribute(directory, name, (struct view){(const uint8_t *)text, strlen(text)}, err);
}

/* The kernel shows these attributes where its own VMPL is not 0. All services are asked for by no GUID. */
static int name_service(const char *directory, enum agent_service service, struct cofre_err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/service_provider", directory);
    if (access(path, F_OK) < 0)
        return cofre_fail(
            err, COFRE_LACKING,
            "this guest's kernel knows of no SVSM beneath it: there is no %s, which Linux 6.10 and "
            "later have where they run at a VMPL above 0",
            path);
    int rc = write_text(directory, "service_provider", "svsm", err);
    return rc < 0 || service == SERVICE_ALL ? rc : write_text(directory, "service_guid", VTPM_GUID, err);
}

/* Below an SVSM the firmware refuses the level that the kernel asks for by itself, 0; what this kernel may ask for is its own. A kernel
 * whose TEE has no levels, or one before Linux 6.7, does not say it. */
static int name_level(const char *directory, struct cofre_err *err)
{
    char path[PATH_MAX];
    CLEAN_BYTES floor = {0};
    snprintf(path, sizeof path, "%s/privlevel_floor", directory);
    if (access(path, F_OK) < 0)
        return 0;
    int rc = read_attribute(directory, "privlevel_floor", &floor, err);
    return rc < 0 ? rc : write_attribute(directory, "privlevel", bytes_view(&floor), err);
}

static int read_manifest(const char *directory, struct agent_evidence *out, struct cofre_err *err)
{
    int rc = read_attribute(directory, "manifestblob", &out->manifest, err);
    return rc == 0 && out->manifest.len == 0
               ? cofre_fail(err, COFRE_FAILED, "the SVSM gave a report without a manifest")
               : rc;
}

static int ask(const char *root, const enum agent_service *service,
               const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out, struct cofre_err *err)
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
    int rc = service ? name_service(directory, *service, err) : name_level(directory, err);
    if (rc == 0)
        rc = write_attribute(directory, "inblob", (struct view){report_data, REPORT_DATA_SIZE}, err);
    if (rc == 0)
        rc = generation(directory, &before, err);
    if (rc == 0)
        rc = read_attribute(directory, "outblob", &out->report, err);
    if (rc == 0 && service)
        rc = read_manifest(directory, out, err);
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

int tsm_get(const char *root, const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
            struct cofre_err *err)
{
    return ask(root, NULL, report_data, out, err);
}

int tsm_get_service(const char *root, enum agent_service service, const uint8_t report_data[REPORT_DATA_SIZE],
                    struct agent_evidence *out, struct cofre_err *err)
{
    return ask(root, &service, report_data, out, err);
}
