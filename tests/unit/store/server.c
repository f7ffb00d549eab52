#include "tests/unit/store/server.h"

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

static int postgres(struct server *server, const char *verb, const char *mode, char *out, size_t size)
{
    char line[512];
    (void)snprintf(line, sizeof line, "'%s/tests/unit/store/postgres' %s '%s' %s", getenv("COFRE_SOURCE"),
                   verb, server->folder, mode);
    return shell(out, size, line);
}

bool server_start(struct server *server, const char *kind)
{
    *server = (struct server){.postgres = strcmp(kind, "postgres") == 0, .folder = "/tmp/cofre-store-XXXXXX"};
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

void server_stop(struct server *server, const char *mode)
{
    char out[256];
    if (postgres(server, "stop", mode, out, sizeof out) != 0)
        abort();
}

void server_start_again(struct server *server)
{
    if (postgres(server, "start", "", server->name, sizeof server->name) != 0)
        abort();
}

void server_remove(struct server *server)
{
    char line[128], out[64];
    if (server->postgres && server->name[0])
        server_stop(server, "immediate");
    (void)snprintf(line, sizeof line, "rm -rf '%s'", server->folder);
    (void)shell(out, sizeof out, line);
}
