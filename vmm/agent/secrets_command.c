#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "vmm/agent/evidence_file.h"
#include "vmm/agent/help.h"
#include "vmm/agent/key.h"
#include "vmm/agent/provider.h"
#include "vmm/agent/secret_files.h"
#include "vmm/agent/secrets.h"
#include "vmm/agent/service.h"
#include "vmm/base/cleanup.h"

struct arguments {
    struct service service;
    const char *to, *owner, *keep;
    const char *name[KEPT_SECRETS_MAX];
    size_t names;
};

static int put(const struct agent_secrets *s, const struct arguments *a, int folder,
               const struct secret_owner *owner, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < s->count && rc == 0; i++)
        rc = secret_file_write(folder, s->secret[i].name, s->secret[i].value, owner, err);
    if (rc == 0 && s->why.text[0])
        fprintf(stderr, "cofre-agent: %s%s\n", s->why.text, s->from_file ? "; what was kept is used" : "");
    if (rc == 0)
        fprintf(stderr, "cofre-agent: %zu secret%s in %s\n", s->count, s->count == 1 ? " is" : "s are",
                a->to);
    return rc;
}

static int get_and_put(const struct arguments *a, int folder, const struct secret_owner *owner,
                       struct cofre_err *err)
{
    static struct agent_secrets secrets;
    const struct agent_secrets_request request = {.service = &a->service.options,
                                                  .policy = a->service.policy,
                                                  .name = a->name,
                                                  .names = a->names,
                                                  .keep = a->keep,
                                                  .now = time(NULL),
                                                  .evidence = evidence_file,
                                                  .root = sev_guest_root,
                                                  .derive = sev_guest_derive};
    int rc = agent_secrets_get(&secrets, &request, err);
    if (rc < 0)
        return rc;
    rc = put(&secrets, a, folder, owner, err);
    agent_secrets_free(&secrets);
    return rc;
}

static int run(struct arguments *a, struct cofre_err *err)
{
    struct secret_owner owner = {geteuid(), getegid()};
    int rc = a->owner ? secret_owner_parse(&owner, a->owner, err) : 0;
    CLEAN_FD folder = rc < 0 ? rc : secret_folder_open(a->to, err);
    if (folder < 0)
        return folder;
    if (a->keep && (rc = sev_guest_may_derive(err)) < 0)
        return cofre_within(err, rc, "--keep");
    rc = agent_key_lock_memory(err);
    if (rc == 0)
        rc = service_prepare(&a->service, NULL, err);
    return rc < 0 ? rc : get_and_put(a, folder, &owner, err);
}

int agent_secrets_command(int argc, char **argv)
{
    struct arguments a = {.to = NULL};
    const struct service_option own[] = {
        {.name = "name", .value = a.name, .count = &a.names, .most = KEPT_SECRETS_MAX},
        {.name = "to", .value = &a.to},
        {.name = "owner", .value = &a.owner},
        {.name = "keep", .value = &a.keep},
        {0}};
    struct cofre_err err;
    int code;
    if (!service_read_options(&a.service, own, argc, argv, &code))
        return code;
    if (!a.names || !a.to)
        return agent_help(false);
    int rc = run(&a, &err);
    service_free(&a.service);
    if (rc < 0)
        fprintf(stderr, "cofre-agent: %s\n", err.text);
    return -rc;
}
