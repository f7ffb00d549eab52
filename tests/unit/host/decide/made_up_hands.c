#include "tests/unit/host/decide/made_up_hands.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <openssl/sha.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/cofred/log_key.h"
#include "vmm/host/decide/decider.h"
#include "vmm/host/front/identity.h"
#include "vmm/host/front/pair.h"
#include "vmm/host/hands/channel.h"
#include "vmm/host/store/tables.h"

#define QUIET   128 /* turns of its loop in which it asks for nothing: it is done. It takes one answer a turn */
#define WAIT_MS 60000

static void must(int rc, const struct cofre_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

void made_decider_make(struct made_decider *m)
{
    struct cofre_err err;
    struct db *db = NULL;
    *m = (struct made_decider){.folder = "/tmp/cofre-decide-XXXXXX"};
    assert_non_null(mkdtemp(m->folder));
    (void)snprintf(m->database, sizeof m->database, "%s/cofred.db", m->folder);
    (void)snprintf(m->key, sizeof m->key, "%s/key.pem", m->folder);
    (void)snprintf(m->images, sizeof m->images, "%s/images", m->folder);
    assert_int_equal(mkdir(m->images, 0700), 0);
    must(log_key_make(m->key, &err), &err);
    must(db_open(&db, m->database, &err), &err);
    must(tables_bring(db, &err), &err);
    db_close(db);
}

void made_decider_remove(struct made_decider *m)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r '%s'", m->folder);
    assert_int_equal(system(command), 0);
}

static int keep(struct db *db, void *context, struct cofre_err *err)
{
    int rc = image_upload_keep(context, db, 1, "a test", err);
    return rc < 0 ? rc : 0;
}

void made_decider_image(struct made_decider *m, const char *tenant, char out[static IMAGE_DIGEST_TEXT])
{
    static const char text[] = "kernel of the test";
    struct image_digest digest;
    struct image_upload *upload = NULL;
    struct images *images = NULL;
    struct db *db = NULL;
    struct cofre_err err;
    const struct view bytes = {(const uint8_t *)text, strlen(text)};
    (void)SHA256(bytes.data, bytes.len, digest.sha256);
    image_digest_text(out, &digest);
    must(db_open(&db, m->database, &err), &err);
    must(images_open(&images, open(m->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &err), &err);
    must(images_sweep(images, db, &err), &err);
    must(image_upload_begin(&upload, images, db, tenant, &digest, bytes.len, UINT64_MAX, &err), &err);
    must(image_upload_write(upload, bytes, &err), &err);
    must(image_upload_finish(upload, &err), &err);
    must(db_atomically(db, keep, upload, &err), &err);
    must(images_settle(images, db, &err), &err);
    image_upload_free(upload);
    images_close(images);
    db_close(db);
}

/* The decider */

static int decide(struct made_decider *m, int hands, int gate, int alive)
{
    static const struct access_config access;
    struct cofre_err err = {""};
    const struct decider_config config = {
        .database = m->database,
        .log_name = "operations of a test",
        .log_key = m->key,
        .access = &access,
        .images = open(m->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .gate = gate,
        .hands = hands,
        .journal = m->journal[0],
        .alive = alive,
        .clock = -1,
    };
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int rc = decider_run(&config, &err);
    if (rc < 0)
        (void)fprintf(stderr, "# decider: %s\n", err.text);
    return -rc;
}

static void start(struct made_decider *m)
{
    int hands[2], gate[2], alive[2];
    const int type = SOCK_SEQPACKET | SOCK_CLOEXEC;
    assert_int_equal(socketpair(AF_UNIX, type, 0, hands), 0);
    assert_int_equal(socketpair(AF_UNIX, type, 0, gate), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, alive), 0);
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, m->journal), 0);
    (void)fflush(NULL);
    m->pid = fork();
    if (m->pid == 0) {
        close(hands[0]);
        close(gate[0]);
        close(alive[0]);
        _exit(decide(m, hands[1], gate[1], alive[1]));
    }
    close(hands[1]);
    close(gate[1]);
    close(alive[1]);
    close(m->journal[0]);
    m->hands = hands[0];
    m->gate = gate[0];
    m->alive = alive[0];
}

static void stop(struct made_decider *m)
{
    int status;
    assert_int_equal(kill(m->pid, SIGTERM), 0);
    assert_int_equal(waitpid(m->pid, &status, 0), m->pid);
    assert_int_equal(status, 0);
    close(m->hands);
    close(m->gate);
    close(m->alive);
}

/* Hands */

/* As many launches as the list says; all else is empty. */
static int open_file(const struct hands_request *r, const struct hands_list *list)
{
    const int file = memfd_create("file of a guest", MFD_CLOEXEC);
    assert_true(file >= 0);
    for (uint32_t i = 0; r->open.file == HANDS_FILE_LAUNCHES && i < list->count; i++)
        for (uint32_t n = 0; list->entry[i].guest == r->header.guest && n < list->entry[i].launches; n++)
            assert_int_equal(dprintf(file, "{}\n"), 3);
    return file;
}

/* A caller's pair, whose parser is gone at once. */
static void call(struct made_decider *m)
{
    const struct identity somebody = {
        .version = IDENTITY_VERSION, .kind = IDENTITY_UNIX, .uid = 1000, .address = "unix"};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pair_send(m->gate, (struct view){(const void *)&somebody, sizeof somebody}, &pair[0], 1),
                     0);
    close(pair[0]);
    close(pair[1]);
}

static bool is_heard(const struct made_decider *m)
{
    int waiting = 0;
    assert_int_equal(ioctl(m->gate, SIOCOUTQ, &waiting), 0);
    return waiting == 0;
}

static bool has_request(const struct made_decider *m)
{
    struct pollfd hands = {.fd = m->hands, .events = POLLIN};
    return poll(&hands, 1, 0) > 0;
}

/* It had time enough to hear. */
static void turn_loop(struct made_decider *m)
{
    char byte = '?';
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(write(m->alive, &byte, 1), 1);
        assert_int_equal(read(m->alive, &byte, 1), 1);
    }
}

/* What hands finds out before it is asked for its list: all of it is in there too. */
static void tell_news(struct made_decider *m, const struct hands_list *list)
{
    static struct hands_answer a;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct hands_entry *e = &list->entry[i];
        if (e->state != HANDS_HAS_ENDED)
            continue;
        memset(&a, 0, sizeof a);
        a.header = (struct hands_header){.version = HANDS_VERSION, .what = HANDS_ENDED, .guest = e->guest};
        a.ended = e->ended;
        assert_int_equal(channel_send(m->hands, &a, HANDS_ANSWER_HEAD + sizeof a.ended, NULL, 0), 0);
    }
}

static void answer(struct made_decider *m, const struct hands_request *r, const struct hands_list *list)
{
    static struct hands_answer a;
    CLEAN_FD file = -1;
    size_t size = HANDS_ANSWER_HEAD;
    memset(&a, 0, sizeof a);
    a.header = r->header;
    if (r->header.what == HANDS_HOST) {
        a.host = (struct hands_host){.guests_max = 64, .memory = 1ULL << 40, .memory_available = 1ULL << 40};
        a.host.cpus[0] = 3;
        size += sizeof a.host;
    }
    if (r->header.what == HANDS_LIST) {
        tell_news(m, list);
        turn_loop(m);
        m->heard_early = is_heard(m);
        m->asked_early = has_request(m);
        a.list = *list;
        size += offsetof(struct hands_list, entry) + list->count * sizeof *list->entry;
    }
    if (r->header.what == HANDS_OPEN)
        file = open_file(r, list);
    assert_int_equal(channel_send(m->hands, &a, size, &file, file >= 0), 0);
}

static void close_all(int *fds, unsigned count)
{
    while (count)
        close(fds[--count]);
}

/* Whether there was a request. */
static bool take_request(struct made_decider *m, const struct hands_list *list,
                         void (*asked)(void *context, const struct hands_request *request), void *context)
{
    static struct hands_request r;
    int fds[HANDS_DESCRIPTORS_MAX];
    unsigned count = 0;
    struct cofre_err err;
    memset(&r, 0, sizeof r);
    const ssize_t size = channel_receive(m->hands, &r, sizeof r, fds, &count, HANDS_DESCRIPTORS_MAX);
    if (size < 0 && errno == EAGAIN)
        return false;
    assert_true(size > 0);
    must(hands_request_check(&r, (size_t)size, &err), &err);
    close_all(fds, count);
    if (r.header.guest)
        asked(context, &r);
    answer(m, &r, list);
    return true;
}

void made_decider_run(struct made_decider *m, const struct hands_list *list,
                      void (*asked)(void *context, const struct hands_request *request), void *context)
{
    start(m);
    call(m);
    for (unsigned quiet = 0; quiet < QUIET;) {
        struct pollfd fds[] = {{.fd = m->hands, .events = POLLIN}, {.fd = m->alive, .events = POLLIN}};
        char byte = '?';
        assert_int_equal(write(m->alive, &byte, 1), 1);
        do
            assert_true(poll(fds, 2, WAIT_MS) > 0);
        while (!(fds[1].revents & POLLIN) && take_request(m, list, asked, context));
        assert_int_equal(read(m->alive, &byte, 1), 1);
        quiet++;
        while (take_request(m, list, asked, context))
            quiet = 0;
    }
    assert_true(is_heard(m));
    stop(m);
}
