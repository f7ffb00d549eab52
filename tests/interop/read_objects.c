/* Prints cofred's OpenAPI document on one line. Then reads lines from standard input, an operation's name, a tab and a body each, and
 * says of each "ok" or what is wrong with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/json.h"
#include "vmm/host/front/document.h"
#include "vmm/host/interface/operation.h"

static void judge(char *line)
{
    char *tab = strchr(line, '\t');
    struct cofre_err err = {"no operation"};
    json_t *body = NULL;
    if (!tab)
        abort();
    *tab++ = 0;
    const struct operation *operation = operation_find(line);
    const struct view text = {(const uint8_t *)tab, strlen(tab)};
    const bool good = operation && operation->body && json_read(&body, text, COFRE_MALFORMED, &err) == 0 &&
                      schema_check(body, operation->body, &err) == 0;
    puts(good ? "ok" : err.text);
    json_decref(body);
}

int main(void)
{
    char *line = NULL, *document = document_text();
    size_t size = 0;
    if (!document)
        return 1;
    puts(document);
    free(document);
    while (getline(&line, &size, stdin) > 0)
        judge(line);
    free(line);
    return 0;
}
