/* cofre guest, tenant, role, grant, constraint, approval, host, and cofre image add and its like: cofred's operations on a command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"
#include "vmm/cli/verb.h"

#define IN_MAX (1u << 20)

struct line {
    struct host_flag flag[HOST_FLAGS_MAX];
    size_t flags;
    struct option option[HOST_OPTIONS + HOST_FLAGS_MAX + 1];
    const char *given[HOST_OPTIONS];
    const char *value[HOST_FLAGS_MAX * 4]; /* of flags, in the order given */
    size_t which[HOST_FLAGS_MAX * 4], values;
};

static void make_options(struct line *l, const struct host_action *action)
{
    size_t n = 0;
    for (int i = 0; i < HOST_OPTIONS; i++)
        if (host_takes(action, (enum host_option_number)i))
            l->option[n++] = (struct option){
                host_options[i].name, host_options[i].value ? required_argument : no_argument, NULL, i};
    l->flags = host_action_flags(l->flag, action);
    for (size_t i = 0; i < l->flags; i++) {
        const struct schema_shape *shape = &l->flag[i].member[l->flag[i].depth - 1]->shape;
        l->option[n++] = (struct option){
            l->flag[i].name, shape->type == SCHEMA_BOOLEAN ? optional_argument : required_argument, NULL,
            HOST_OPTIONS + (int)i};
    }
}

/* 1 where the help was asked for. */
static int read_line(struct line *l, int argc, char **argv, struct cofre_err *err)
{
    optind = 0; /* from the beginning, whoever read options before */
    for (int o; (o = getopt_long(argc, argv, "", l->option, NULL)) != -1;) {
        if (o == HOST_HELP)
            return 1;
        if (o == '?')
            return cofre_fail(err, COFRE_USAGE, "--help lists the options");
        if (o < HOST_OPTIONS && l->given[o])
            return cofre_fail(err, COFRE_USAGE, "--%s is given twice", host_options[o].name);
        if (o < HOST_OPTIONS) {
            l->given[o] = optarg ? optarg : "";
        } else if (l->values == sizeof l->value / sizeof *l->value) {
            return cofre_fail(err, COFRE_USAGE, "there are too many options");
        } else {
            l->which[l->values] = (size_t)(o - HOST_OPTIONS);
            l->value[l->values++] = optarg ? optarg : "true";
        }
    }
    return 0;
}

static int take_words(struct host_run *run, int argc, char **argv, struct cofre_err *err)
{
    char name[OPERATION_PART_MAX];
    for (; run->words < HOST_WORDS_MAX && host_word_name(name, run->action, run->words); run->words++) {
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
    json_t *where = host_has_member(o->body, "tenant")    ? run->body
                    : host_has_member(o->query, "tenant") ? run->query
                                                          : NULL;
    if (o->scope == OF_TENANT && !host_is_tenants(run->action) && !run->tenant)
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
    if (rc == 0 && name && host_has_member(run->operation->body, name) &&
        json_object_set_new(run->body, name, json_string(run->word[0])) < 0)
        rc = cofre_fail(err, COFRE_USAGE, "\"%s\" is no UTF-8", run->word[0]);
    if (rc == 0)
        rc = put_tenant(run, err);
    if (rc == 0 && run->operation->body && run->action->run != host_guest_input &&
        (rc = schema_check(run->body, run->operation->body, err)) < 0)
        rc = -COFRE_USAGE;
    return rc;
}

static int start(struct host_run *run, const struct line *l, int argc, char **argv, struct cofre_err *err)
{
    run->operation = &operations[run->action->operation];
    run->server =
        (struct host_server){.url = l->given[HOST_SERVER] ? l->given[HOST_SERVER] : HOST_SERVER_DEFAULT,
                             .ca = l->given[HOST_CA],
                             .cert = l->given[HOST_CERT],
                             .key = l->given[HOST_KEY],
                             .token_file = l->given[HOST_TOKEN_FILE]};
    run->tenant = l->given[HOST_TENANT];
    run->in = l->given[HOST_IN];
    run->tag = l->given[HOST_TAG];
    run->out = l->given[HOST_OUT];
    run->json = l->given[HOST_JSON];
    run->watch = l->given[HOST_WATCH];
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
    const struct host_action *action = argc > 1 ? host_find_action(noun, argv[1]) : NULL;
    if (!action) {
        const bool asked = argc > 1 && strcmp(argv[1], "--help") == 0;
        host_print_noun(asked ? stdout : stderr, noun);
        return asked ? 0 : COFRE_USAGE;
    }
    struct line line = {.flags = 0};
    struct host_run run = {.action = action};
    struct cofre_err err;
    make_options(&line, action);
    int rc = read_line(&line, argc - 1, argv + 1, &err);
    if (rc == 1) {
        host_print_action(stdout, action);
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
