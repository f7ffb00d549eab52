#include "vmm/host/part.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/decide/decider.h"
#include "vmm/host/front/gate.h"
#include "vmm/host/front/zygote.h"
#include "vmm/host/log_key.h"

#define HANDSHAKE_SECONDS 10

static const struct parser_limits parser_limits = {.request_seconds = 30, .idle_seconds = 120, .beat_seconds = 30};

/* No way back: not by a program with other rights, either. */
static int become(const struct config_user *user, struct cofre_err *err)
{
    if (user->given && (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
                        setresuid(user->uid, user->uid, user->uid) < 0))
        return cofre_fail(err, COFRE_LACKING, "cofred cannot become user %u: %s", (unsigned)user->uid, strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return cofre_fail(err, COFRE_FAILED, "prctl: %s", strerror(errno));
    return 0;
}

static int run_hands(const struct config *config, unsigned fds, struct cofre_err *err)
{
    (void)fds;
    return hands_serve(&config->hands, PART_FIRST_FD, err);
}

static int run_zygote(const struct config *config, unsigned fds, struct cofre_err *err)
{
    (void)fds;
    int rc = become(&config->gate, err);
    return rc < 0 ? rc : zygote_run(PART_FIRST_FD, &parser_limits, err);
}

static int run_gate(const struct config *config, unsigned fds, struct cofre_err *err)
{
    struct gate_config gate = {.decider = PART_FIRST_FD,
                               .zygote = PART_FIRST_FD + 1,
                               .limits = {config->connections, config->of_one, HANDSHAKE_SECONDS}};
    SSL_CTX *tls = NULL;
    for (unsigned i = 2; i < fds && gate.listeners < config->listeners; i++, gate.listeners++) {
        gate.listener[gate.listeners].fd = PART_FIRST_FD + (int)i;
        gate.listener[gate.listeners].tls = !config->listener[gate.listeners].unix_path;
    }
    int rc = config->certificate ? gate_tls_new(&tls, config->certificate, config->key, config->client_ca, err) : 0;
    gate.tls = tls;
    if (rc == 0) /* the key's file is root's */
        rc = become(&config->gate, err);
    if (rc == 0)
        rc = gate_run(&gate, err);
    SSL_CTX_free(tls);
    return rc;
}

static void say_ready(void *context)
{
    (void)context;
    (void)!write(PART_FIRST_FD + 2, "", 1);
    close(PART_FIRST_FD + 2);
}

static int open_images(int *out, const char *path, struct cofre_err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be made: %s", path, strerror(errno));
    *out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return *out >= 0 ? 0 : cofre_fail(err, COFRE_LACKING, "%s cannot be opened: %s", path, strerror(errno));
}

static int run_decider(const struct config *config, unsigned fds, struct cofre_err *err)
{
    char database[4200], key[4200], images[4200];
    struct decider_config decider = {.database = database,
                                     .log_name = config->log_name,
                                     .log_key = key,
                                     .access = config->access,
                                     .administrator = config->administrator,
                                     .reserved_memory = config->reserved_memory,
                                     .hands = PART_FIRST_FD,
                                     .gate = PART_FIRST_FD + 1,
                                     .ready = say_ready};
    (void)fds;
    for (unsigned i = 0; i < config->hands.bridges; i++)
        decider.bridge[i] = config->hands.bridge[i];
    (void)snprintf(database, sizeof database, "%s/cofred.db", config->state);
    (void)snprintf(key, sizeof key, "%s/log-key.pem", config->state);
    (void)snprintf(images, sizeof images, "%s/images", config->state);
    int rc = become(&config->decider, err);
    if (rc == 0)
        rc = log_key_make(key, err);
    if (rc == 0)
        rc = open_images(&decider.images, images, err);
    return rc < 0 ? rc : decider_run(&decider, err);
}

static const struct {
    const char *name;
    int (*run)(const struct config *config, unsigned fds, struct cofre_err *err);
} parts[PARTS] = {[PART_HANDS] = {"hands", run_hands},
                  [PART_ZYGOTE] = {"zygote", run_zygote},
                  [PART_DECIDER] = {"decider", run_decider},
                  [PART_GATE] = {"gate", run_gate}};

const char *part_name(enum part part)
{
    return parts[part].name;
}

int part_run(const char *name, const char *path, unsigned descriptors, struct cofre_err *err)
{
    struct config config;
    for (int part = 0; part < PARTS; part++)
        if (strcmp(parts[part].name, name) == 0) {
            int rc = config_read(&config, path, err);
            if (rc == 0)
                rc = parts[part].run(&config, descriptors, err);
            config_free(&config);
            return rc;
        }
    return cofre_fail(err, COFRE_USAGE, "--part %s: there is no such part", name);
}
