#include "attest/log/growing_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_FAILED, "%s: %s", what, strerror(errno));
}

int growing_file_open(struct growing_file *out, int fd, struct cofre_err *err)
{
    struct stat st;
    *out = (struct growing_file){.fd = fd};
    int rc = bytes_alloc(&out->held, GROWING_HELD_MAX, err);
    if (rc == 0 && fstat(fd, &st) < 0)
        rc = failed(err, "its size cannot be read");
    if (rc < 0) {
        growing_file_close(out);
        return rc;
    }
    out->written = (uint64_t)st.st_size;
    return 0;
}

void growing_file_close(struct growing_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    bytes_free(&f->held);
    *f = (struct growing_file){.fd = -1};
}

static int write_at(int fd, uint64_t offset, struct view data, struct cofre_err *err)
{
    for (size_t done = 0; done < data.len;) {
        ssize_t n = pwrite(fd, data.data + done, data.len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(err, "it cannot be written");
        done += (size_t)n;
    }
    return 0;
}

static int write_behind(struct growing_file *f, struct view data, struct cofre_err *err)
{
    int rc = write_at(f->fd, f->written, data, err);
    if (rc == 0)
        f->written += data.len;
    return rc;
}

int growing_file_flush(struct growing_file *f, struct cofre_err *err)
{
    int rc = write_behind(f, (struct view){f->held.data, f->held_len}, err);
    if (rc == 0)
        f->held_len = 0;
    return rc;
}

int growing_file_append(struct growing_file *f, struct view data, struct cofre_err *err)
{
    if (data.len > GROWING_HELD_MAX - f->held_len) {
        int rc = growing_file_flush(f, err);
        if (rc < 0 || data.len > GROWING_HELD_MAX)
            return rc < 0 ? rc : write_behind(f, data, err);
    }
    if (data.len)
        memcpy(f->held.data + f->held_len, data.data, data.len);
    f->held_len += data.len;
    return 0;
}

int growing_file_sync(struct growing_file *f, struct cofre_err *err)
{
    int rc = growing_file_flush(f, err);
    return rc == 0 && fdatasync(f->fd) < 0 ? failed(err, "it cannot be written to the disk") : rc;
}

/* Of the part that the kernel has. */
static int read_written(const struct growing_file *f, uint64_t offset, uint8_t *out, size_t len,
                        struct cofre_err *err)
{
    while (len > 0) {
        ssize_t n = pread(f->fd, out, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(err, "it cannot be read");
        if (n == 0)
            return cofre_fail(err, COFRE_FAILED, "it became shorter while it was read");
        out += n;
        offset += (size_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int growing_file_read(const struct growing_file *f, uint64_t offset, void *out, size_t len,
                      struct cofre_err *err)
{
    uint64_t size = growing_file_size(f);
    if (offset > size || len > size - offset)
        return cofre_fail(err, COFRE_FAILED, "it ends before byte %llu", (unsigned long long)(offset + len));
    size_t there = 0;
    if (offset < f->written)
        there = len < f->written - offset ? len : (size_t)(f->written - offset);
    int rc = read_written(f, offset, out, there, err);
    if (rc == 0 && len > there)
        memcpy((uint8_t *)out + there, f->held.data + (offset + there - f->written), len - there);
    return rc;
}

int growing_file_rewrite(struct growing_file *f, uint64_t offset, struct view data, struct cofre_err *err)
{
    return write_at(f->fd, offset, data, err);
}

int growing_file_cut(struct growing_file *f, uint64_t size, struct cofre_err *err)
{
    if (ftruncate(f->fd, (off_t)size) < 0)
        return failed(err, "it cannot be cut");
    f->written = size;
    return 0;
}
