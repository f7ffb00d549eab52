/* Images: what comes in is read and hashed in a thread of its own, between two turns. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/host/decide/parts.h"

#define PAGE       100
#define CHUNK      65536
#define SILENCE_MS 60000 /* in which the next byte of an upload must come */

struct incoming {
    struct call *call;
    struct image_upload *upload;
    struct image_digest digest;
    int fd; /* where its bytes come from; -1 */
    struct job read;
};

static void incoming_free(void *data)
{
    struct incoming *in = data;
    if (!in)
        return;
    if (in->fd >= 0) /* so that it waits for no more */
        (void)shutdown(in->fd, SHUT_RDWR);
    job_end(&in->read);
    if (in->fd >= 0)
        close(in->fd);
    image_upload_free(in->upload);
    free(in);
}

/* Until the end that whoever sends makes. */
static int read_all(void *context, struct cofre_err *err)
{
    struct incoming *in = context;
    CLEAN_FREE uint8_t *chunk = malloc(CHUNK);
    if (!chunk)
        return cofre_fail(err, COFRE_FAILED, "no memory for an image's bytes");
    for (;;) {
        ssize_t got = read(in->fd, chunk, CHUNK);
        if (got == 0)
            return image_upload_finish(in->upload, err);
        if (got < 0 && errno == EAGAIN) {
            struct pollfd poll_fd = {.fd = in->fd, .events = POLLIN};
            if (poll(&poll_fd, 1, SILENCE_MS) == 0)
                return cofre_fail(err, COFRE_MALFORMED, "no byte of the image came for %d seconds",
                                  SILENCE_MS / 1000);
            continue;
        }
        if (got < 0 && errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "an image's bytes cannot be read: %s", strerror(errno));
        int rc = got > 0 ? image_upload_write(in->upload, (struct view){chunk, (size_t)got}, err) : 0;
        if (rc < 0)
            return rc;
    }
}

static int keep(struct call *call, struct cofre_err *err)
{
    struct incoming *in = call->data;
    if (in->read.rc < 0)
        return cofre_fail(err, (enum cofre_error) - in->read.rc, "%s", in->read.err.text);
    int rc = image_upload_keep(in->upload, call->db, call->now, access_caller_name(&call->who), err);
    if (rc >= 0)
        rc = image_show(&call->answer, call->db, call_part(call, 0), &in->digest, err);
    if (rc >= 0)
        call->after = strdup(call_part(call, 1));
    return rc < 0 ? rc : 0;
}

static void all_there(void *context)
{
    call_again(((struct incoming *)context)->call, keep);
}

static void let_it_come(struct call *call)
{
    struct incoming *in = call->data;
    struct job *read = &in->read;
    *read = (struct job){.work = read_all, .done = all_there, .context = in};
    read->rc = call->caller ? caller_upload(call->caller, call->request.id, &in->fd, &read->err)
                            : cofre_fail(&read->err, COFRE_FAILED, "whoever sent the image is gone");
    if (read->rc == 0)
        read->rc = job_begin(read, call->decider->base, &read->err);
    if (read->rc < 0)
        call_again(call, keep);
}

/* With the one that begins, and others that come at the same time. */
static int check_number(struct call *call, struct cofre_err *err)
{
    const uint64_t quota = tenant_quota(&call->tenant, "images");
    uint64_t images = 0;
    int rc = images_count(&images, call->decider->images, call->db, call->tenant.name, err);
    if (rc == 0 && images > quota)
        rc = cofre_fail(err, COFRE_LACKING, "tenant %s has %llu images, and its quota is %llu",
                        call->tenant.name, (unsigned long long)images - 1, (unsigned long long)quota);
    return rc;
}

int work_image_add(struct call *call, struct cofre_err *err)
{
    struct incoming *in = calloc(1, sizeof *in);
    if (call->free_data)
        call->free_data(call->data);
    call->data = in;
    call->free_data = incoming_free;
    if (!in)
        return cofre_fail(err, COFRE_FAILED, "no memory for an image");
    in->call = call;
    in->fd = -1;
    if (call->request.upload == MESSAGE_UPLOAD_OPEN)
        return cofre_fail(err, COFRE_MALFORMED, "say how long the image is (Content-Length)");
    int rc = image_digest_parse(&in->digest, call_part(call, 1), err);
    if (rc == 0)
        rc = image_upload_begin(&in->upload, call->decider->images, call->db, call->tenant.name, &in->digest,
                                call->request.upload, tenant_quota(&call->tenant, "storage"), err);
    if (rc < 0)
        return rc;
    if (rc == 1) /* it is here */
        return image_show(&call->answer, call->db, call->tenant.name, &in->digest, err);
    rc = check_number(call, err);
    if (rc < 0)
        return rc;
    call->begun = call->hold = true;
    call->then = let_it_come;
    return 0;
}

int work_image_list(struct call *call, struct cofre_err *err)
{
    const char *after = member_text(call->request.query, "after", NULL);
    const int64_t limit = (int64_t)call_query(call, "limit", PAGE);
    struct image_digest from;
    json_t *rows = NULL;
    int rc = after ? image_digest_parse(&from, after, err) : 0;
    if (rc == 0)
        rc = image_list(&rows, call->db, call->tenant.name, after ? &from : NULL, limit, err);
    if (rc < 0)
        return rc == -COFRE_USAGE ? -COFRE_MALFORMED : rc;
    call->answer = json_pack("{s:o}", "images", rows);
    if (call->answer && json_array_size(rows) == (size_t)limit)
        json_object_set(call->answer, "next",
                        json_object_get(json_array_get(rows, (size_t)limit - 1), "digest"));
    return call->answer ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}

static int resolve(struct image_digest *out, struct call *call, struct cofre_err *err)
{
    return image_resolve(out, call->db, call->tenant.name, call_part(call, 1), err);
}

int work_image_show(struct call *call, struct cofre_err *err)
{
    struct image_digest digest;
    int rc = resolve(&digest, call, err);
    return rc < 0 ? rc : image_show(&call->answer, call->db, call->tenant.name, &digest, err);
}

/* By its digest the image; by a tag the tag alone. */
int work_image_delete(struct call *call, struct cofre_err *err)
{
    struct image_digest digest;
    const char *name = call_part(call, 1);
    call->before = strdup(name);
    if (image_digest_parse(&digest, name, NULL) == 0)
        return image_delete(call->decider->images, call->db, call->tenant.name, &digest, err);
    return image_untag(call->db, call->tenant.name, name, err);
}

int work_image_tag(struct call *call, struct cofre_err *err)
{
    struct image_digest digest;
    const char *tag = call_part(call, 1), *image = member_text(call->request.body, "image", "");
    int rc = image_digest_parse(&digest, image, err);
    if (rc == 0)
        rc = image_tag(call->db, call->tenant.name, tag, &digest, call->now, err);
    if (rc < 0)
        return rc;
    call->after = strdup(image);
    call->answer = json_pack("{s:s, s:s}", "tag", tag, "image", image);
    return call->answer ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}
