/* cofre-trust grant: a credential, made at the machine of the service, by whoever can read its files. */
#include <stdio.h>
#include <string.h>

#include "attest/service/command.h"
#include "attest/service/offline.h"
#include "vmm/base/json.h"
#include "vmm/base/number.h"

int command_grant(const struct command *command, struct cofre_err *err)
{
    CLEAN_OFFLINE offline = {0};
    char token[ADMISSION_TOKEN_SIZE] = "";
    uint64_t days = 365;
    int rc = command->days ? number_parse(&days, command->days, "--days", 1, 36500, err) : 0;
    if (rc == 0)
        rc = offline_open(&offline, command->config, err);
    if (rc == 0)
        rc = offline_admit(&offline, command->to, command->roles, command->scope ? command->scope : "",
                           (unsigned)days, token, err);
    if (rc < 0)
        return rc;
    if (command->json) {
        CLEAN_JSON *object = json_pack("{s:s, s:s}", "name", command->to, "token", token);
        json_dumpf(object, stdout, JSON_INDENT(2));
        putchar('\n');
    } else
        printf("%s\n", token);
    explicit_bzero(token, sizeof token);
    return fflush(stdout) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "standard output cannot be written");
}
