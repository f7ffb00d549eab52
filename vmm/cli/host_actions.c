/* The verbs of cofred's clients: which operation a word is. */
#include <stdio.h>
#include <string.h>

#include "vmm/cli/host.h"

/* The verbs. Where an action is more than its operation, run has it. */
const struct host_action host_actions[] = {
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
     .example = "--identity uid:1000 --role operator --tenant shop"},
    {"grant", "list", .operation = OPERATION_GRANT_LIST},
    {"grant", "remove", .operation = OPERATION_GRANT_REMOVE},
    {"constraint", "set", .operation = OPERATION_CONSTRAINT_SET,
     .example = "--tenant shop --tee snp --expect"},
    {"constraint", "show", .operation = OPERATION_CONSTRAINT_SHOW},
    {"approval", "list", .operation = OPERATION_APPROVAL_LIST, .watch = true},
    {"approval", "give", .operation = OPERATION_APPROVAL_GIVE},
    {"approval", "refuse", .operation = OPERATION_APPROVAL_REFUSE},
    {"audit", "retain", .operation = OPERATION_AUDIT_RETAIN, .example = "--before 100000"},
    {"host", "show", .operation = OPERATION_HOST_SHOW, .watch = true},
    {"host", "metrics", .operation = OPERATION_HOST_METRICS, .run = host_follow},
    {"host", "whoami", .operation = OPERATION_SESSION_SHOW},
};
const size_t host_actions_count = sizeof host_actions / sizeof *host_actions;

const struct host_action *host_find_action(const char *noun, const char *word)
{
    for (size_t i = 0; i < host_actions_count; i++)
        if (strcmp(host_actions[i].noun, noun) == 0 && strcmp(host_actions[i].word, word) == 0)
            return &host_actions[i];
    return NULL;
}

bool host_has_action(const char *noun, const char *word)
{
    return host_find_action(noun, word) != NULL;
}

bool host_is_tenants(const struct host_action *action)
{
    return strcmp(action->noun, "tenant") == 0;
}

bool host_has_member(const struct schema *schema, const char *name)
{
    return schema && schema_find(schema, name);
}

bool host_takes_tenant(const struct host_action *action)
{
    const struct operation *o = &operations[action->operation];
    return !host_is_tenants(action) && (o->scope == OF_TENANT || host_has_member(o->query, "tenant") ||
                                        host_has_member(o->body, "tenant"));
}

/* What stands after the action: its parts but the tenant, or what the table calls it. False beyond the last. */
bool host_word_name(char out[static OPERATION_PART_MAX], const struct host_action *action, size_t index)
{
    const struct operation *o = &operations[action->operation];
    enum schema_check check;
    if (action->word_name) {
        (void)snprintf(out, OPERATION_PART_MAX, "%s", action->word_name);
        return index == 0;
    }
    for (size_t i = 0; operation_part(o, i, out, &check); i++)
        if ((strcmp(out, "tenant") != 0 || host_is_tenants(action)) && index-- == 0)
            return true;
    return false;
}
