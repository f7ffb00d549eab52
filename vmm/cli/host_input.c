/* cofre guest input: standard input, typed at a guest's console. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/cli/host.h"

#define INPUT_MAX 4096 /* of one request (vmm/host/interface/schemas_guest.c) */

static int type(const struct host_run *run, struct view bytes, struct cofre_err *err)
{
    CLEAN_FREE char *text = NULL;
    CLEAN_JSON *answer = NULL;
    int rc = base64_encode(&text, bytes, err);
    if (rc < 0)
        return rc;
    CLEAN_JSON *body = json_pack("{s:s}", "data", text);
    return body ? host_ask(&answer, run, OPERATION_GUEST_INPUT, run->word, NULL, body, err)
                : cofre_fail(err, COFRE_FAILED, "out of memory");
}

int host_guest_input(struct host_run *run, struct cofre_err *err)
{
    uint8_t buffer[INPUT_MAX];
    for (;;) {
        const ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? 0 : cofre_fail(err, COFRE_USAGE, "standard input: %s", strerror(errno));
        int rc = type(run, (struct view){buffer, (size_t)n}, err);
        if (rc < 0)
            return rc;
    }
}
