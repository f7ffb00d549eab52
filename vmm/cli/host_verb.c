/* cofre guest, tenant, role, grant, constraint, approval, host, and cofre image add and its like: cofred's operations on a command line. */
#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"
#include "vmm/cli/verb.h"

#define IN_MAX (1u << 20)

/* The verbs. Where an action is more than its operation, run has it. */
static const struct host_action actions[] = {
    {"guest", "create", .operation = OPERATION_GUEST_CREATE, .word_name = "name",
     .example = "web --tenant shop --tee snp --cpus 2 --memory 1G --kernel debian --initrd debian-initrd "
                "--disk image=web"},
    {"guest", "list", .operation = OPERATION_GUEST_LIST, .watch = true},
    {"guest", "show", .operation = OPERATION_GUEST_SHOW, .watch = true},
    {"guest", "update", .operation = OPERATION_GUEST_UPDATE, .example = "web --tenant shop --memory 2G"},
    {"guest", "delete", .operation = OPERATION_GUEST_DELETE},
    {"guest", "start", .operation = OPERATION_GUEST_START},
    {"guest", "stop", .operation = OPERATION_GUEST_STOP},
    {"guest", "kill", .operation = OPERATION_GUEST_KILL},
    {"guest", "restart", .operation = OPERATION_GUEST_RESTART},
    {"guest", "pause", .operation = OPERATION_GUEST_PAUSE},
    {"guest", "resume", .operation = OPERATION_GUEST_RESUME},
    {"guest", "limit", .operation = OPERATION_GUEST_LIMIT,
     .example = "web --tenant shop --cpu-quota 1500 --disk-write-bytes 50M"},
    {"guest", "wait", .operation = OPERATION_GUEST_WAIT,
     .example = "web --tenant shop --state running --seconds 60"},
    {"guest", "console", .operation = OPERATION_GUEST_CONSOLE, .run = host_follow},
    {"guest", "input", .operation = OPERATION_GUEST_INPUT, .run = host_guest_input,
     .help = "Types what comes on standard input at a guest's console."},
    {"guest", "logs", .operation = OPERATION_GUEST_LOGS, .run = host_follow},
    {"guest", "evidence", .operation = OPERATION_GUEST_EVIDENCE,
     .example = "web --tenant shop --nonce 00112233445566778899aabbccddeeff --out web.evidence"},
    {"guest", "statistics", .operation = OPERATION_GUEST_STATISTICS, .watch = true},
    {"guest", "events", .operation = OPERATION_EVENT_STREAM, .run = host_follow},
    {"image", "add", .operation = OPERATION_IMAGE_ADD, .word_name = "file", .run = host_image_add,
     .help = "Stores a file; its digest is what definitions name it by."},
    {"image", "list", .operation = OPERATION_IMAGE_LIST, .watch = true},
    {"image", "show", .operation = OPERATION_IMAGE_SHOW},
    {"image", "delete", .operation = OPERATION_IMAGE_DELETE},
    {"image", "tag", .operation = OPERATION_IMAGE_TAG, .example = "web --tenant shop --image sha256:..."},
    {"tenant", "create", .operation = OPERATION_TENANT_CREATE, .word_name = "name",
     .example = "shop --quota-guests 20 --quota-memory 64G --quota-storage 500G"},
    {"tenant", "list", .operation = OPERATION_TENANT_LIST, .watch = true},
    {"tenant", "show", .operation = OPERATION_TENANT_SHOW, .watch = true},
    {"tenant", "update", .operation = OPERATION_TENANT_UPDATE, .example = "shop --quota-storage 800G"},
    {"tenant", "delete", .operation = OPERATION_TENANT_DELETE},
    {"role", "define", .operation = OPERATION_ROLE_DEFINE,
     .example = "starter --operation guest.start --operation guest.stop"},
    {"role", "list", .operation = OPERATION_ROLE_LIST},
    {"role", "delete", .operation = OPERATION_ROLE_DELETE},
    {"grant", "add", .operation = OPERATION_GRANT_ADD,
     .example = "--identity unix:1000 --role operator --tenant shop"},
    {"grant", "list", .operation = OPERATION_GRANT_LIST},
    {"grant", "remove", .operation = OPERATION_GRANT_REMOVE},
    {"constraint", "set", .operation = OPERATION_CONSTRAINT_SET,
     .example = "--tenant shop --tee snp --expect"},
    {"constraint", "show", .operation = OPERATION_CONSTRAINT_SHOW},
    {"approval", "list", .operation = OPERATION_APPROVAL_LIST, .watch = true},
    {"approval", "give", .operation = OPERATION_APPROVAL_GIVE},
    {"approval", "refuse", .operation = OPERATION_APPROVAL_REFUSE},
    {"host", "show", .operation = OPERATION_HOST_SHOW, .watch = true},
    {"host", "metrics", .operation = OPERATION_HOST_METRICS, .run = host_follow},
    {"host", "whoami", .operation = OPERATION_SESSION_SHOW},
};
#define ACTIONS (sizeof actions / sizeof *actions)

static const struct host_action *find_action(const char *noun, const char *word)
{
    for (size_t i = 0; i < ACTIONS; i++)
        if (strcmp(actions[i].noun, noun) == 0 && strcmp(actions[i].word, word) == 0)
            return &actions[i];
    return NULL;
}

bool host_has_action(const char *noun, const char *word)
{
    return find_action(noun, word) != NULL;
}

static bool is_tenants(const struct host_action *action)
{
    return strcmp(action->noun, "tenant") == 0;
}

static bool has_member(const struct schema *schema, const char *name)
{
    return schema && schema_find(schema, name);
}

static bool takes_tenant(const struct host_action *action)
{
    const struct operation *o = &operations[action->operation];
    return !is_tenants(action) &&
           (o->scope == OF_TENANT || has_member(o->query, "tenant") || has_member(o->body, "tenant"));
}

/* What stands after the action: its parts but the tenant, or what the table calls it. False beyond the last. */
static bool word_name(char out[static OPERATION_PART_MAX], const struct host_action *action, size_t index)
{
    const struct operation *o = &operations[action->operation];
    enum schema_check check;
    if (action->word_name) {
        (void)snprintf(out, OPERATION_PART_MAX, "%s", action->word_name);
        return index == 0;
    }
    for (size_t i = 0; operation_part(o, i, out, &check); i++)
        if ((strcmp(out, "tenant") != 0 || is_tenants(action)) && index-- == 0)
            return true;
    return false;
}

/* Help. */

enum option_value { SERVER, CA, CERT, KEY, TOKEN_FILE, TENANT, IN, OUT, TAG, JSON, WATCH, HELP, COMMON };

static const struct {
    const char *name, *value, *help;
} common[COMMON] = {
    [SERVER] = {"server", "ADDRESS", "unix:PATH, or https://HOST[:PORT] (default " HOST_SERVER ")"},
    [CA] = {"ca", "F", "with https: who vouches for the service's certificate, PEM"},
    [CERT] = {"cert", "F", "with https: your certificate, PEM"},
    [KEY] = {"key", "F", "its key, PEM; not needed where it is in the same file"},
    [TOKEN_FILE] = {"token-file", "F", "a bearer token, instead of a certificate or the socket's user"},
    [TENANT] = {"tenant", "NAME", "whose it is"},
    [IN] = {"in", "F", "the request's JSON object, \"-\": standard input; other options are put into it"},
    [OUT] = {"out", "F", "where the answer goes, as JSON"},
    [TAG] = {"tag", "NAME", "a tag that it gets"},
    [JSON] = {"json", NULL, "the answer as JSON"},
    [WATCH] = {"watch", NULL, "shows it again whenever something happened"},
    [HELP] = {"help", NULL, "this"},
};

static bool takes(const struct host_action *action, enum option_value option)
{
    const struct operation *o = &operations[action->operation];
    const bool bytes = o->type != NULL;
    return option == TENANT  ? takes_tenant(action)
           : option == IN    ? o->body && action->run != host_guest_input
           : option == OUT   ? !bytes && o->answer && !action->run
           : option == TAG   ? action->run == host_image_add
           : option == JSON  ? (!bytes && o->answer) || action->operation == OPERATION_EVENT_STREAM
           : option == WATCH ? action->watch
                             : true;
}

static void print_words(FILE *to, const struct host_action *action)
{
    char name[OPERATION_PART_MAX];
    for (size_t i = 0; word_name(name, action, i); i++) {
        for (char *c = name; *c; c++)
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        fprintf(to, " %s", name);
    }
}

static const char *help_of(const struct host_action *action)
{
    return action->help ? action->help : operations[action->operation].help;
}

static size_t flags_of(struct host_flag out[static HOST_FLAGS_MAX], const struct host_action *action)
{
    return action->run == host_guest_input
               ? 0
               : host_flags(out, &operations[action->operation], action->word_name);
}

static void print_common(FILE *to, const struct host_action *action)
{
    for (int i = 0; i < COMMON; i++)
        if (takes(action, (enum option_value)i))
            fprintf(to, "  --%s %-*s %s\n", common[i].name, 24 - (int)strlen(common[i].name) - 2,
                    common[i].value ? common[i].value : "", common[i].help);
}

static void print_action(FILE *to, const struct host_action *action)
{
    struct host_flag flag[HOST_FLAGS_MAX];
    const size_t flags = flags_of(flag, action);
    fprintf(to, "usage: cofre %s %s", action->noun, action->word);
    print_words(to, action);
    fprintf(to, " [OPTION]...\n\n%s\n\n", help_of(action));
    for (size_t i = 0; i < flags; i++)
        host_flag_describe(to, &flag[i]);
    fputs(flags ? "\n" : "", to);
    print_common(to, action);
    if (flags)
        fputs("\nA number may be a size, 512M or 4G. An IMAGE is a digest or a tag.\n", to);
    fprintf(to, "\nexample: cofre %s %s", action->noun, action->word);
    if (action->example) {
        fprintf(to, " %s\n", action->example);
        return;
    }
    print_words(to, action);
    fputs(takes_tenant(action) ? " --tenant shop\n" : "\n", to);
}

static void print_noun(FILE *to, const char *noun)
{
    const char *example = "list";
    fprintf(to,
            "usage: cofre %s ACTION [WORD]... [OPTION]...\n\n"
            "Asks a host that runs cofred (docs/cofred.md).\n\n",
            noun);
    for (size_t i = 0; i < ACTIONS; i++)
        if (strcmp(actions[i].noun, noun) == 0) {
            fprintf(to, "  %-12s %s\n", actions[i].word, help_of(&actions[i]));
            example = actions[i].word;
        }
    fprintf(to, "\nEach action explains itself: cofre %s %s --help\n", noun, example);
}

/* The command line. */

struct line {
    struct host_flag flag[HOST_FLAGS_MAX];
    size_t flags;
    struct option option[COMMON + HOST_FLAGS_MAX + 1];
    const char *given[COMMON];
    const char *value[HOST_FLAGS_MAX * 4]; /* of flags, in the order given */
    size_t which[HOST_FLAGS_MAX * 4], values;
};

static void make_options(struct line *l, const struct host_action *action)
{
    size_t n = 0;
    for (int i = 0; i < COMMON; i++)
        if (takes(action, (enum option_value)i))
            l->option[n++] =
                (struct option){common[i].name, common[i].value ? required_argument : no_argument, NULL, i};
    l->flags = flags_of(l->flag, action);
    for (size_t i = 0; i < l->flags; i++) {
        const struct schema_shape *shape = &l->flag[i].member[l->flag[i].depth - 1]->shape;
        l->option[n++] = (struct option){
            l->flag[i].name, shape->type == SCHEMA_BOOLEAN ? optional_argument : required_argument, NULL,
            COMMON + (int)i};
    }
}

/* 1 where the help was asked for. */
static int read_line(struct line *l, int argc, char **argv, struct cofre_err *err)
{
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "", l->option, NULL)) != -1;) {
        if (o == HELP)
            return 1;
        if (o == '?')
            return cofre_fail(err, COFRE_USAGE, "--help lists the options");
        if (o < COMMON && l->given[o])
            return cofre_fail(err, COFRE_USAGE, "--%s is given twice", common[o].name);
        if (o < COMMON) {
            l->given[o] = optarg ? optarg : "";
        } else if (l->values == sizeof l->value / sizeof *l->value) {
            return cofre_fail(err, COFRE_USAGE, "there are too many options");
        } else {
            l->which[l->values] = (size_t)(o - COMMON);
            l->value[l->values++] = optarg ? optarg : "true";
        }
    }
    return 0;
}

static int take_words(struct host_run *run, int argc, char **argv, struct cofre_err *err)
{
    char name[OPERATION_PART_MAX];
    for (; run->words < HOST_WORDS_MAX && word_name(name, run->action, run->words); run->words++) {
        if (optind == argc)
            return cofre_fail(err, COFRE_USAGE, "which %s? It is to stand after \"%s\"", name,
                              run->action->word);
        run->word[run->words] = argv[optind++];
    }
    return optind == argc ? 0 : cofre_fail(err, COFRE_USAGE, "\"%s\" is one word too many", argv[optind]);
}

static int read_in(json_t **out, const char *path, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, path, IN_MAX, err);
    if (rc == 0 && (rc = json_read(out, bytes_view(&file), COFRE_MALFORMED, err)) < 0)
        rc = cofre_within(err, rc, "%s", path);
    return rc;
}

static int put_tenant(struct host_run *run, struct cofre_err *err)
{
    const struct operation *o = run->operation;
    json_t *where = has_member(o->body, "tenant")    ? run->body
                    : has_member(o->query, "tenant") ? run->query
                                                     : NULL;
    if (o->scope == OF_TENANT && !is_tenants(run->action) && !run->tenant)
        return cofre_fail(err, COFRE_USAGE, "--tenant is missing: whose is it?");
    if (!where || !run->tenant)
        return 0;
    return json_object_set_new(where, "tenant", json_string(run->tenant)) == 0
               ? 0
               : cofre_fail(err, COFRE_USAGE, "--tenant: it is no UTF-8");
}

/* A guest's new version is whole: what is not given stays as the present one has it. */
static int begin_body(struct host_run *run, struct cofre_err *err)
{
    CLEAN_JSON *guest = NULL;
    if (!run->operation->body)
        return 0;
    if (run->in)
        return read_in(&run->body, run->in, err);
    run->body = json_object();
    if (run->action->operation != OPERATION_GUEST_UPDATE)
        return run->body ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
    int rc = host_ask(&guest, run, OPERATION_GUEST_SHOW, run->word, NULL, NULL, err);
    if (rc < 0)
        return rc;
    json_object_update(run->body, json_object_get(guest, "definition"));
    json_object_del(run->body, "name");
    return 0;
}

/* A list or map that is given is not added to what the present version has. */
static void forget_old(const struct host_run *run, const struct line *l)
{
    for (size_t i = 0; i < l->values; i++) {
        const struct host_flag *flag = &l->flag[l->which[i]];
        const enum schema_type type = flag->member[flag->depth - 1]->shape.type;
        if (!flag->query && flag->depth == 1 && (type == SCHEMA_LIST || type == SCHEMA_MAP))
            json_object_del(run->body, flag->member[0]->name);
    }
}

static int fill(struct host_run *run, const struct line *l, struct cofre_err *err)
{
    const struct host_resolver resolver = {host_digest, run};
    run->query = json_object();
    int rc = begin_body(run, err);
    if (rc == 0)
        forget_old(run, l);
    for (size_t i = 0; rc == 0 && i < l->values; i++) {
        const struct host_flag *flag = &l->flag[l->which[i]];
        rc = host_flag_put(flag->query ? run->query : run->body, flag, l->value[i], &resolver, err);
    }
    const char *name = run->action->word_name;
    if (rc == 0 && name && has_member(run->operation->body, name) &&
        json_object_set_new(run->body, name, json_string(run->word[0])) < 0)
        rc = cofre_fail(err, COFRE_USAGE, "\"%s\" is no UTF-8", run->word[0]);
    if (rc == 0)
        rc = put_tenant(run, err);
    if (rc == 0 && run->operation->body && run->action->run != host_guest_input &&
        (rc = schema_check(run->body, run->operation->body, err)) < 0)
        rc = -COFRE_USAGE;
    return rc;
}

/* The call. */

static int add_query(FILE *to, const json_t *query)
{
    const char *name;
    const json_t *value;
    char separator = '?';
    json_object_foreach((json_t *)query, name, value)
    {
        const char *text = json_string_value(value);
        char *plain = text ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        char *escaped = curl_easy_escape(NULL, text ? text : plain, 0);
        if (escaped)
            fprintf(to, "%c%s=%s", separator, name, escaped);
        free(plain);
        if (!escaped)
            return -1;
        curl_free(escaped);
        separator = '&';
    }
    return 0;
}

static int add_path(FILE *to, const struct host_run *run, const struct operation *o, const char *const *word,
                    struct cofre_err *err)
{
    char name[OPERATION_PART_MAX];
    enum schema_check check;
    const char *at = o->path;
    for (size_t i = 0; operation_part(o, i, name, &check); i++) {
        const bool tenant = strcmp(name, "tenant") == 0 && !is_tenants(run->action);
        const char *text = tenant ? run->tenant : *word++;
        const size_t before = strcspn(at, "{");
        int rc = text ? schema_check_text(text, check, name, err)
                      : cofre_fail(err, COFRE_USAGE, "--%s is missing", name);
        if (rc < 0)
            return -COFRE_USAGE;
        fprintf(to, "%.*s%s", (int)before, at, text);
        at += before + strlen(name) + 2;
    }
    fputs(at, to);
    return 0;
}

int host_prepare(struct host_request *request, char **path, const struct host_run *run,
                 const struct operation *operation, const char *const *word, const json_t *query,
                 struct cofre_err *err)
{
    size_t size;
    *path = NULL;
    FILE *to = open_memstream(path, &size);
    if (!to)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    int rc = add_path(to, run, operation, word, err);
    if (rc == 0 && query && add_query(to, query) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    if (fclose(to) != 0 && rc == 0)
        rc = cofre_fail(err, COFRE_FAILED, "out of memory");
    request->method = operation->method;
    request->path = *path;
    return rc;
}

int host_ask(json_t **answer, const struct host_run *run, enum operation_number operation,
             const char *const *word, const json_t *query, const json_t *body, struct cofre_err *err)
{
    struct host_request request = {.upload = -1, .body = body};
    CLEAN_FREE char *path = NULL;
    *answer = NULL;
    int rc = host_prepare(&request, &path, run, &operations[operation], word, query, err);
    return rc < 0 ? rc : host_call(answer, &run->server, &request, err);
}

int host_digest(void *context, char out[static OPERATION_PART_MAX], const char *name, struct cofre_err *err)
{
    const struct host_run *run = context;
    CLEAN_JSON *image = NULL;
    int rc = host_ask(&image, run, OPERATION_IMAGE_SHOW, (const char *const[]){name}, NULL, NULL, err);
    const char *digest = json_string_value(json_object_get(image, "digest"));
    if (rc >= 0 && (!digest || schema_check_text(digest, SCHEMA_IS_DIGEST, "digest", NULL) < 0))
        rc = cofre_fail(err, COFRE_MALFORMED, "the service names no digest of image %s", name);
    if (rc >= 0)
        (void)snprintf(out, OPERATION_PART_MAX, "%s", digest);
    return rc < 0 ? rc : 0;
}

/* A list comes in pages. Without --limit all of them are asked for. */
static int ask_all(json_t **answer, struct host_run *run, struct cofre_err *err)
{
    const bool paged = has_member(run->operation->query, "after") && !json_object_get(run->query, "limit");
    int rc = host_ask(answer, run, run->action->operation, run->word, run->query, run->body, err);
    for (json_t *page = *answer; rc == 0 && paged;) {
        const char *next = json_string_value(json_object_get(page, "next"));
        CLEAN_JSON *more = NULL;
        if (!next)
            break;
        if (json_object_set_new(run->query, "after", json_string(next)) < 0)
            return cofre_fail(err, COFRE_FAILED, "out of memory");
        rc = host_ask(&more, run, run->action->operation, run->word, run->query, run->body, err);
        if (rc == 0)
            rc = host_append(*answer, more, err);
    }
    return rc;
}

/* Accepted, and not done: an approval is what was answered. */
static int held(const json_t *answer, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_NEGATIVE,
                      "it waits for a second approver, and is not done yet: cofre approval give %.32s",
                      json_string_value(json_object_get(answer, "id")));
}

static bool is_approval(const json_t *answer)
{
    return json_is_string(json_object_get(answer, "id")) && json_object_get(answer, "operation");
}

int host_show(struct host_run *run, struct cofre_err *err)
{
    CLEAN_JSON *answer = NULL;
    int rc = ask_all(&answer, run, err);
    if (rc == 1 && is_approval(answer))
        return held(answer, err);
    return rc < 0 ? rc : host_print(run, answer, err);
}

static int start(struct host_run *run, const struct line *l, int argc, char **argv, struct cofre_err *err)
{
    run->operation = &operations[run->action->operation];
    run->server = (struct host_server){.url = l->given[SERVER] ? l->given[SERVER] : HOST_SERVER,
                                       .ca = l->given[CA],
                                       .cert = l->given[CERT],
                                       .key = l->given[KEY],
                                       .token_file = l->given[TOKEN_FILE]};
    run->tenant = l->given[TENANT];
    run->in = l->given[IN];
    run->tag = l->given[TAG];
    run->out = l->given[OUT];
    run->json = l->given[JSON];
    run->watch = l->given[WATCH];
    int rc = take_words(run, argc, argv, err);
    if (rc == 0)
        rc = fill(run, l, err);
    if (rc < 0)
        return rc;
    return run->watch         ? host_watch(run, err)
           : run->action->run ? run->action->run(run, err)
                              : host_show(run, err);
}

int verb_host(int argc, char **argv)
{
    const char *noun = argv[0];
    const struct host_action *action = argc > 1 ? find_action(noun, argv[1]) : NULL;
    if (!action) {
        const bool asked = argc > 1 && strcmp(argv[1], "--help") == 0;
        print_noun(asked ? stdout : stderr, noun);
        return asked ? 0 : COFRE_USAGE;
    }
    struct line line = {.flags = 0};
    struct host_run run = {.action = action};
    struct cofre_err err;
    make_options(&line, action);
    int rc = read_line(&line, argc - 1, argv + 1, &err);
    if (rc == 1) {
        print_action(stdout, action);
        return 0;
    }
    if (rc == 0)
        rc = start(&run, &line, argc - 1, argv + 1, &err);
    json_decref(run.query);
    json_decref(run.body);
    if (rc < 0)
        fprintf(stderr, "cofre %s %s: %s\n", noun, action->word, err.text);
    return rc < 0 ? -rc : 0;
}
