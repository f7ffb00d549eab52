/* The verbs of cofred's clients (cofre guest, tenant, ...): what their files share. A verb's actions are the operations of its noun
 * (vmm/host/interface/operation.h), and its options are their tables'. */
#ifndef COFRE_CLI_HOST_H
#define COFRE_CLI_HOST_H

#include "vmm/cli/host_call.h"
#include "vmm/cli/host_flags.h"
#include "vmm/host/interface/operation.h"

#define HOST_WORDS_MAX 3

struct host_run;

struct host_action {
    const char *noun, *word; /* "guest", "start" */
    enum operation_number operation;
    const char *word_name; /* what its first word is called, where the path does not say; NULL */
    int (*run)(struct host_run *run, struct cofre_err *err); /* NULL: the operation, and its answer printed */
    bool watch;                                              /* takes --watch */
    const char *help;                                        /* NULL: the operation's */
    const char *example; /* what stands after the action; NULL: its words */
};

/* host_actions.c. */
extern const struct host_action host_actions[];
extern const size_t host_actions_count;
const struct host_action *host_find_action(const char *noun, const char *word);
/* Whether "cofre NOUN WORD" is one of them. */
bool host_has_action(const char *noun, const char *word);
/* What stands after the action: its path's parts but the tenant, or what the table calls it. False beyond the last. */
bool host_word_name(char out[static OPERATION_PART_MAX], const struct host_action *action, size_t index);
bool host_is_tenants(const struct host_action *action); /* the tenant is what it is about */
bool host_takes_tenant(const struct host_action *action);
bool host_has_member(const struct schema *schema, const char *name);

/* host_help.c. Options that are not of an operation's tables. */
enum host_option_number {
    HOST_SERVER,
    HOST_CA,
    HOST_CERT,
    HOST_KEY,
    HOST_TOKEN_FILE,
    HOST_TENANT,
    HOST_IN,
    HOST_OUT,
    HOST_TAG,
    HOST_JSON,
    HOST_WATCH,
    HOST_HELP,
    HOST_OPTIONS
};
struct host_option {
    const char *name, *value, *help; /* value NULL: it takes none */
};
extern const struct host_option host_options[HOST_OPTIONS];
bool host_takes(const struct host_action *action, enum host_option_number option);
/* And those that are. */
size_t host_action_flags(struct host_flag out[static HOST_FLAGS_MAX], const struct host_action *action);
void host_print_action(FILE *to, const struct host_action *action);
void host_print_noun(FILE *to, const char *noun);

/* One command line. */
struct host_run {
    const struct host_action *action;
    const struct operation *operation;
    struct host_server server;
    const char *tenant, *in, *out, *tag;
    bool json, watch;
    const char *word[HOST_WORDS_MAX]; /* what stands without an option, after the action */
    size_t words;
    json_t *query, *body;
};

/* host_ask.c. Calls an operation with the run's server and tenant; word fills its path's parts that are not the tenant. The result
 * is host_call's. */
int host_ask(json_t **answer, const struct host_run *run, enum operation_number operation,
             const char *const *word, const json_t *query, const json_t *body, struct cofre_err *err);
/* The same of a request that has more to it: fills in method and path, which is the caller's to free. */
int host_prepare(struct host_request *request, char **path, const struct host_run *run,
                 const struct operation *operation, const char *const *word, const json_t *query,
                 struct cofre_err *err);
/* An image's digest by what people call it: a digest, or a tag of the tenant's. */
int host_digest(void *run, char out[static OPERATION_PART_MAX], const char *name, struct cofre_err *err);

/* Asks, all pages of a list, and prints. */
int host_show(struct host_run *run, struct cofre_err *err);

/* host_print.c. As JSON, into the file of --out, or for people: a list as a table. */
int host_print(const struct host_run *run, json_t *answer, struct cofre_err *err);
/* The next page of a list behind the ones before. */
int host_append(json_t *answer, const json_t *page, struct cofre_err *err);

/* host_stream.c: what goes on. */
int host_follow(struct host_run *run, struct cofre_err *err);
int host_watch(struct host_run *run, struct cofre_err *err);

/* host_image.c, host_input.c: actions that are more than a call. */
int host_image_add(struct host_run *run, struct cofre_err *err);
int host_guest_input(struct host_run *run, struct cofre_err *err);

#endif
