#include "vmm/host/cofred/part.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/collateral/download.h"
#include "vmm/base/cleanup.h"
#include "vmm/host/access/keys_fetch.h"
#include "vmm/host/clock/clock.h"
#include "vmm/host/cofred/confine.h"
#include "vmm/host/cofred/log_key.h"
#include "vmm/host/decide/decider.h"
#include "vmm/host/decide/journal.h"
#include "vmm/host/front/gate.h"

#define HANDSHAKE_SECONDS 10
#define SUPERVISOR        (PART_FIRST_FD + 2) /* of the decider */
#define CLOCK             (PART_FIRST_FD + 3)

static int run_gate(const struct config *config, struct cofre_err *err)
{
    struct gate_config gate = {.decider = PART_FIRST_FD,
                               .zygote = PART_FIRST_FD + 1,
                               .limits = {config->connections, config->of_one, HANDSHAKE_SECONDS},
                               .guests_first = config->hands.first_user,
                               .guests = config->hands.guests};
    SSL_CTX *tls = NULL;
    for (; gate.listeners < config->listeners; gate.listeners++) {
        gate.listener[gate.listeners].fd = PART_FIRST_FD + 2 + (int)gate.listeners;
        gate.listener[gate.listeners].tls = !config->listener[gate.listeners].unix_path;
    }
    int rc = config->certificate
                 ? gate_tls_new(&tls, config->certificate, config->key, config->client_ca, err)
                 : 0;
    gate.tls = tls;
    if (rc == 0) /* the key's file is root's */
        rc = confine(config->gate.uid, config->gate.gid, CONFINE_NO_PROGRAMS, err);
    if (rc == 0)
        rc = gate_run(&gate, err);
    SSL_CTX_free(tls);
    return rc;
}

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

static int run_keys(const struct config *config, struct cofre_err *err)
{
    int rc = confine(config->gate.uid, config->gate.gid, CONFINE_NO_PROGRAMS, err);
    if (rc == 0)
        rc = download_prepare(err);
    return rc < 0 ? rc : keys_fetch_run(config->access, PART_FIRST_FD, err);
}

/* It opens the TPM by its name each time, and so as somebody who may: the group that the device or socket has, where that is not root's.
 * OpenSSL, by which tpm2-tss does its sums, reads its own configuration. */
static int run_tpm(const struct config *config, struct cofre_err *err)
{
    const struct confine_place places[] = {{config->log_tpm, true}, {"/etc/ssl", false}};
    struct stat is;
    const bool there = stat(config->log_tpm, &is) == 0 && is.st_gid != 0;
    int rc = confine(config->gate.uid, there ? is.st_gid : config->gate.gid,
                     CONFINE_NO_NETWORK | CONFINE_NO_PROGRAMS, err);
    if (rc == 0)
        rc = confine_files(places, sizeof places / sizeof *places, err);
    return rc < 0 ? rc : clock_serve(PART_FIRST_FD, config->log_tpm, err);
}

const struct part_here parts_here[] = {{PART_DECIDER, run_decider},
                                       {PART_GATE, run_gate},
                                       {PART_KEYS, run_keys},
                                       {PART_TPM, run_tpm},
                                       {PARTS, NULL}};
