#include "vmm/host/cofred/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attest/store/db_log.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/host/cofred/confine.h"

/* Another process */

static int be_decider(const struct config *config, int (*work)(void *, struct cofre_err *), void *context,
                      struct cofre_err *err)
{
    int rc = confine(config->decider.uid, config->decider.gid, CONFINE_NO_NETWORK | CONFINE_NO_PROGRAMS, err);
    return rc < 0 ? rc : work(context, err);
}

int backup_as_decider(const struct config *config, int (*work)(void *context, struct cofre_err *err),
                      void *context, struct cofre_err *err)
{
    int status = 0;
    struct cofre_err *said =
        mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (said == MAP_FAILED)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        const int rc = be_decider(config, work, context, said);
        _exit(rc < 0 ? -rc : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        (void)cofre_fail(said, COFRE_FAILED, "the process that was to do it did not come to its end");
    const int rc = pid < 0 || !WIFEXITED(status) ? -COFRE_FAILED : -WEXITSTATUS(status);
    if (rc < 0 && err)
        *err = *said;
    (void)munmap(said, sizeof *said);
    return rc;
}

/* The document */

struct making {
    const char *name; /* of out */
    int out;
    char database[PATH_MAX], copy[PATH_MAX], key[PATH_MAX]; /* key: the public one */
};

static int keep(void *context, struct view bytes, struct cofre_err *err)
{
    return bytes_copy(context, bytes, err);
}

/* From the copy, so that the head is of what is in it. */
static int head_of(struct bytes *out, const char *copy, struct cofre_err *err)
{
    struct db *db = NULL;
    int64_t size;
    int rc = db_open(&db, copy, err);
    if (rc == 0)
        rc = db_log_head(db, &size, keep, out, err);
    db_close(db);
    return rc;
}

/* Reads the copy once, to its end; to: -1, or where it goes as well. */
static int digest(int fd, int to, char hex[65], uint64_t *size, struct cofre_err *err)
{
    static uint8_t part[1 << 16];
    uint8_t sha256[32];
    CLEAN(md) EVP_MD_CTX *hash = EVP_MD_CTX_new();
    ssize_t n = -1;
    int good = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 && lseek(fd, 0, SEEK_SET) == 0;
    for (*size = 0; good && (n = read(fd, part, sizeof part)) > 0; *size += (uint64_t)n)
        good = EVP_DigestUpdate(hash, part, (size_t)n) == 1 && (to < 0 || write(to, part, (size_t)n) == n);
    if (!good || n < 0 || EVP_DigestFinal_ex(hash, sha256, NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "the copy cannot be read, or written: %s", strerror(errno));
    hex_encode(hex, sha256, sizeof sha256);
    return 0;
}

static int line_of(char **out, const struct making *m, int copy, struct cofre_err *err)
{
    CLEAN_BYTES head = {0}, key = {0};
    char sha256[65];
    uint64_t size = 0;
    int rc = head_of(&head, m->copy, err);
    if (rc == 0)
        rc = file_read(&key, m->key, BACKUP_LINE_MAX / 4, err);
    if (rc == 0)
        rc = digest(copy, -1, sha256, &size, err);
    if (rc < 0)
        return rc;
    CLEAN_FREE char *hex = malloc(2 * head.len + 1);
    if (hex)
        hex_encode(hex, head.data, head.len);
    CLEAN_JSON *line = json_pack("{s:s, s:I, s:s, s:s%, s:I, s:s}", "format", BACKUP_FORMAT, "made",
                                 (json_int_t)time(NULL), "head", hex ? hex : "", "key", key.data, key.len,
                                 "size", (json_int_t)size, "sha256", sha256);
    *out = line ? json_dumps(line, JSON_COMPACT) : NULL;
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "the backup's first line cannot be made");
}

static int write_document(const struct making *m, struct cofre_err *err)
{
    CLEAN_FREE char *line = NULL;
    char sha256[65];
    uint64_t size;
    CLEAN_FD copy = open(m->copy, O_RDONLY | O_CLOEXEC);
    if (copy < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", m->copy, strerror(errno));
    int rc = line_of(&line, m, copy, err);
    if (rc == 0 && dprintf(m->out, "%s\n", line) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "%s: %s", m->name, strerror(errno));
    if (rc == 0)
        rc = digest(copy, m->out, sha256, &size, err);
    if (rc == 0 && fsync(m->out) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "%s: %s", m->name, strerror(errno));
    return rc;
}

static int make(void *context, struct cofre_err *err)
{
    struct making *m = context;
    struct db *db = NULL;
    if (access(m->database, R_OK) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", m->database, strerror(errno));
    int rc = db_open(&db, m->database, err);
    if (rc == 0)
        rc = db_copy(db, m->copy, err);
    db_close(db);
    if (rc == 0)
        rc = write_document(m, err);
    (void)unlink(m->copy);
    return rc;
}

int backup_make(const struct config *config, const char *out, struct cofre_err *err)
{
    struct making *m = calloc(1, sizeof *m);
    if (!m)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    m->name = out;
    (void)snprintf(m->database, sizeof m->database, "%s/%s", config->state, BACKUP_DATABASE);
    (void)snprintf(m->copy, sizeof m->copy, "%s/%s", config->state, BACKUP_COPY);
    (void)snprintf(m->key, sizeof m->key, "%s/log-key.pem.pub", config->state);
    m->out = open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = m->out < 0 ? cofre_fail(err, COFRE_LACKING, "%s: %s", out, strerror(errno))
                        : backup_as_decider(config, make, m, err);
    if (m->out >= 0 && rc < 0)
        (void)unlink(out);
    cleanup_close(&m->out);
    free(m);
    return rc;
}
