/* cofred-decider: the part that decides and has the database; and what is done with the database by hand (decider_main.c). */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/cofred/confine.h"
#include "vmm/host/cofred/log_key.h"
#include "vmm/host/cofred/part.h"
#include "vmm/host/decide/decider.h"
#include "vmm/host/decide/journal.h"

#define SUPERVISOR (PART_FIRST_FD + 2) /* of the decider */
#define CLOCK      (PART_FIRST_FD + 3)

static void say_ready(void *context)
{
    (void)context;
    (void)send(SUPERVISOR, "R", 1, MSG_NOSIGNAL);
}

static int open_images(int *out, const char *path, struct cofre_err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be made: %s", path, strerror(errno));
    *out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return *out >= 0 ? 0 : cofre_fail(err, COFRE_LACKING, "%s cannot be opened: %s", path, strerror(errno));
}

/* Its directory, and where issuers' keys are: a file that is replaced is another one of the same folder. OpenSSL reads its own configuration
 * when it is first used. */
static int confine_decider(const struct config *config, struct cofre_err *err)
{
    struct confine_place place[ACCESS_ISSUERS_MAX + 2] = {{config->state, true}, {"/etc/ssl", false}};
    char folder[ACCESS_ISSUERS_MAX][sizeof config->access->issuer[0].key_file];
    size_t count = 2;
    for (size_t i = 0; i < config->access->issuers; i++) {
        (void)snprintf(folder[i], sizeof folder[i], "%s", config->access->issuer[i].key_file);
        place[count++] = (struct confine_place){dirname(folder[i]), false};
    }
    int rc = confine(config->decider.uid, config->decider.gid, CONFINE_NO_NETWORK | CONFINE_NO_PROGRAMS, err);
    return rc < 0 ? rc : confine_files(place, count, err);
}

static int run_decider(const struct config *config, struct cofre_err *err)
{
    char database[4200], key[4200], images[4200], clock_keys[4200];
    struct decider_config decider = {.database = database,
                                     .log_name = config->log_name,
                                     .log_key = key,
                                     .access = config->access,
                                     .administrator = config->administrator,
                                     .reserved_memory = config->reserved_memory,
                                     .hands = PART_FIRST_FD,
                                     .gate = PART_FIRST_FD + 1,
                                     .alive = SUPERVISOR,
                                     .clock = config->log_tpm ? CLOCK : -1,
                                     .clock_keys = clock_keys,
                                     .ready = say_ready};
    for (unsigned i = 0; i < config->hands.bridges; i++)
        decider.bridge[i] = config->hands.bridge[i];
    (void)snprintf(database, sizeof database, "%s/cofred.db", config->state);
    (void)snprintf(key, sizeof key, "%s/log-key.pem", config->state);
    (void)snprintf(images, sizeof images, "%s/images", config->state);
    (void)snprintf(clock_keys, sizeof clock_keys, "%s/log-tpm.pub", config->state);
    decider.journal = journal_open(JOURNAL_SOCKET);
    int rc = confine_decider(config, err);
    if (rc == 0)
        rc = log_key_make(key, err);
    if (rc == 0)
        rc = open_images(&decider.images, images, err);
    return rc < 0 ? rc : decider_run(&decider, err);
}

const struct part_here parts_here[] = {{PART_DECIDER, run_decider}, {PARTS, NULL}};
