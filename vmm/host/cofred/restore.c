/* A backup is opened beside where the database will be, and named so when nothing is wrong with it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/log/head.h"
#include "attest/store/db_log.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/host/cofred/backup.h"
#include "vmm/host/cofred/ground.h"
#include "vmm/host/store/restored.h"
#include "vmm/host/store/tables.h"

struct restoring {
    const char *name, *log_name; /* of the backup's file, and as the configuration has it */
    const char *head_name;       /* NULL: nobody kept one */
    FILE *in;
    bool accept_loss;
    struct log_head kept; /* head_name's */
    char state[PATH_MAX], database[PATH_MAX], copy[PATH_MAX], fresh[PATH_MAX], log[PATH_MAX];
    /* what the first line says */
    json_t *line;
    const char *sha256, *key;
    int64_t made;
    uint64_t size;
    struct bytes head;
    struct cose_keys keys;
    struct log_head last;
};

static int refuse(const struct restoring *r, struct cofre_err *err, const char *why)
{
    return cofre_fail(err, COFRE_NEGATIVE, "%s: %s", r->name, why);
}

/* The first line */

static int parse_line(struct restoring *r, struct view text, struct cofre_err *err)
{
    const char *format, *head;
    json_int_t made, size;
    int rc = json_read(&r->line, text, COFRE_MALFORMED, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s: its first line", r->name);
    if (json_unpack(r->line, "{s:s, s:I, s:s, s:s, s:I, s:s !}", "format", &format, "made", &made, "head",
                    &head, "key", &r->key, "size", &size, "sha256", &r->sha256) < 0 ||
        strcmp(format, BACKUP_FORMAT) != 0 || made < 0 || size <= 0)
        return cofre_fail(err, COFRE_MALFORMED,
                          "%s: it is no backup of cofred, or of another format than \"%s\"", r->name,
                          BACKUP_FORMAT);
    r->made = made;
    r->size = (uint64_t)size;
    rc = hex_decode_some(&r->head, LOG_HEAD_MAX, head, err);
    if (rc == 0)
        rc = cose_keys_parse_pem(&r->keys, (struct view){(const uint8_t *)r->key, strlen(r->key)}, err);
    if (rc == 0)
        rc = log_head_verify(&r->last, bytes_view(&r->head), &r->keys, err);
    return rc < 0 ? cofre_within(err, rc, "%s: its log's head", r->name) : 0;
}

static int read_line(struct restoring *r, struct cofre_err *err)
{
    CLEAN_FREE char *line = malloc(BACKUP_LINE_MAX);
    if (!line || !fgets(line, BACKUP_LINE_MAX, r->in) || !strchr(line, '\n'))
        return cofre_fail(err, COFRE_MALFORMED, "%s: it is no backup of cofred, or only the beginning of one",
                          r->name);
    return parse_line(r, (struct view){(const uint8_t *)line, strlen(line)}, err);
}

/* The database behind it */

static int compare(const struct restoring *r, uint64_t size, EVP_MD_CTX *hash, struct cofre_err *err)
{
    uint8_t sha256[32];
    char hex[65];
    if (EVP_DigestFinal_ex(hash, sha256, NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    hex_encode(hex, sha256, sizeof sha256);
    if (size != r->size)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "%s: its database has %" PRIu64 " bytes, and is to have %" PRIu64 "%s", r->name,
                          size, r->size, size < r->size ? ": it was cut" : "");
    return strcmp(hex, r->sha256) == 0 ? 0
                                       : refuse(r, err, "it was changed: its database has another digest");
}

static int extract(const struct restoring *r, struct cofre_err *err)
{
    static uint8_t part[1 << 16];
    CLEAN(md) EVP_MD_CTX *hash = EVP_MD_CTX_new();
    CLEAN_FD to = open(r->copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0 || !hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", r->copy, strerror(errno));
    uint64_t size = 0;
    for (size_t n; size <= r->size && (n = fread(part, 1, sizeof part, r->in)) > 0; size += n)
        if (write(to, part, n) != (ssize_t)n || EVP_DigestUpdate(hash, part, n) != 1)
            return cofre_fail(err, COFRE_LACKING, "%s: %s", r->copy, strerror(errno));
    return ferror(r->in) ? cofre_fail(err, COFRE_FAILED, "%s: %s", r->name, strerror(errno))
                         : compare(r, size, hash, err);
}

/* Its tables: those of this program, and no trigger or view that would do something else than the statements say. */

static int add_text(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    FILE *to = context;
    (void)columns, (void)err;
    return fprintf(to, "%s\n", db_string(&column[0])) < 0 ? -COFRE_FAILED : 0;
}

static int tables_of(char **out, struct db *db, struct cofre_err *err)
{
    size_t size;
    FILE *to = open_memstream(out, &size);
    int rc = !to ? cofre_fail(err, COFRE_FAILED, "no memory")
                 : db_run(db, "SELECT COALESCE(sql, name) FROM sqlite_schema ORDER BY type, name", NULL, 0,
                          add_text, to, err);
    if (to)
        (void)fclose(to);
    return rc < 0 ? rc : 0;
}

static int check_tables(const struct restoring *r, struct db *db, struct cofre_err *err)
{
    CLEAN_FREE char *are = NULL;
    CLEAN_FREE char *due = NULL;
    struct db *fresh = NULL;
    (void)unlink(r->fresh);
    int rc = db_open(&fresh, r->fresh, err);
    if (rc == 0)
        rc = tables_bring(fresh, err);
    if (rc == 0)
        rc = tables_of(&due, fresh, err);
    db_close(fresh);
    (void)unlink(r->fresh);
    if (rc == 0)
        rc = tables_of(&are, db, err);
    if (rc < 0)
        return rc;
    return strcmp(are, due) == 0 ? 0 : refuse(r, err, "its tables are not cofred's");
}

/* Its log */

static int check_head(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    struct restoring *r = context;
    struct log_head read;
    int rc = log_head_verify(&read, head, &r->keys, err);
    if (rc < 0)
        return rc;
    if (read.state.size != state->size || !log_hash_equal(&read.state.root, &state->root) ||
        !log_hash_equal(&read.state.id, &state->id))
        return cofre_fail(err, COFRE_NEGATIVE, "its entries are others than its head of %" PRIu64 " is over",
                          read.state.size);
    r->last = read;
    return 0;
}

/* What somebody saw of the log is its beginning; or the end of it is lost, which is to be accepted by who knows. */
static int check_kept(const struct restoring *r, struct log_file *f, struct cofre_err *err)
{
    const struct log_state *kept = &r->kept.state;
    struct log_hash root;
    if (!r->head_name)
        return 0;
    if (!log_hash_equal(&kept->id, &r->last.state.id))
        return cofre_fail(err, COFRE_NEGATIVE, "%s: it is a head of another log than the backup's",
                          r->head_name);
    if (kept->size > r->last.state.size && !r->accept_loss)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "%s: it is over %" PRIu64 " entries, of which the backup has %" PRIu64
                          ": there may be a newer one. What followed is lost with --accept-loss",
                          r->head_name, kept->size, r->last.state.size);
    if (kept->size > r->last.state.size)
        return 0;
    int rc = log_tree_root(log_file_tree(f), kept->size, &root, err);
    if (rc == 0 && !log_hash_equal(&root, &kept->root))
        rc = cofre_fail(err, COFRE_NEGATIVE, "%s: its %" PRIu64 " entries are others than the backup's",
                        r->head_name, kept->size);
    return rc;
}

static int check_log(struct restoring *r, struct cofre_err *err)
{
    CLEAN_LOG_FILE *f = NULL;
    const struct log_head said = r->last;
    const struct log_heads heads = {.context = r, .check = check_head, .check_all = true};
    int rc = log_file_open(&f, r->log, &heads, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s: its log", r->name);
    if (log_file_state(f)->size != said.state.size ||
        !log_hash_equal(&log_file_state(f)->root, &said.state.root))
        return refuse(r, err, "its log ends elsewhere than its first line says");
    if (strcmp(r->last.name, r->log_name) != 0)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "%s: it is of \"%s\", and the configuration's log_name is \"%s\"", r->name,
                          r->last.name, r->log_name);
    return check_kept(r, f, err);
}

/* The log's file is named by its log, which is known by now. */
static int copy_log(struct restoring *r, struct db *db, struct cofre_err *err)
{
    char id[2 * LOG_HASH_SIZE + 1], public[PATH_MAX + 8];
    hex_encode(id, r->last.state.id.data, LOG_HASH_SIZE);
    const int len =
        snprintf(r->log, sizeof r->log, "%s/log-%.16s-%" PRIu64, r->state, id, r->last.state.size);
    if (len < 0 || (size_t)len >= sizeof r->log)
        return cofre_fail(err, COFRE_USAGE, "%s: the path is too long", r->state);
    (void)snprintf(public, sizeof public, "%s.pub", r->log);
    CLEAN_FILE *to = fopen(r->log, "we");
    int rc =
        to ? db_log_copy(db, to, err) : cofre_fail(err, COFRE_LACKING, "%s: %s", r->log, strerror(errno));
    if (rc == 0 && (fflush(to) != 0 || fsync(fileno(to)) < 0))
        rc = cofre_fail(err, COFRE_LACKING, "%s: %s", r->log, strerror(errno));
    return rc < 0 ? rc
                  : file_write(public, (struct view){(const uint8_t *)r->key, strlen(r->key)}, 0644, err);
}

/* All of it */

static int end_log(struct db *db, void *context, struct cofre_err *err)
{
    const struct restoring *r = context;
    const uint64_t has = r->last.state.size, seen = r->head_name ? r->kept.state.size : 0;
    return restored_keep(db, bytes_view(&r->head), r->made, seen > has ? (int64_t)(seen - has) : 0, err);
}

static int check_and_end(struct restoring *r, struct db *db, struct cofre_err *err)
{
    int rc = db_check(db, err);
    if (rc == 0)
        rc = tables_bring(db, err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", r->name);
    rc = check_tables(r, db, err);
    if (rc == 0)
        rc = copy_log(r, db, err);
    if (rc == 0)
        rc = check_log(r, err);
    if (rc == 0)
        rc = db_atomically(db, end_log, r, err);
    return rc < 0 ? rc : db_forget(db, err); /* the file alone has it now */
}

static int name_it(const struct restoring *r, struct cofre_err *err)
{
    CLEAN_FD directory = open(r->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory >= 0 && rename(r->copy, r->database) == 0 && fsync(directory) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "%s: %s", r->database, strerror(errno));
}

static void remove_parts(const struct restoring *r)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[PATH_MAX + 8];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        (void)snprintf(path, sizeof path, "%s%s", r->copy, ends[i]);
        (void)unlink(path);
    }
    if (!r->log[0])
        return;
    (void)snprintf(path, sizeof path, "%s.pub", r->log);
    (void)unlink(path);
    (void)unlink(r->log);
}

static int restore(void *context, struct cofre_err *err)
{
    struct restoring *r = context;
    struct db *db = NULL;
    if (access(r->database, F_OK) == 0)
        return cofre_fail(err, COFRE_LACKING, "%s is there: a backup takes no database's place", r->database);
    remove_parts(r); /* of one that did not come to its end */
    int rc = read_line(r, err);
    if (rc == 0)
        rc = extract(r, err);
    if (rc == 0)
        rc = db_open(&db, r->copy, err);
    if (rc == 0)
        rc = check_and_end(r, db, err);
    db_close(db);
    if (rc == 0)
        rc = name_it(r, err);
    if (rc < 0)
        remove_parts(r);
    return rc;
}

static int prepare(struct restoring *r, const struct config *config, struct cofre_err *err)
{
    CLEAN_BYTES head = {0};
    r->log_name = config->log_name;
    (void)snprintf(r->state, sizeof r->state, "%s", config->state);
    (void)snprintf(r->database, sizeof r->database, "%s/%s", config->state, BACKUP_DATABASE);
    (void)snprintf(r->copy, sizeof r->copy, "%s/%s", config->state, BACKUP_COPY);
    (void)snprintf(r->fresh, sizeof r->fresh, "%s/tables.db", config->state);
    r->in = fopen(r->name, "re");
    if (!r->in)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", r->name, strerror(errno));
    int rc = r->head_name ? file_read(&head, r->head_name, LOG_HEAD_MAX, err) : 0;
    if (rc == 0 && r->head_name) /* whoever signed it: all that follows from it is a refusal */
        rc = log_head_read(&r->kept, bytes_view(&head), err);
    return rc < 0 ? cofre_within(err, rc, "%s", r->head_name) : 0;
}

int backup_restore(const struct config *config, const char *in, const char *head, bool accept_loss,
                   struct cofre_err *err)
{
    struct ground ground;
    struct restoring *r = calloc(1, sizeof *r);
    if (!r)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    r->name = in;
    r->head_name = head;
    r->accept_loss = accept_loss;
    ground_init(&ground);
    int rc = ground_open_state(&ground, config, err);
    if (rc == 0)
        rc = prepare(r, config, err);
    if (rc == 0)
        rc = backup_as_decider(config, restore, r, err);
    ground_close(&ground);
    if (r->in)
        (void)fclose(r->in);
    free(r);
    return rc;
}
