/* What must hold of cofred and its host when nobody asks for anything. */
#include "tests/unit/host/cofred/kills.h"

#include <dirent.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/store/db.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/host/interface/schema.h"

#define ROWS_MAX 64
#define TURN_MS  40

bool kills_wrong(struct kills *k, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vsnprintf(k->why, sizeof k->why, format, list);
    va_end(list);
    return false;
}

static time_t now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* What is under way on the host takes its time; what is wrong stays so. */
static bool becomes(struct kills *k, bool (*so)(struct kills *k), unsigned seconds)
{
    const time_t until = now() + seconds;
    while (!so(k)) {
        if (now() >= until)
            return false;
        (void)poll(NULL, 0, TURN_MS);
    }
    return true;
}

/* States */

static unsigned where(const json_t *shown)
{
    static const struct {
        const char *state;
        unsigned where;
    } rests[] = {{"stopped", KILLS_STOPPED},
                 {"running", KILLS_RUNNING},
                 {"paused", KILLS_PAUSED},
                 {"failed", KILLS_FAILED}};
    if (!shown)
        return KILLS_ABSENT;
    if (member_boolean(shown, "starts_again", false))
        return 0;
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++)
        if (strcmp(member_text(shown, "state", ""), rests[i].state) == 0)
            return rests[i].where;
    return 0;
}

static const json_t *find(const json_t *list, const char *member, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (strcmp(member_text(one, member, ""), name) == 0)
            return one;
    }
    return NULL;
}

static bool has_settled(struct kills *k, struct kills_object *o, const json_t *guests, const json_t *images)
{
    const bool image = *o->name == 's'; /* sha256: */
    const json_t *shown = image ? find(images, "digest", o->name) : find(guests, "name", o->name);
    const unsigned is = image ? (shown ? KILLS_THERE : KILLS_ABSENT) : where(shown);
    if (!(is & o->may))
        return kills_wrong(k, "%s is %s (%s), and may be in %x", o->name,
                           member_text(shown, "state", "not as said"), member_text(shown, "why", ""), o->may);
    if (image || is == KILLS_ABSENT)
        return true;
    const unsigned label = 1U << atoi(member_text(member_at(shown, "labels"), "n", "31"));
    return label & o->labels ? true
                             : kills_wrong(k, "%s has label %x, and may have %x", o->name, label, o->labels);
}

static void keep(struct kills_object *o, const json_t *guests, const json_t *images)
{
    const json_t *shown = find(guests, "name", o->name);
    o->restarts = false;
    o->may = *o->name != 's' ? where(shown) : find(images, "digest", o->name) ? KILLS_THERE : KILLS_ABSENT;
    if (shown)
        o->labels = 1U << atoi(member_text(member_at(shown, "labels"), "n", "31"));
}

static bool all_settled(struct kills *k)
{
    CLEAN_JSON *guests = NULL, *images = NULL;
    struct kills_object *first = &k->shared->object[0][0];
    if (whole_ask(&k->whole, "GET", "/tenants/shop/guests", NULL, &guests) != 200 ||
        whole_ask(&k->whole, "GET", "/tenants/shop/images", NULL, &images) != 200)
        return kills_wrong(k, "lists are not answered");
    const json_t *g = member_at(guests, "guests"), *i = member_at(images, "images");
    for (size_t n = 0; n < KILLS_CLIENTS * KILLS_OBJECTS; n++)
        if (!has_settled(k, first + n, g, i))
            return false;
    for (size_t n = 0; n < KILLS_CLIENTS * KILLS_OBJECTS; n++)
        keep(first + n, g, i);
    return true;
}

bool kills_settle(struct kills *k, unsigned seconds)
{
    return becomes(k, all_settled, seconds);
}

/* The host */

struct rows {
    struct row {
        int64_t number, run;
        bool runs, tap;
    } row[ROWS_MAX];
    size_t count;
    int64_t images, disks;
};

static int take_row(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct rows *rows = context;
    (void)columns;
    if (rows->count == ROWS_MAX)
        return cofre_fail(err, COFRE_FAILED, "too many guests");
    const char *state = db_string(&c[2]), *name = db_string(&c[3]);
    const bool runs = strcmp(state, "running") == 0 || strcmp(state, "paused") == 0;
    rows->row[rows->count++] =
        (struct row){c[0].integer, c[1].integer, runs, runs && name[strlen(name) - 1] == '0'};
    return 0;
}

int kills_open_database(struct db **db, const struct kills *k, struct cofre_err *err)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/cofred.db", k->whole.state);
    return db_open(db, path, err);
}

static bool read_rows(struct kills *k, struct rows *out)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    *out = (struct rows){.count = 0};
    int rc = kills_open_database(&db, k, &err);
    if (rc == 0)
        rc = db_run(db, "SELECT number, run, state, name FROM guest", NULL, 0, take_row, out, &err);
    if (rc >= 0)
        rc = db_run(db, "SELECT COUNT(*) FROM image", NULL, 0, db_take_integer, &out->images, &err);
    if (rc >= 0)
        rc = db_run(db, "SELECT COUNT(*) FROM guest_disk WHERE made = 1", NULL, 0, db_take_integer,
                    &out->disks, &err);
    db_close(db);
    return rc < 0 ? kills_wrong(k, "%s", err.text) : true;
}

static const struct row *row_of(const struct rows *rows, int64_t run)
{
    for (size_t i = 0; i < rows->count; i++)
        if (run > 0 && rows->row[i].run == run)
            return &rows->row[i];
    return NULL;
}

static bool has_processes(const char *group)
{
    char path[512];
    struct bytes text = {0};
    (void)snprintf(path, sizeof path, "%s/cgroup.events", group);
    const bool some = file_read(&text, path, 4096, NULL) == 0 && text.data &&
                      memmem(text.data, text.len, "populated 1", 11) != NULL;
    bytes_free(&text);
    return some;
}

/* Entries of a folder whose names begin with a prefix and a number. */
static size_t list_numbers(const char *path, const char *prefix, int base, int64_t *out, size_t room)
{
    size_t count = 0;
    DIR *entries = opendir(path);
    for (struct dirent *e; entries && (e = readdir(entries)) && count < room;)
        if (*e->d_name != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            out[count++] = strtoll(e->d_name + strlen(prefix), NULL, base);
    if (entries)
        closedir(entries);
    return count;
}

static bool check_groups(struct kills *k, const struct rows *rows)
{
    int64_t run[ROWS_MAX];
    size_t running = 0;
    char path[256];
    const size_t count = list_numbers(k->whole.world.cgroup, "guest-", 10, run, ROWS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct row *row = row_of(rows, run[i]);
        (void)snprintf(path, sizeof path, "%s/guest-%lld", k->whole.world.cgroup, (long long)run[i]);
        if (!row)
            return kills_wrong(k, "control group guest-%lld is no guest's", (long long)run[i]);
        if (has_processes(path) != row->runs)
            return kills_wrong(
                k, "guest %lld, run %lld: its row says that it %s, its control group says otherwise",
                (long long)row->number, (long long)run[i], row->runs ? "runs" : "does not run");
        running += row->runs;
    }
    for (size_t i = 0; i < rows->count; i++)
        running -= rows->row[i].runs;
    return running == 0 ? true : kills_wrong(k, "guests run that have no control group");
}

static bool check_places(struct kills *k, const struct rows *rows)
{
    int64_t run[ROWS_MAX];
    char path[256];
    (void)snprintf(path, sizeof path, "%s/guests", k->whole.run);
    const size_t count = list_numbers(path, "", 10, run, ROWS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!row_of(rows, run[i]))
            return kills_wrong(k, "directory guests/%lld is no guest's", (long long)run[i]);
    return true;
}

static bool check_processes(struct kills *k, const struct rows *rows)
{
    size_t due = 0;
    const size_t is = whole_guest_processes(&k->whole);
    for (size_t i = 0; i < rows->count; i++)
        due += rows->row[i].runs;
    return is == due ? true : kills_wrong(k, "%zu processes of guests, and %zu guests that run", is, due);
}

static bool check_taps(struct kills *k, const struct rows *rows)
{
    struct if_nameindex *all = if_nameindex();
    size_t due = 0, is = 0;
    const struct row *row = NULL;
    for (size_t i = 0; k->taps && i < rows->count; i++)
        due += rows->row[i].tap;
    for (struct if_nameindex *i = all; i && i->if_name; i++)
        if (strncmp(i->if_name, "cofre", 5) == 0 && strcmp(i->if_name, "cofre-br0") != 0) {
            row = row_of(rows, strtoll(i->if_name + 5, NULL, 16));
            is += row && row->tap ? 1 : 1000;
        }
    if_freenameindex(all);
    return is == due ? true : kills_wrong(k, "%zu taps (1000: nobody's), and %zu guests with one", is, due);
}

static bool check_files(struct kills *k, const struct rows *rows)
{
    static int64_t numbers[256];
    char path[256];
    (void)snprintf(path, sizeof path, "%s/images/incoming", k->whole.state);
    if (list_numbers(path, "", 16, numbers, 256))
        return kills_wrong(k, "an upload's file is left");
    (void)snprintf(path, sizeof path, "%s/images/images/shop", k->whole.state);
    const size_t images = list_numbers(path, "", 16, numbers, 256);
    (void)snprintf(path, sizeof path, "%s/images/disks", k->whole.state);
    const size_t disks = list_numbers(path, "", 16, numbers, 256);
    for (size_t i = 0; i < disks; i++) {
        bool known = false;
        for (size_t row = 0; row < rows->count; row++)
            known = known || rows->row[row].number == numbers[i];
        if (!known)
            return kills_wrong(k, "a disk of guest %lld, which is not there", (long long)numbers[i]);
    }
    return images == (size_t)rows->images && disks >= (size_t)rows->disks
               ? true
               : kills_wrong(k, "%zu files of %lld images, %zu of %lld disks", images,
                             (long long)rows->images, disks, (long long)rows->disks);
}

static bool host_is_right(struct kills *k)
{
    struct rows rows;
    return read_rows(k, &rows) && check_groups(k, &rows) && check_places(k, &rows) &&
           check_processes(k, &rows) && check_taps(k, &rows) && check_files(k, &rows);
}

bool kills_check_host(struct kills *k, unsigned seconds)
{
    return becomes(k, host_is_right, seconds);
}
