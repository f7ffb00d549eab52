#include "tests/unit/host/cofred/whole.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/sha.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"

#define SECONDS 120                                       /* on a busy machine */
#define BESIDE  (WORLD_GUESTS < 100 ? 100 : WORLD_GUESTS) /* the users of cofred itself, behind the guests' */
#define FIRST_USER                                                                                           \
    (900000 + (unsigned)getpid() % 100000 * 1000) /* not those of a test that runs beside this */

const char *whole_make(struct whole *w, const char *program, const char *stand_in)
{
    return whole_make_as(
        w, program, stand_in,
        &(struct whole_wish){.first_user = FIRST_USER,
                             .listen = "",
                             .whole = "",
                             .access =
                                 ", \"issuers\": [{\"name\": \"nobody\", \"issuer\": \"https://127.0.0.1:1\","
                                 " \"audience\": \"cofred\", \"key_url\": \"https://127.0.0.1:1/keys\"}]"});
}

const char *whole_make_as(struct whole *w, const char *program, const char *stand_in,
                          const struct whole_wish *wish)
{
    char text[4096];
    *w = (struct whole){
        .program = program, .first_user = wish->first_user, .decider = wish->first_user + BESIDE};
    const char *why = world_make(&w->world, stand_in);
    if (why)
        return why;
    (void)snprintf(w->state, sizeof w->state, "%s/state", w->world.directory);
    (void)snprintf(w->run, sizeof w->run, "%s/run", w->world.directory);
    (void)snprintf(w->socket, sizeof w->socket, "%s/api.sock", w->run);
    (void)snprintf(w->config, sizeof w->config, "%s/cofred.json", w->world.directory);
    const int len = snprintf(
        text, sizeof text,
        "{\"state\": \"%s\", \"run\": \"%s\", \"log_name\": \"operations of a test\",\n"
        " \"users\": {\"decider\": \"%u\", \"gate\": \"%u\"},\n"
        " \"listen\": [{\"unix\": \"%s\", \"mode\": \"0666\"}%s],\n"
        " \"guests\": {\"program\": \"%s\", \"cgroup\": \"%s\", \"first_user\": %u, \"count\": %d%s},\n"
        " \"access\": {\"administrator\": \"uid:0\"%s}%s}\n",
        w->state, w->run, w->decider, w->decider + 1, w->socket, wish->listen, w->world.program,
        w->world.cgroup, w->first_user, WORLD_GUESTS, w->world.bridge ? ", \"bridges\": [\"cofre-br0\"]" : "",
        wish->access, wish->whole);
    w->world.config.first_user = w->first_user;
    if (file_write(w->config, (struct view){(const uint8_t *)text, (size_t)len}, 0600, NULL) < 0)
        return "no files";
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? NULL : "no libcurl";
}

static void remove_tree(const char *path)
{
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

void whole_free(struct whole *w)
{
    if (w->state[0]) {
        remove_tree(w->state);
        remove_tree(w->run);
        (void)unlink(w->config);
    }
    world_free(&w->world);
    curl_global_cleanup();
}

/* Processes */

static time_t now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

void whole_start(struct whole *w)
{
    const time_t until = now() + SECONDS;
    (void)fflush(NULL);
    w->cofred = fork();
    if (w->cofred == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* Messages are 64 KiB each: with the sanitizer's own size every one would take new pages. */
        (void)setenv("ASAN_OPTIONS", "quarantine_size_mb=4", 0);
        (void)execl(w->program, "cofred", "--config", w->config, (char *)NULL);
        _exit(127);
    }
    while (whole_ask(w, "GET", "/session", NULL, NULL) != 200) {
        if (now() > until || waitpid(w->cofred, NULL, WNOHANG) != 0)
            fail_msg("cofred does not serve");
        (void)poll(NULL, 0, 10);
    }
}

int whole_stop(struct whole *w, int number)
{
    int status = -1;
    assert_int_equal(kill(w->cofred, number), 0);
    assert_int_equal(waitpid(w->cofred, &status, 0), w->cofred);
    w->cofred = 0;
    return status;
}

/* "cofred\0--part\0NAME", started by that process; or whatever runs as a guest's user. */
static bool is_part(const struct whole *w, const char *pid, const char *name, pid_t parent)
{
    char path[300], text[512] = "", line[512] = "";
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/%s/stat", pid);
    CLEAN_FILE *of = fopen(path, "r");
    const size_t got = of && fstat(fileno(of), &st) == 0 ? fread(line, 1, sizeof line - 1, of) : 0;
    const char *after = got ? strrchr(line, ')') : NULL;
    if (!after || after[2] == 'Z' || after[2] == 'X')
        return false;
    if (strcmp(name, "guest") == 0)
        return st.st_uid >= w->first_user && st.st_uid < w->first_user + WORLD_GUESTS;
    (void)snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    CLEAN_FILE *cmdline = fopen(path, "r");
    const size_t len = cmdline ? fread(text, 1, sizeof text - 1, cmdline) : 0;
    return atoi(after + 4) == parent && len > 14 && strcmp(text, "cofred") == 0 &&
           strcmp(text + 7, "--part") == 0 && strcmp(text + 14, name) == 0;
}

size_t whole_guest_processes(const struct whole *w)
{
    size_t count = 0;
    DIR *entries = opendir("/proc");
    for (struct dirent *e; entries && (e = readdir(entries));)
        count += e->d_name[0] >= '1' && e->d_name[0] <= '9' && is_part(w, e->d_name, "guest", w->cofred);
    if (entries)
        closedir(entries);
    return count;
}

/* Parsers are the zygote's, by whose words they run. */
pid_t whole_part(struct whole *w, const char *name)
{
    const bool parser = strcmp(name, "parser") == 0;
    const pid_t parent = parser ? whole_part(w, "zygote") : w->cofred;
    pid_t found = 0;
    DIR *entries = opendir("/proc");
    for (struct dirent *e; entries && !found && (e = readdir(entries));)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
            is_part(w, e->d_name, parser ? "zygote" : name, parent))
            found = atoi(e->d_name);
    if (entries)
        closedir(entries);
    return found;
}

/* Requests */

static size_t take(char *data, size_t size, size_t count, void *context)
{
    FILE *to = context;
    return fwrite(data, size, count, to);
}

static int ask_url(struct whole *w, const char *method, const char *url, const char *body, size_t len,
                   char **text)
{
    long status = 0;
    size_t size;
    FILE *to = open_memstream(text, &size);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers =
        curl_slist_append(NULL, body && *body == '{' ? "Content-Type: application/json"
                                                     : "Content-Type: application/octet-stream");
    (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, w->socket);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)SECONDS);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, to);
    if (body) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)len);
    }
    const CURLcode rc = curl_easy_perform(curl);
    if (rc == CURLE_OK)
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    (void)fclose(to);
    if (rc == CURLE_OPERATION_TIMEDOUT) /* it may yet be done: that is no connection which was cut off */
        fail_msg("%s %s: no answer within %d seconds", method, url, SECONDS);
    return (int)status;
}

static int ask(struct whole *w, const char *method, const char *path, const char *body, size_t len,
               char **text)
{
    char url[512];
    (void)snprintf(url, sizeof url, "http://cofred/v1%s", path);
    return ask_url(w, method, url, body, len, text);
}

/* In a process that is this user; a first line has the status. */
int whole_page(struct whole *w, uid_t user, const char *path, char **text)
{
    char url[512];
    int status = 0, at = 0;
    CLEAN_FILE *answer = tmpfile();
    assert_non_null(answer);
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        char *page = NULL;
        if (setgid(user) < 0 || setuid(user) < 0)
            _exit(1);
        (void)snprintf(url, sizeof url, "http://cofred/audit%s", path);
        status = ask_url(w, "GET", url, NULL, 0, &page);
        _exit(fprintf(answer, "%d\n%s", status, page) < 0 || fflush(answer) != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    const long len = ftell(answer);
    *text = calloc(1, (size_t)len + 1);
    rewind(answer);
    assert_true(*text && fread(*text, 1, (size_t)len, answer) == (size_t)len);
    assert_int_equal(sscanf(*text, "%d\n%n", &status, &at), 1);
    memmove(*text, *text + at, strlen(*text + at) + 1);
    return status;
}

int whole_ask(struct whole *w, const char *method, const char *path, const char *body, json_t **answer)
{
    char *text = NULL;
    CLEAN_FREE char *quoted = body ? strdup(body) : NULL;
    for (char *c = quoted; c && *c; c++)
        *c = *c == '\'' ? '"' : *c;
    const int status = ask(w, method, path, quoted, quoted ? strlen(quoted) : 0, &text);
    if (answer)
        *answer = json_loads(text, 0, NULL);
    free(text);
    return status;
}

char *whole_read(struct whole *w, const char *path)
{
    char *text = NULL;
    const int status = ask(w, "GET", path, NULL, 0, &text);
    if (status != 200)
        fail_msg("GET %s: %d %s", path, status, text);
    return text;
}

json_t *whole_must(struct whole *w, int status, const char *method, const char *path, const char *body)
{
    json_t *answer = NULL;
    const int is = whole_ask(w, method, path, body, &answer);
    if (is != status) {
        CLEAN_FREE char *text = answer ? json_dumps(answer, 0) : NULL;
        fail_msg("%s %s: %d, where %d is due: %s", method, path, is, status, text ? text : "");
    }
    return answer;
}

int whole_put(struct whole *w, const char *tenant, const char *text, char out[static 80])
{
    uint8_t digest[32];
    char path[256], *answer = NULL;
    (void)SHA256((const uint8_t *)text, strlen(text), digest);
    strcpy(out, "sha256:");
    hex_encode(out + 7, digest, sizeof digest);
    (void)snprintf(path, sizeof path, "/tenants/%s/images/%s", tenant, out);
    const int status = ask(w, "PUT", path, text, strlen(text), &answer);
    free(answer);
    return status;
}

void whole_image(struct whole *w, const char *tenant, const char *text, char out[static 80])
{
    const int status = whole_put(w, tenant, text, out);
    if (status != 201)
        fail_msg("image %s of tenant %s: %d", out, tenant, status);
}
