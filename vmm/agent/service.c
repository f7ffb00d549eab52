#include "vmm/agent/service.h"

#include <getopt.h>
#include <signal.h>
#include <string.h>

#include "vmm/agent/help.h"
#include "vmm/base/file.h"

#define ANSWER_SECONDS 60
#define OPTIONS_MAX    16

void service_free(struct service *s)
{
    channel_identity_free(&s->identity);
}

/* The command line */

static bool put(const struct service_option *option, const char *text)
{
    if (!option->count) {
        *option->value = text;
        return true;
    }
    if (*option->count == option->most)
        return false;
    option->value[(*option->count)++] = text;
    return true;
}

static bool read_options(const struct service_option *all, size_t count, int argc, char **argv,
                         int *exit_code)
{
    struct option options[OPTIONS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};
    for (size_t i = 0; i < count; i++)
        options[1 + i] = (struct option){all[i].name, required_argument, NULL, (int)i};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (o == 'h' || o == '?' || !put(&all[o], optarg)) {
            *exit_code = agent_help(o == 'h');
            return false;
        }
    return true;
}

bool service_read_options(struct service *s, const struct service_option *own, int argc, char **argv,
                          int *exit_code)
{
    struct service_option all[OPTIONS_MAX] = {{.name = "from", .value = &s->from},
                                              {.name = "relay", .value = &s->relay},
                                              {.name = "ca", .value = &s->ca},
                                              {.name = "policy", .value = &s->policy},
                                              {.name = "token-file", .value = &s->token_file}};
    size_t count = 5;
    for (; own->name && count < OPTIONS_MAX; own++)
        all[count++] = *own;
    if (!read_options(all, count, argc, argv, exit_code))
        return false;
    if (optind == argc && s->from && s->ca && s->policy)
        return true;
    *exit_code = agent_help(false);
    return false;
}

/* What a connection wants */

/* A file with a token and nothing else, but for the line's end. */
static int read_token(struct service *s, struct cofre_err *err)
{
    CLEAN_BYTES file = {0};
    int rc = file_read(&file, s->token_file, SERVICE_TOKEN_MAX, err);
    if (rc < 0)
        return rc;
    size_t len = file.len;
    while (len && (file.data[len - 1] == '\n' || file.data[len - 1] == '\r'))
        len--;
    memcpy(s->token, file.data, len);
    s->token[len] = 0;
    return len && strlen(s->token) == len
               ? 0
               : cofre_fail(err, COFRE_USAGE, "%s: there is no token in it", s->token_file);
}

int service_prepare(struct service *s, const char *key_file, struct cofre_err *err)
{
    int rc = s->token_file ? read_token(s, err) : 0;
    if (rc == 0)
        rc = key_file ? channel_identity_keep(&s->identity, key_file, err)
                      : channel_identity_new(&s->identity, err);
    if (rc < 0)
        return rc;
    s->options = (struct trust_client_options){.url = s->from,
                                               .relay = s->relay,
                                               .ca = s->ca,
                                               .token = s->token_file ? s->token : NULL,
                                               .identity = &s->identity,
                                               .seconds = ANSWER_SECONDS};
    (void)signal(SIGPIPE, SIG_IGN);
    return 0;
}
