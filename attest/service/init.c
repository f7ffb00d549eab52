/*
 * cofre-trust init: a directory from which the service starts. Keys, certificates, the database with a first policy and the first
 * administrator, whose token is printed and not kept.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "attest/service/change.h"
#include "attest/service/command.h"
#include "attest/service/identity.h"
#include "attest/service/offline.h"
#include "attest/store/policy.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

#define ADMINISTRATOR       "administrator"
#define ADMINISTRATOR_ROLES "administer policies values audit"
#define ADMINISTRATOR_DAYS  365

/* What only asks whether a platform is genuine, up to date and not debugged: all that can be said of guests nobody measured. */
#define FIRST_POLICY "genuine"
static const char first_policy[] = "{\"snp\":{},\"tdx\":{}}";

enum { CONFIG, CA, CA_KEY, CERTIFICATE, KEY, SIGNING_KEY, DATABASE, FILES };
static const char *const names[FILES] = {
    [CONFIG] = "trust.json", [CA] = "ca.pem",   [CA_KEY] = "ca.key",           [CERTIFICATE] = "server.pem",
    [KEY] = "server.key",    [DATABASE] = "db", [SIGNING_KEY] = "signing.key",
};

struct setup {
    char path[FILES][PATH_MAX];
    char url[160];
    const char *host, *listen;
    char token[ADMISSION_TOKEN_SIZE];
};

/* A directory that is new, or has nothing in it: what is there already may be what somebody's clients rely on. */
static int claim(const char *directory, struct cofre_err *err)
{
    if (mkdir(directory, 0700) == 0)
        return 0;
    DIR *dir = errno == EEXIST ? opendir(directory) : NULL;
    if (!dir)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be made: %s", directory, strerror(errno));
    size_t entries = 0;
    while (readdir(dir))
        entries++;
    closedir(dir);
    return entries <= 2 /* "." and ".." */
               ? 0
               : cofre_fail(err, COFRE_USAGE, "%s is not empty, and nothing in it is overwritten", directory);
}

static int name_files(struct setup *s, const char *directory, struct cofre_err *err)
{
    char *whole = realpath(directory, NULL);
    if (!whole)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", directory, strerror(errno));
    const bool fits = strlen(whole) < PATH_MAX - 32;
    for (size_t i = 0; i < FILES && fits; i++)
        (void)snprintf(s->path[i], PATH_MAX, "%s/%s", whole, names[i]);
    free(whole);
    return fits ? 0 : cofre_fail(err, COFRE_USAGE, "%s: the path is too long", directory);
}

static int name_service(struct setup *s, const struct command *command, struct cofre_err *err)
{
    s->host = command->host ? command->host : "localhost";
    s->listen = command->listen ? command->listen : "127.0.0.1:8443";
    const char *port = strrchr(s->listen, ':');
    if (!port || !port[1] || strspn(port + 1, "0123456789") != strlen(port + 1))
        return cofre_fail(err, COFRE_USAGE,
                          "--listen: \"%.80s\" is no address with a port, as 127.0.0.1:8443", s->listen);
    const bool bare = strchr(s->host, ':') != NULL; /* an address of IPv6 */
    (void)snprintf(s->url, sizeof s->url, "https://%s%.80s%s%.8s", bare ? "[" : "", s->host, bare ? "]" : "",
                   port);
    return 0;
}

static int write_config(const struct setup *s, struct cofre_err *err)
{
    CLEAN_JSON *object =
        json_pack("{s:s, s:[s], s:s, s:s, s:s, s:s, s:[], s:[], s:[]}", "name", s->url, "listen", s->listen,
                  "certificate", s->path[CERTIFICATE], "key", s->path[KEY], "database", s->path[DATABASE],
                  "signing_key", s->path[SIGNING_KEY], "trust_roots", "crls", "collateral");
    char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    int rc = text ? file_write(s->path[CONFIG], (struct view){(const uint8_t *)text, strlen(text)}, 0600, err)
                  : cofre_fail(err, COFRE_FAILED, "the configuration: out of memory");
    free(text);
    return rc;
}

static int write_files(const struct setup *s, struct cofre_err *err)
{
    const struct identity_files files = {s->path[CA], s->path[CA_KEY], s->path[CERTIFICATE], s->path[KEY]};
    int rc = identity_write(&files, s->host, err);
    if (rc == 0)
        rc = identity_write_key(s->path[SIGNING_KEY], err);
    return rc < 0 ? rc : write_config(s, err);
}

static int add_policy(struct db *db, void *context, struct cofre_err *err)
{
    const struct offline *offline = context;
    char by[OFFLINE_ACTOR_SIZE];
    offline_actor(by);
    const int64_t now = offline->trust.clock();
    struct change change = {.action = "added",
                            .object = "policy",
                            .name = FIRST_POLICY,
                            .version = 1,
                            .actor = by,
                            .content = {(const uint8_t *)first_policy, strlen(first_policy)}};
    int rc = stored_policy_add(db, FIRST_POLICY, first_policy, now, by, err);
    if (rc >= 0)
        rc = stored_policy_activate(db, FIRST_POLICY, 1, now, by, err);
    if (rc >= 0)
        rc = change_log(&offline->trust, db, &change, err);
    change.action = "activated";
    return rc < 0 ? rc : change_log(&offline->trust, db, &change, err);
}

static int fill_database(struct setup *s, struct cofre_err *err)
{
    CLEAN_OFFLINE offline = {0};
    int rc = offline_open(&offline, s->path[CONFIG], err);
    if (rc == 0)
        rc = db_atomically(offline.db, add_policy, &offline, err);
    return rc < 0 ? rc
                  : offline_admit(&offline, ADMINISTRATOR, ADMINISTRATOR_ROLES, "", ADMINISTRATOR_DAYS,
                                  s->token, err);
}

static int tell(const struct setup *s, bool json, struct cofre_err *err)
{
    if (json) {
        CLEAN_JSON *object = json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}}", "config", s->path[CONFIG], "ca",
                                       s->path[CA], "url", s->url, "policy", FIRST_POLICY, "administrator",
                                       "name", ADMINISTRATOR, "token", s->token);
        json_dumpf(object, stdout, JSON_INDENT(2));
        putchar('\n');
    } else
        printf("The administrator's token, shown this once (%d days; roles: %s):\n\n    %s\n\n"
               "Start the service:    cofre-trust --config %s\n"
               "It is reached at      %s; clients trust %s and no other authority.\n"
               "Take away from here   %s, which only renews the server's certificate (docs/trust.md).\n"
               "The policy \"%s\" is active: a platform that is genuine, whatever guest it runs.\n",
               ADMINISTRATOR_DAYS, ADMINISTRATOR_ROLES, s->token, s->path[CONFIG], s->url, s->path[CA],
               s->path[CA_KEY], FIRST_POLICY);
    return fflush(stdout) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}

int command_init(const struct command *command, struct cofre_err *err)
{
    static struct setup s;
    (void)umask(077);
    int rc = name_service(&s, command, err);
    if (rc == 0)
        rc = claim(command->directory, err);
    if (rc == 0)
        rc = name_files(&s, command->directory, err);
    if (rc == 0)
        rc = write_files(&s, err);
    if (rc == 0)
        rc = fill_database(&s, err);
    if (rc == 0)
        rc = tell(&s, command->json, err);
    explicit_bzero(s.token, sizeof s.token);
    return rc;
}
