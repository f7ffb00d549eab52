#include "attest/service/config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "attest/collateral/download.h"
#include "attest/service/access.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

/* A member: where it goes, how it is read, and between which numbers it lies. */
struct member {
    const char *name;
    int (*read)(const struct member *m, json_t *value, const char *within, void *to, struct cofre_err *err);
    size_t offset;
    uint64_t min, max;
};

static int wrong(const char *within, const char *name, struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_USAGE, "%s%s%.64s: %s", within, *within ? "." : "", name, what);
}

static int read_members(const struct member *members, size_t count, json_t *object, const char *within,
                        void *to, struct cofre_err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        const struct member *m = NULL;
        for (size_t i = 0; i < count; i++)
            if (strcmp(members[i].name, name) == 0)
                m = &members[i];
        int rc = m ? m->read(m, value, within, (char *)to + m->offset, err)
                   : wrong(within, name, err, "there is no such member");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_text(const struct member *m, json_t *value, const char *within, void *to,
                     struct cofre_err *err)
{
    char **text = to;
    if (!json_is_string(value) || json_string_length(value) == 0)
        return wrong(within, m->name, err, "it is to be a text");
    free(*text);
    *text = strdup(json_string_value(value));
    return *text ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int check_number(const struct member *m, json_t *value, const char *within, uint64_t *out,
                        struct cofre_err *err)
{
    char what[96];
    *out = (uint64_t)json_integer_value(value);
    if (json_is_integer(value) && *out >= m->min && *out <= m->max)
        return 0;
    (void)snprintf(what, sizeof what, "it is to be a number from %llu to %llu", (unsigned long long)m->min,
                   (unsigned long long)m->max);
    return wrong(within, m->name, err, what);
}

static int read_number(const struct member *m, json_t *value, const char *within, void *to,
                       struct cofre_err *err)
{
    uint64_t n;
    int rc = check_number(m, value, within, &n, err);
    *(unsigned *)to = (unsigned)n;
    return rc;
}

static int read_size(const struct member *m, json_t *value, const char *within, void *to,
                     struct cofre_err *err)
{
    uint64_t n;
    int rc = check_number(m, value, within, &n, err);
    *(size_t *)to = (size_t)n;
    return rc;
}

static int read_roles(const struct member *m, json_t *value, const char *within, void *to,
                      struct cofre_err *err)
{
    if (!json_is_string(value))
        return wrong(within, m->name, err, "it is to be roles, as \"submit read\"");
    int rc = access_roles_parse(to, json_string_value(value), err);
    return rc < 0 ? cofre_within(err, rc, "%s", m->name) : 0;
}

static int read_addresses(const struct member *m, json_t *value, const char *within, void *to,
                          struct cofre_err *err)
{
    struct trust_config *config = to;
    size_t i;
    json_t *item;
    if (!json_is_array(value) || json_array_size(value) == 0 || json_array_size(value) > TRUST_ADDRESSES_MAX)
        return wrong(within, m->name, err, "it is to be a list of 1 to 8 addresses with ports");
    json_array_foreach(value, i, item)
    {
        int rc = read_text(m, item, within, &config->address[i], err);
        if (rc < 0)
            return rc;
        config->addresses = i + 1;
    }
    return 0;
}

static int read_files(const struct member *m, json_t *value, const char *within, void *to,
                      struct cofre_err *err)
{
    struct trust_files *files = to;
    size_t i;
    json_t *item;
    if (!json_is_array(value) || json_array_size(value) > TRUST_FILES_MAX)
        return wrong(within, m->name, err, "it is to be a list of at most 32 files");
    json_array_foreach(value, i, item)
    {
        int rc = read_text(m, item, within, &files->path[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Of a service, whose paths begin at a slash of their own; or of one thing. */
static int read_url(const struct member *m, json_t *value, const char *within, void *to,
                    struct cofre_err *err)
{
    int rc = read_text(m, value, within, to, err);
    if (rc < 0)
        return rc;
    char *url = *(char **)to;
    rc = download_check_address(url, err);
    if (url[strlen(url) - 1] == '/')
        url[strlen(url) - 1] = 0;
    return rc < 0 ? cofre_within(err, rc, "%s", m->name) : 0;
}

static int read_flag(const struct member *m, json_t *value, const char *within, void *to,
                     struct cofre_err *err)
{
    if (!json_is_boolean(value))
        return wrong(within, m->name, err, "it is to be true or false");
    *(bool *)to = json_is_true(value);
    return 0;
}

static int read_update(const struct member *m, json_t *value, const char *within, void *to,
                       struct cofre_err *err)
{
    const char *text = json_string_value(value);
    if (!text || (strcmp(text, "standard") != 0 && strcmp(text, "early") != 0))
        return wrong(within, m->name, err, "it is to be \"standard\" or \"early\"");
    return read_text(m, value, within, to, err);
}

#define LIMIT(NAME, MEMBER, READ, MIN, MAX)                                                                  \
    {                                                                                                        \
        NAME, READ, offsetof(struct server_limits, MEMBER), MIN, MAX                                         \
    }
static int read_limits(const struct member *m, json_t *value, const char *within, void *to,
                       struct cofre_err *err)
{
    static const struct member members[] = {
        LIMIT("connections", connections, read_number, 1, 1000000),
        LIMIT("pending", pending, read_number, 1, 100000),
        LIMIT("header_bytes", headers, read_size, 1024, 65536),
        LIMIT("body_bytes", body, read_size, 4096, 16 << 20),
        LIMIT("seconds", seconds, read_number, 1, 3600),
        LIMIT("held_bytes", held, read_size, 32 << 20, (uint64_t)1 << 40),
    };
    if (!json_is_object(value))
        return wrong(within, m->name, err, "it is to be an object");
    return read_members(members, sizeof members / sizeof *members, value, m->name, to, err);
}

#define FIELD(NAME, MEMBER, READ, MIN, MAX)                                                                  \
    {                                                                                                        \
        NAME, READ, offsetof(struct trust_config, MEMBER), MIN, MAX                                          \
    }
static const struct member members[] = {
    {"listen", read_addresses, 0, 0, 0},
    FIELD("certificate", certificate, read_text, 0, 0),
    FIELD("key", key, read_text, 0, 0),
    FIELD("client_ca", client_ca, read_text, 0, 0),
    FIELD("database", database, read_text, 0, 0),
    FIELD("workers", workers, read_number, 1, 256),
    FIELD("anybody", anybody, read_roles, 0, 0),
    FIELD("challenge_seconds", challenge_seconds, read_number, 1, 86400),
    FIELD("token_seconds", token_seconds, read_number, 1, 31536000),
    FIELD("name", name, read_text, 0, 0),
    FIELD("signing_key", signing_key, read_text, 0, 0),
    FIELD("next_signing_key", next_signing_key, read_text, 0, 0),
    FIELD("retired_signing_keys", retired_signing_keys, read_files, 0, 0),
    FIELD("reference_signers", reference_signers, read_files, 0, 0),
    FIELD("trust_roots", trust_roots, read_files, 0, 0),
    FIELD("crls", crls, read_files, 0, 0),
    FIELD("collateral", collateral, read_files, 0, 0),
    FIELD("kds", kds, read_url, 0, 0),
    FIELD("pcs", pcs, read_url, 0, 0),
    FIELD("pccs", pccs, read_url, 0, 0),
    FIELD("pcs_root_crl", pcs_root_crl, read_url, 0, 0),
    FIELD("tcb_update", tcb_update, read_update, 0, 0),
    FIELD("root_key", root_key, read_text, 0, 0),
    FIELD("root_passphrase", root_passphrase, read_text, 0, 0),
    FIELD("root_tpm", root_tpm, read_text, 0, 0),
    FIELD("root_pcr_policy", root_pcr_policy, read_text, 0, 0),
    FIELD("root_authorisation", root_authorisation, read_text, 0, 0),
    FIELD("keys_with_policies", keys_with_policies, read_flag, 0, 0),
    FIELD("limits", limits, read_limits, 0, 0),
};

/* One way to the root, and all of it. */
static int check_root(const struct trust_config *config, struct cofre_err *err)
{
    const int of_tpm = !!config->root_tpm + !!config->root_pcr_policy + !!config->root_authorisation;
    if (of_tpm % 3)
        return cofre_fail(err, COFRE_USAGE,
                          "root_tpm: it, root_pcr_policy and root_authorisation are to be there together");
    if (of_tpm && config->root_passphrase)
        return cofre_fail(err, COFRE_USAGE,
                          "root_passphrase: the root is opened by it or by root_tpm, not by both");
    return config->root_key || (!of_tpm && !config->root_passphrase)
               ? 0
               : cofre_fail(err, COFRE_USAGE, "root_key: it is missing, and there is what opens it");
}

static int check_whole(const struct trust_config *config, struct cofre_err *err)
{
    const struct {
        const char *name, *value;
    } needed[] = {{"certificate", config->certificate},
                  {"key", config->key},
                  {"database", config->database},
                  {"name", config->name},
                  {"signing_key", config->signing_key}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!needed[i].value)
            return cofre_fail(err, COFRE_USAGE, "%s: it is missing", needed[i].name);
    if (config->pcs && config->pccs)
        return cofre_fail(err, COFRE_USAGE, "pccs: it is asked instead of pcs, and both are there");
    if (!config->keys_with_policies && config->anybody & ROLES_OF_VERDICTS && config->anybody & ROLES_OF_KEYS)
        return cofre_fail(
            err, COFRE_USAGE,
            "anybody: it has roles of policies and of keys, and keys_with_policies is not true");
    if (strlen(config->name) > TRUST_NAME_MAX)
        return cofre_fail(err, COFRE_USAGE, "name: it has more than %d bytes", TRUST_NAME_MAX);
    return check_root(config, err);
}

int trust_config_parse(struct trust_config *out, struct view file, struct cofre_err *err)
{
    json_t *object = NULL;
    *out = (struct trust_config){
        .workers = 2,
        .challenge_seconds = 300,
        .token_seconds = 3600,
        .limits = {.connections = 12000,
                   .pending = 256,
                   .headers = 16384,
                   .body = 2 << 20,
                   .seconds = 60,
                   .held = 256 << 20},
    };
    int rc = json_read(&object, file, COFRE_USAGE, err);
    if (rc == 0)
        rc = read_members(members, sizeof members / sizeof *members, object, "", out, err);
    json_decref(object);
    if (rc == 0)
        rc = check_whole(out, err);
    if (rc < 0)
        trust_config_free(out);
    return rc < 0 ? cofre_within(err, rc, "configuration") : 0;
}

int trust_config_read(struct trust_config *out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    *out = (struct trust_config){0};
    int rc = file_read(&file, path, TRUST_CONFIG_FILE_MAX, err);
    if (rc < 0)
        return rc;
    rc = trust_config_parse(out, bytes_view(&file), err);
    return rc < 0 ? cofre_within(err, rc, "%s", path) : 0;
}

static void free_files(struct trust_files *files)
{
    for (size_t i = 0; i < TRUST_FILES_MAX; i++)
        free(files->path[i]);
}

void trust_config_free(struct trust_config *config)
{
    for (size_t i = 0; i < TRUST_ADDRESSES_MAX; i++)
        free(config->address[i]);
    free(config->certificate);
    free(config->key);
    free(config->client_ca);
    free(config->database);
    free(config->name);
    free(config->signing_key);
    free(config->next_signing_key);
    free_files(&config->retired_signing_keys);
    free_files(&config->reference_signers);
    free_files(&config->trust_roots);
    free_files(&config->crls);
    free_files(&config->collateral);
    free(config->kds);
    free(config->pcs);
    free(config->pccs);
    free(config->pcs_root_crl);
    free(config->tcb_update);
    free(config->root_key);
    free(config->root_passphrase);
    free(config->root_tpm);
    free(config->root_pcr_policy);
    free(config->root_authorisation);
    *config = (struct trust_config){0};
}
