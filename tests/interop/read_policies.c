/* Reads one policy a line from standard input, and says of each "ok" or what is wrong with it. */
#include <stdio.h>
#include <stdlib.h>

#include "attest/policy.h"

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    for (ssize_t len; (len = getline(&line, &size, stdin)) > 0;) {
        CLEAN_POLICY policy = {0};
        struct cofre_err err = {""};
        int rc = policy_parse(&policy, (struct view){(const uint8_t *)line, (size_t)len}, &err);
        puts(rc == 0 ? "ok" : err.text);
    }
    free(line);
    return 0;
}
