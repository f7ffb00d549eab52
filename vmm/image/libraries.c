#include "vmm/image/libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

/* What the linker says of the program: one line a library, "NAME => PATH (ADDRESS)". */
static int ask_linker(FILE **out, pid_t *pid, const char *program, struct cofre_err *err)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    char *const argv[] = {LIBRARIES_LINKER, "--list", (char *)program, NULL};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", program, strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int error = posix_spawn(pid, argv[0], &actions, NULL, argv, (char *const[]){"LC_ALL=C", NULL});
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *out = fdopen(ends[0], "r");
    return error || !*out
               ? cofre_fail(err, COFRE_LACKING, "%s: %s", LIBRARIES_LINKER, strerror(error ? error : errno))
               : 0;
}

static int take_line(struct libraries *out, const char *line, const char *program, struct cofre_err *err)
{
    char path[4096];
    const char *arrow = strstr(line, " => ");
    if (!arrow)
        return 0; /* the linker itself, and what the kernel brings */
    if (sscanf(arrow, " => %4095s (0x", path) != 1 || path[0] != '/')
        return cofre_fail(err, COFRE_LACKING, "%s: a library is missing:%.*s", program, (int)(arrow - line),
                          line);
    if (out->count == LIBRARIES_MAX)
        return cofre_fail(err, COFRE_FAILED, "%s: has more than %d libraries", program, LIBRARIES_MAX);
    if (!(out->path[out->count] = strdup(path)))
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", program);
    out->count++;
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int libraries_of(struct libraries *out, const char *program, struct cofre_err *err)
{
    CLEAN_FILE *lines = NULL;
    CLEAN_FREE char *line = NULL;
    size_t room = 0;
    pid_t pid = -1;
    int status = -1;
    *out = (struct libraries){0};
    int rc = ask_linker(&lines, &pid, program, err);
    while (rc == 0 && getline(&line, &room, lines) > 0)
        rc = take_line(out, line, program, err);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc == 0 && status != 0)
        return cofre_fail(err, COFRE_LACKING, "%s: the dynamic linker does not load it", program);
    qsort(out->path, out->count, sizeof *out->path, by_path);
    return rc;
}

void libraries_free(struct libraries *libraries)
{
    for (size_t i = 0; i < libraries->count; i++)
        free(libraries->path[i]);
    libraries->count = 0;
}
