/* What cofred's clients say of themselves, and which options an action takes. */
#include <stdio.h>
#include <string.h>

#include "vmm/cli/host.h"

const struct host_option host_options[HOST_OPTIONS] = {
    [HOST_SERVER] = {"server", "ADDRESS",
                     "unix:PATH, or https://HOST[:PORT] (default " HOST_SERVER_DEFAULT ")"},
    [HOST_CA] = {"ca", "F", "with https: who vouches for the service's certificate, PEM"},
    [HOST_CERT] = {"cert", "F", "with https: your certificate, PEM"},
    [HOST_KEY] = {"key", "F", "its key, PEM; not needed where it is in the same file"},
    [HOST_TOKEN_FILE] = {"token-file", "F", "a bearer token, instead of a certificate or the socket's user"},
    [HOST_TENANT] = {"tenant", "NAME", "whose it is"},
    [HOST_IN] = {"in", "F",
                 "the request's JSON object, \"-\": standard input; other options are put into it"},
    [HOST_OUT] = {"out", "F", "where the answer goes, as JSON"},
    [HOST_TAG] = {"tag", "NAME", "a tag that it gets"},
    [HOST_JSON] = {"json", NULL, "the answer as JSON"},
    [HOST_WATCH] = {"watch", NULL, "shows it again whenever something happened"},
    [HOST_HELP] = {"help", NULL, "this"},
};

bool host_takes(const struct host_action *action, enum host_option_number option)
{
    const struct operation *o = &operations[action->operation];
    const bool bytes = o->type != NULL;
    return option == HOST_TENANT  ? host_takes_tenant(action)
           : option == HOST_IN    ? o->body && action->run != host_guest_input
           : option == HOST_OUT   ? !bytes && o->answer && !action->run
           : option == HOST_TAG   ? action->run == host_image_add
           : option == HOST_JSON  ? (!bytes && o->answer) || action->operation == OPERATION_EVENT_STREAM
           : option == HOST_WATCH ? action->watch
                                  : true;
}

static void print_words(FILE *to, const struct host_action *action)
{
    char name[OPERATION_PART_MAX];
    for (size_t i = 0; host_word_name(name, action, i); i++) {
        for (char *c = name; *c; c++)
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        fprintf(to, " %s", name);
    }
}

static const char *help_of(const struct host_action *action)
{
    return action->help ? action->help : operations[action->operation].help;
}

size_t host_action_flags(struct host_flag out[static HOST_FLAGS_MAX], const struct host_action *action)
{
    return action->run == host_guest_input
               ? 0
               : host_flags(out, &operations[action->operation], action->word_name);
}

static void print_common(FILE *to, const struct host_action *action)
{
    for (int i = 0; i < HOST_OPTIONS; i++)
        if (host_takes(action, (enum host_option_number)i))
            fprintf(to, "  --%s %-*s %s\n", host_options[i].name, 24 - (int)strlen(host_options[i].name) - 2,
                    host_options[i].value ? host_options[i].value : "", host_options[i].help);
}

void host_print_action(FILE *to, const struct host_action *action)
{
    struct host_flag flag[HOST_FLAGS_MAX];
    const size_t flags = host_action_flags(flag, action);
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
    fputs(host_takes_tenant(action) ? " --tenant shop\n" : "\n", to);
}

void host_print_noun(FILE *to, const char *noun)
{
    const char *example = "list";
    fprintf(to,
            "usage: cofre %s ACTION [WORD]... [OPTION]...\n\n"
            "Asks a host that runs cofred (docs/cofred.md).\n\n",
            noun);
    for (size_t i = 0; i < host_actions_count; i++)
        if (strcmp(host_actions[i].noun, noun) == 0) {
            fprintf(to, "  %-12s %s\n", host_actions[i].word, help_of(&host_actions[i]));
            example = host_actions[i].word;
        }
    fprintf(to, "\nEach action explains itself: cofre %s %s --help\n", noun, example);
}
