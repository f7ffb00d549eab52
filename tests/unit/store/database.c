#include "tests/unit/store/database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a line of shell; its first line of output. */
static int shell(char *out, size_t size, const char *line)
{
    FILE *from = popen(line, "re");
    if (!from)
        abort();
    if (!fgets(out, (int)size, from))
        out[0] = 0;
    out[strcspn(out, "\n")] = 0;
    while (fgetc(from) != EOF)
        continue;
    int status = pclose(from);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int postgres(struct database *server, const char *verb, const char *mode, char *out, size_t size)
{
    char line[512];
    (void)snprintf(line, sizeof line, "'%s/tests/unit/store/postgres' %s '%s' %s", getenv("COFRE_SOURCE"),
                   verb, server->folder, mode);
    return shell(out, size, line);
}

bool database_start(struct database *server, const char *kind)
{
    *server =
        (struct database){.postgres = strcmp(kind, "postgres") == 0, .folder = "/tmp/cofre-store-XXXXXX"};
    if (!mkdtemp(server->folder))
        abort();
    if (!server->postgres) {
        (void)snprintf(server->name, sizeof server->name, "%s/store.sqlite", server->folder);
        return true;
    }
    int code = postgres(server, "start", "", server->name, sizeof server->name);
    if (code != 0 && code != 77)
        abort();
    return code == 0;
}

void database_stop(struct database *server, const char *mode)
{
    char out[256];
    if (postgres(server, "stop", mode, out, sizeof out) != 0)
        abort();
}

void database_start_again(struct database *server)
{
    if (postgres(server, "start", "", server->name, sizeof server->name) != 0)
        abort();
}

void database_remove(struct database *server)
{
    char line[128], out[64];
    if (server->postgres && server->name[0])
        database_stop(server, "immediate");
    (void)snprintf(line, sizeof line, "rm -rf '%s'", server->folder);
    (void)shell(out, sizeof out, line);
}
