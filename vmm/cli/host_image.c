/* cofre image add: a file's digest, and then the file. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"

#define DIGEST_SIZE 32

/* The service is told the digest before the bytes, and takes nothing else. */
static int digest_of(char out[static OPERATION_PART_MAX], int fd, const char *path, struct cofre_err *err)
{
    CLEAN_FREE uint8_t *buffer = malloc(1 << 20);
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t digest[DIGEST_SIZE];
    ssize_t n = 1;
    bool ok = buffer && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    while (ok && n > 0) {
        n = read(fd, buffer, 1 << 20);
        if (n < 0)
            return cofre_fail(err, COFRE_USAGE, "%s: cannot be read: %s", path, strerror(errno));
        ok = EVP_DigestUpdate(md, buffer, (size_t)n) == 1;
    }
    if (!ok || EVP_DigestFinal_ex(md, digest, NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "%s: SHA-256 failed", path);
    memcpy(out, "sha256:", 7);
    hex_encode(out + 7, digest, sizeof digest);
    return lseek(fd, 0, SEEK_SET) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
}

static int open_file(int *fd, uint64_t *size, const char *path, struct cofre_err *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &st) < 0)
        return cofre_fail(err, COFRE_USAGE, "%s: cannot be opened: %s", path, strerror(errno));
    *size = (uint64_t)st.st_size;
    return S_ISREG(st.st_mode)
               ? 0
               : cofre_fail(err, COFRE_USAGE, "%s: is no file: its digest is sent before it", path);
}

static int tag_it(json_t *answer, const struct host_run *run, const char *digest, struct cofre_err *err)
{
    CLEAN_JSON *body = json_pack("{s:s}", "image", digest), *tagged = NULL;
    int rc =
        body ? host_ask(&tagged, run, OPERATION_IMAGE_TAG, (const char *const[]){run->tag}, NULL, body, err)
             : cofre_fail(err, COFRE_FAILED, "out of memory");
    json_t *tags = json_object_get(answer, "tags");
    if (rc >= 0 && json_is_array(tags))
        json_array_append_new(tags, json_string(run->tag));
    return rc < 0 ? cofre_within(err, rc, "%s is stored, but has no tag", digest) : 0;
}

int host_image_add(struct host_run *run, struct cofre_err *err)
{
    struct host_request request = {.progress = !run->json && isatty(STDERR_FILENO)};
    char digest[OPERATION_PART_MAX];
    const char *path = run->word[0];
    CLEAN_FREE char *url = NULL;
    CLEAN_JSON *answer = NULL;
    CLEAN_FD fd = -1;
    int rc = open_file(&fd, &request.upload_size, path, err);
    if (rc == 0)
        rc = digest_of(digest, fd, path, err);
    if (rc == 0)
        rc = host_prepare(&request, &url, run, run->operation, (const char *const[]){digest}, NULL, err);
    request.upload = fd;
    if (rc == 0)
        rc = host_call(&answer, &run->server, &request, err);
    if (rc >= 0 && run->tag)
        rc = tag_it(answer, run, digest, err);
    return rc < 0 ? rc : host_print(run, answer, err);
}
