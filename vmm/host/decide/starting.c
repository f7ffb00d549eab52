/* From a row that says "starting" to a process: disks are made where they are not yet, which may take long and is done in a thread;
 * images are opened; hands gets the descriptors. Whatever fails is the run's end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/decide/parts.h"

#define LOG_ROOM "start"
#include "vmm/base/log.h"

struct starter {
    struct decider *decider;
    uint32_t run, guest;
    char tenant[HANDS_TENANT_SIZE];
    json_t *definition;
    struct hands_start start;
    int fd[HANDS_DESCRIPTORS_MAX];
    unsigned fds;
    struct {
        struct guest_disk disk;
        int image; /* -1: it begins empty */
    } make[HANDS_DISKS_MAX];
    unsigned makes;
    struct job make_all;
    int rc;
    struct cofre_err err;
    TAILQ_ENTRY(starter) entry;
};

static void starter_free(struct starter *s)
{
    TAILQ_REMOVE(&s->decider->starters, s, entry);
    job_end(&s->make_all);
    for (unsigned i = 0; i < s->fds; i++)
        close(s->fd[i]);
    for (unsigned i = 0; i < s->makes; i++)
        if (s->make[i].image >= 0)
            close(s->make[i].image);
    json_decref(s->definition);
    free(s);
}

/* A disk that is being made is made again at the next start, as its row says. */
void starters_free(struct decider *d)
{
    struct starter *s;
    images_end(d->images);
    while ((s = TAILQ_FIRST(&d->starters)))
        starter_free(s);
}

static void fail(struct starter *s)
{
    log_warn("run %u: %s", s->run, s->err.text);
    news_of_end(s->decider, s->run, -1, false, s->err.text);
    starter_free(s);
}

/* Hands */

static void was_asked(void *context, int rc, const struct hands_answer *answer, int fd,
                      const struct cofre_err *why)
{
    struct starter *s = context;
    (void)answer;
    (void)fd;
    if (rc == 0) {
        starter_free(s);
        return;
    }
    s->err = *why;
    fail(s);
}

static int open_one(struct starter *s, const char *text, struct cofre_err *err)
{
    struct image_digest digest;
    int rc = image_digest_parse(&digest, text, err);
    if (rc == 0)
        rc = image_open(&s->fd[s->fds], s->decider->images, s->decider->db, s->tenant, &digest, err);
    s->fds += rc == 0;
    return rc;
}

static int open_disk(struct starter *s, const json_t *disk, unsigned place, struct cofre_err *err)
{
    struct guest_disk own;
    if (s->start.disk[place].read_only)
        return open_one(s, member_text(disk, "image", ""), err);
    int rc = guest_disk_find(&own, s->decider->db, s->guest, place, err);
    if (rc == 0)
        rc = guest_disk_open(&s->fd[s->fds], s->decider->images, &own, err);
    s->fds += rc == 0;
    return rc;
}

/* In the order of enum hands_given, then the disks. */
static int open_all(struct starter *s, struct cofre_err *err)
{
    static const struct {
        const char *member;
        uint32_t bit;
    } files[] = {{"kernel", HANDS_KERNEL},
                 {"initrd", HANDS_INITRD},
                 {"id_block", HANDS_ID_BLOCK},
                 {"id_auth", HANDS_ID_AUTH},
                 {"certificates", HANDS_CERTIFICATES}};
    const json_t *disk;
    size_t i;
    int rc = 0;
    for (i = 0; rc == 0 && i < sizeof files / sizeof *files; i++)
        if (member_at(s->definition, files[i].member)) {
            s->start.given |= files[i].bit;
            rc = open_one(s, member_text(s->definition, files[i].member, ""), err);
        }
    json_array_foreach(member_at(s->definition, "disks"), i, disk) rc =
        rc < 0 ? rc : open_disk(s, disk, (unsigned)i, err);
    return rc;
}

/* While disks were made it may have been asked to end. */
static int check_wanted(struct starter *s, struct cofre_err *err)
{
    CLEAN_GUEST_ROW guest = {.number = 0};
    int rc = guest_row_find_run(&guest, s->decider->db, s->run, err);
    return rc == 0 && guest.state == GUEST_STARTING ? 0
           : rc < 0                                 ? rc
                    : cofre_fail(err, COFRE_NEGATIVE, "it was asked to end before it was there");
}

static void ask_hands(struct starter *s)
{
    s->rc = check_wanted(s, &s->err);
    if (s->rc == 0)
        s->rc = open_all(s, &s->err);
    if (s->rc == 0)
        s->rc = hands_client_ask(s->decider->hands, HANDS_START, s->run, &s->start, s->fd, s->fds, was_asked,
                                 s, &s->err);
    if (s->rc < 0)
        fail(s);
}

/* Disks */

static int make_disks(void *context, struct cofre_err *err)
{
    const struct starter *s = context;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < s->makes; i++)
        rc = guest_disk_make(s->decider->images, &s->make[i].disk, s->make[i].image, err);
    return rc;
}

static int note_disks(struct db *db, void *context, struct cofre_err *err)
{
    struct starter *s = context;
    int rc = 0;
    for (unsigned i = 0; rc >= 0 && i < s->makes; i++)
        rc = guest_disk_made(db, &s->make[i].disk, err);
    return rc < 0 ? rc : 0;
}

static void disks_made(void *context)
{
    struct starter *s = context;
    s->rc = s->make_all.rc;
    s->err = s->make_all.err;
    if (s->rc == 0)
        s->rc = db_atomically(s->decider->db, note_disks, s, &s->err);
    if (s->rc < 0)
        fail(s);
    else
        ask_hands(s);
}

static int find_disks(struct starter *s, struct cofre_err *err)
{
    struct decider *d = s->decider;
    for (unsigned i = 0; i < s->start.disks; i++) {
        struct guest_disk disk;
        if (s->start.disk[i].read_only)
            continue;
        int rc = guest_disk_find(&disk, d->db, s->guest, i, err);
        if (rc == 0 && disk.made)
            continue;
        s->make[s->makes].disk = disk;
        s->make[s->makes].image = -1;
        if (rc == 0 && disk.copy)
            rc = image_open(&s->make[s->makes].image, d->images, d->db, s->tenant, &disk.image, err);
        if (rc < 0)
            return rc;
        s->makes++;
    }
    return 0;
}

static int begin(struct starter *s, const struct guest_row *guest, struct cofre_err *err)
{
    int rc = guest_definition(&s->definition, s->decider->db, guest->number, guest->started_version, err);
    if (rc == 0)
        rc = definition_to_start(&s->start, s->definition, s->decider->config, err);
    (void)snprintf(s->start.tenant, sizeof s->start.tenant, "%s", s->tenant);
    if (rc == 0)
        rc = find_disks(s, err);
    if (rc < 0 || s->makes == 0)
        return rc;
    s->make_all = (struct job){.work = make_disks, .done = disks_made, .context = s};
    return job_begin(&s->make_all, s->decider->base, err);
}

void starting_begin(struct decider *d, const struct guest_row *guest, uint32_t former_run)
{
    struct starter *s = calloc(1, sizeof *s);
    if (former_run)
        hands_do(d, HANDS_REMOVE, former_run);
    if (!s) {
        news_of_end(d, guest->run, -1, false, "no memory to start it");
        return;
    }
    s->decider = d;
    s->run = guest->run;
    s->guest = guest->number;
    (void)snprintf(s->tenant, sizeof s->tenant, "%s", guest->tenant);
    TAILQ_INSERT_TAIL(&d->starters, s, entry);
    s->rc = begin(s, guest, &s->err);
    if (s->rc < 0)
        fail(s);
    else if (!s->make_all.runs)
        ask_hands(s);
}
