#include "vmm/host/cofred/config.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/file.h"
#include "vmm/host/access/token.h"
#include "vmm/host/interface/schemas_parts.h"

#define MIB (1ULL << 20)

/* The tables */

static const struct schema_shape text_shape = TEXT(1, 255);

static const struct schema_member listen_members[] = {
    {"unix", TEXT(1, 107), false, "a socket's path"},
    {"mode", TEXT(3, 4), false, "of that socket, octal: who may connect; 0660 where it is not said"},
    {"address", TEXT(1, 255), false, "HOST:PORT, over TLS"},
    END,
};
static int listen_rule(const json_t *one, struct cofre_err *err)
{
    return !member_at(one, "unix") == !member_at(one, "address")
               ? cofre_fail(err, COFRE_MALFORMED, "either unix or address must be there, and not both")
               : 0;
}
static const struct schema schema_listen = {"Listen", NULL, listen_members, listen_rule};
static const struct schema_shape listen_shape = OBJECT(schema_listen);

static const struct schema_member tls_members[] = {
    {"certificate", TEXT(1, 4095), true, NULL},
    {"key", TEXT(1, 4095), true, NULL},
    {"client_ca", TEXT(1, 4095), false, NULL},
    END,
};
static const struct schema schema_tls = {"Tls", NULL, tls_members, NULL};

static const struct schema_member user_members[] = {
    {"decider", TEXT(1, 64), true, NULL},
    {"gate", TEXT(1, 64), true, NULL},
    END,
};
static const struct schema schema_users = {"Users", NULL, user_members, NULL};

static const struct schema_shape bridge_shape = TEXT(1, 15);
static const struct schema_member guest_members[] = {
    {"program", TEXT(1, 4095), false, NULL},
    {"cgroup", TEXT(1, 4095), true, NULL},
    {"first_user", NUMBER(1, 4000000000), true, NULL},
    {"count", NUMBER(1, HANDS_GUESTS_MAX), false, NULL},
    {"bridges", LIST(0, HANDS_BRIDGES_MAX - 1, bridge_shape), false, NULL},
    {"emulated", TEXT(1, 4095), false, NULL},
    {"reserved_memory", NUMBER(0, 0), false, NULL},
    END,
};
static const struct schema schema_guests_here = {"Guests", NULL, guest_members, NULL};

static const struct schema_member issuer_members[] = {
    {"name", NAME, true, NULL},
    {"issuer", TEXT(1, 255), true, NULL},
    {"audience", TEXT(1, 255), true, NULL},
    {"key_file", TEXT(1, 4095), false, NULL},
    {"key_url", TEXT(9, 1023), false, NULL},
    {"algorithms", TEXT(5, 63), false, NULL},
    {"groups", TEXT(1, 63), false, NULL},
    {"skew", NUMBER(0, 300), false, NULL},
    END,
};
static int issuer_rule(const json_t *one, struct cofre_err *err)
{
    return !member_at(one, "key_file") == !member_at(one, "key_url")
               ? cofre_fail(err, COFRE_MALFORMED, "either key_file or key_url must be there, and not both")
               : 0;
}
static const struct schema schema_issuer = {"Issuer", NULL, issuer_members, issuer_rule};
static const struct schema_shape issuer_shape = OBJECT(schema_issuer),
                                 mapping_shape = LIST(1, 16, text_shape);

static const struct schema_member access_members[] = {
    {"administrator", TEXT(1, 335), true, NULL},
    {"users", MAP(ACCESS_MAPPINGS_MAX, mapping_shape), false, NULL},
    {"issuers", LIST(0, ACCESS_ISSUERS_MAX, issuer_shape), false, NULL},
    {"second_approver", LIST(0, ACCESS_PATTERNS_MAX, text_shape), false, NULL},
    {"approval_seconds", NUMBER(60, 604800), false, NULL},
    END,
};
static const struct schema schema_access = {"Access", NULL, access_members, NULL};

static const struct schema_member limit_members[] = {
    {"connections", NUMBER(1, 4096), false, NULL},
    {"of_one", NUMBER(1, 4096), false, NULL},
    END,
};
static const struct schema schema_limits_here = {"Limits", NULL, limit_members, NULL};

static const struct schema_member members[] = {
    {"state", TEXT(1, 4000), false, NULL},
    {"run", TEXT(1, 64), false, NULL},
    {"log_name", TEXT(1, 128), true, NULL},
    {"log_tpm", TEXT(1, 107), false, NULL},
    {"users", OBJECT(schema_users), true, NULL},
    {"listen", LIST(1, CONFIG_LISTENERS_MAX, listen_shape), true, NULL},
    {"tls", OBJECT(schema_tls), false, NULL},
    {"limits", OBJECT(schema_limits_here), false, NULL},
    {"guests", OBJECT(schema_guests_here), true, NULL},
    {"access", OBJECT(schema_access), true, NULL},
    END,
};
static int whole_rule(const json_t *document, struct cofre_err *err)
{
    const json_t *one;
    size_t i;
    json_array_foreach(
        member_at(document, "listen"), i,
        one) if (member_at(one, "address") &&
                 !member_at(
                     document,
                     "tls")) return cofre_fail(err, COFRE_MALFORMED,
                                               "listen[%zu].address: tls must say by which certificate", i);
    const char *tpm = member_text(document, "log_tpm", "/");
    return *tpm == '/' ? 0 : cofre_fail(err, COFRE_MALFORMED, "log_tpm: it is no path from the root on");
}
static const struct schema schema_config = {"Config", NULL, members, whole_rule};

/* What they come to */

/* A guest's process has one of these as its user, and as its group. */
static bool is_guests(const struct config *c, uint64_t number)
{
    return number >= c->hands.first_user && number - c->hands.first_user < c->hands.guests;
}

static int read_user(struct config_user *out, const struct config *c, const char *part, const char *name,
                     struct cofre_err *err)
{
    const struct passwd *found = getpwnam(name);
    char *end;
    const unsigned long number = strtoul(name, &end, 10);
    if (!found && (*end || number == 0 || number > 4000000000))
        return cofre_fail(err, COFRE_USAGE, "users.%s: there is no user \"%s\"", part, name);
    *out = (struct config_user){found ? found->pw_uid : (uid_t)number, found ? found->pw_gid : (gid_t)number};
    if (!out->uid || !out->gid)
        return cofre_fail(err, COFRE_USAGE, "users.%s: neither part may be root", part);
    if (is_guests(c, out->uid) || is_guests(c, out->gid))
        return cofre_fail(err, COFRE_USAGE, "users.%s: \"%s\", of user %u and group %u, is a guest's", part,
                          name, out->uid, out->gid);
    return 0;
}

static int read_parts(struct config *out, const json_t *users, struct cofre_err *err)
{
    int rc = read_user(&out->decider, out, "decider", member_text(users, "decider", ""), err);
    if (rc == 0)
        rc = read_user(&out->gate, out, "gate", member_text(users, "gate", ""), err);
    return rc == 0 && out->decider.uid == out->gate.uid
               ? cofre_fail(err, COFRE_USAGE, "users.gate: it is the decider's, who must not be the same")
               : rc;
}

/* The last user of all means "as it is" to the kernel. */
static int check_range(const struct config *c, struct cofre_err *err)
{
    const uint64_t last = (uint64_t)c->hands.first_user + c->hands.guests - 1;
    return last >= (uid_t)-1
               ? cofre_fail(err, COFRE_USAGE, "guests.first_user: %u guests from it on are beyond all users",
                            c->hands.guests)
               : 0;
}

static int read_listeners(struct config *out, const json_t *list, struct cofre_err *err)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        const char *mode = member_text(one, "mode", "0660");
        char *end;
        out->listener[i].unix_path = member_text(one, "unix", NULL);
        out->listener[i].address = member_text(one, "address", NULL);
        out->listener[i].mode = (unsigned)strtoul(mode, &end, 8);
        if (*end || out->listener[i].mode > 0777)
            return cofre_fail(err, COFRE_USAGE, "listen[%zu].mode: \"%s\" is no mode of a socket", i, mode);
        out->listeners++;
    }
    return 0;
}

/* Keys that are fetched come to a file of the folder that only who fetches them writes to. */
static int read_issuer(struct config *out, const json_t *one, struct cofre_err *err)
{
    struct access_issuer issuer = {.skew = (int64_t)member_unsigned(one, "skew", 60)};
    const char *url = member_text(one, "key_url", "");
    (void)snprintf(issuer.name, sizeof issuer.name, "%s", member_text(one, "name", ""));
    (void)snprintf(issuer.issuer, sizeof issuer.issuer, "%s", member_text(one, "issuer", ""));
    (void)snprintf(issuer.audience, sizeof issuer.audience, "%s", member_text(one, "audience", ""));
    (void)snprintf(issuer.groups, sizeof issuer.groups, "%s", member_text(one, "groups", "groups"));
    (void)snprintf(issuer.key_url, sizeof issuer.key_url, "%s", url);
    (void)snprintf(issuer.key_file, sizeof issuer.key_file, "%s", member_text(one, "key_file", ""));
    if (*url)
        (void)snprintf(issuer.key_file, sizeof issuer.key_file, "%s/issuers/%s.json", out->state,
                       issuer.name);
    out->fetches |= *url != 0;
    int rc = token_algorithms_parse(&issuer.algorithms, member_text(one, "algorithms", ""), err);
    return rc < 0 ? rc : access_config_issuer(out->access, &issuer, err);
}

/* What a guest's process could show at the unix socket must be nobody's who may do something. */
static int check_identity(const struct config *c, const char *identity, struct cofre_err *err)
{
    const char *number =
        strncmp(identity, "uid:", 4) == 0 || strncmp(identity, "gid:", 4) == 0 ? identity + 4 : "";
    char *end;
    const unsigned long long id = strtoull(number, &end, 10);
    return *number && !*end && is_guests(c, id)
               ? cofre_fail(err, COFRE_USAGE, "%s is a guest's user (guests.first_user)", identity)
               : 0;
}

static int read_users(struct config *out, const json_t *users, struct cofre_err *err)
{
    const char *user;
    json_t *identities;
    const json_t *one;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)users, user, identities) json_array_foreach(identities, i, one)
    {
        int rc = check_identity(out, json_string_value(one), err);
        if (rc == 0)
            rc = access_config_map(out->access, user, json_string_value(one), err);
        if (rc < 0)
            return cofre_within(err, rc, "access.users.%s[%zu]", user, i);
    }
    return 0;
}

static int read_access(struct config *out, const json_t *access, struct cofre_err *err)
{
    struct access_principal administrator;
    const json_t *one;
    size_t i;
    out->access->approval_lifetime = (int64_t)member_unsigned(access, "approval_seconds", 0);
    if (access_principal_parse(&administrator, out->administrator, err) < 0 ||
        check_identity(out, out->administrator, err) < 0)
        return cofre_within(err, -COFRE_USAGE, "access.administrator");
    json_array_foreach(member_at(access, "issuers"), i,
                       one) if (read_issuer(out, one, err) < 0) return cofre_within(err, -COFRE_USAGE,
                                                                                    "access.issuers[%zu]", i);
    json_array_foreach(member_at(access, "second_approver"), i,
                       one) if (access_config_approval(out->access, json_string_value(one), err) <
                                0) return cofre_within(err, -COFRE_USAGE, "access.second_approver[%zu]", i);
    return read_users(out, member_at(access, "users"), err);
}

static void read_hands(struct hands_config *out, const json_t *guests, const char *run)
{
    const json_t *one;
    size_t i;
    *out = (struct hands_config){.program = member_text(guests, "program", "/usr/bin/cofre-vmm"),
                                 .directory = run,
                                 .emulated = member_text(guests, "emulated", NULL),
                                 .cgroup = member_text(guests, "cgroup", NULL),
                                 .first_user = (uid_t)member_unsigned(guests, "first_user", 0),
                                 .guests = (unsigned)member_unsigned(guests, "count", 256)};
    json_array_foreach(member_at(guests, "bridges"), i, one) out->bridge[out->bridges++] =
        json_string_value(one);
}

static int interpret(struct config *out, struct cofre_err *err)
{
    const json_t *d = out->document, *users = member_at(d, "users"), *tls = member_at(d, "tls"),
                 *guests = member_at(d, "guests"), *access = member_at(d, "access"),
                 *limits = member_at(d, "limits");
    out->state = member_text(d, "state", "/var/lib/cofred");
    out->run = member_text(d, "run", "/run/cofred");
    out->log_name = member_text(d, "log_name", "");
    out->log_tpm = member_text(d, "log_tpm", NULL);
    out->administrator = member_text(access, "administrator", NULL);
    out->certificate = member_text(tls, "certificate", NULL);
    out->key = member_text(tls, "key", NULL);
    out->client_ca = member_text(tls, "client_ca", NULL);
    out->connections = (unsigned)member_unsigned(limits, "connections", 256);
    out->of_one = (unsigned)member_unsigned(limits, "of_one", 64);
    out->reserved_memory = member_unsigned(guests, "reserved_memory", 512 * MIB);
    (void)snprintf(out->guests, sizeof out->guests, "%s/guests", out->run);
    read_hands(&out->hands, guests, out->guests);
    out->access = calloc(1, sizeof *out->access);
    int rc = out->access ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for the configuration");
    if (rc == 0)
        rc = check_range(out, err);
    if (rc == 0)
        rc = read_parts(out, users, err);
    if (rc == 0)
        rc = read_listeners(out, member_at(d, "listen"), err);
    return rc < 0 ? rc : read_access(out, access, err);
}

/* A sentence begins with the member's path. */
static int with_line(struct view file, struct cofre_err *err)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%.*s", (int)strcspn(err->text, ": "), err->text);
    return cofre_within(err, -COFRE_USAGE, "line %u", config_line(file, path));
}

int config_parse(struct config *out, struct view file, struct cofre_err *err)
{
    *out = (struct config){0};
    int rc = json_read(&out->document, file, COFRE_USAGE, err);
    if (rc < 0)
        return rc;
    rc = schema_check(out->document, &schema_config, err);
    if (rc == 0)
        rc = interpret(out, err);
    return rc < 0 && rc != -COFRE_FAILED ? with_line(file, err) : rc;
}

int config_read(struct config *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    *out = (struct config){0};
    int rc = file_read(&file, path, CONFIG_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = config_parse(out, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

void config_free(struct config *config)
{
    json_decref(config->document);
    free(config->access);
    *config = (struct config){0};
}
