#include "vmm/agent/key.h"

#include <errno.h>
#include <linux/magic.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "keys/message.h"
#include "vmm/agent/evidence_file.h"
#include "vmm/agent/help.h"
#include "vmm/agent/service.h"
#include "vmm/agent/trust_question.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/json.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"

#define NAME_MAX_BYTES 64

static const enum hpke_kem kem = HPKE_X25519;

/* Asks; the answer is the caller's. */
static int ask(json_t **answer, const struct agent_key_request *r, const struct hpke_public *recipient,
               struct cofre_err *err)
{
    char path[NAME_MAX_BYTES + 32], to[2 * HPKE_PUBLIC_MAX + 1];
    hex_encode(to, recipient->data, recipient->len);
    CLEAN_JSON *more = json_pack("{s:s, s:s}", "recipient", to, "kem", hpke_kem_names[kem]);
    if (!more || (r->version && json_object_set_new(more, "version", json_integer(r->version)) < 0))
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    (void)snprintf(path, sizeof path, "/v1/keys/%s/release", r->name);
    const struct trust_question q = {.path = path,
                                     .policy = r->policy,
                                     .recipient = {recipient->data, recipient->len},
                                     .name = key_message_text(r->name),
                                     .more = more,
                                     .context = r->context,
                                     .evidence = r->evidence};
    return trust_ask(answer, r->client, &q, err);
}

/* What was sealed names key, version and result; of those only the version may be one that was not asked for. */
static int open_answer(uint8_t *key, const struct agent_key_request *r, EVP_PKEY *own, const json_t *answer,
                       struct cofre_err *err)
{
    const char *enc_hex = json_string_value(json_object_get(answer, "enc")),
               *sealed_hex = json_string_value(json_object_get(answer, "sealed")),
               *result = json_string_value(json_object_get(answer, "result"));
    const json_int_t version = json_integer_value(json_object_get(answer, "version"));
    const json_t *offline = json_object_get(answer, "offline_until");
    struct agent_key_terms terms = {.version = version};
    CLEAN_BYTES enc = {0}, sealed = {0};
    char aad[KEY_RELEASE_AAD_MAX];
    if (!enc_hex || !sealed_hex || !result || strlen(result) > 64 || (r->version && version != r->version) ||
        hex_decode_some(&enc, HPKE_PUBLIC_MAX, enc_hex, err) < 0 ||
        hex_decode_some(&sealed, AGENT_KEY_MAX + HPKE_OVERHEAD, sealed_hex, err) < 0 ||
        sealed.len <= HPKE_OVERHEAD)
        return cofre_fail(err, COFRE_MALFORMED, "the service's answer is no key \"%s\"", r->name);
    int rc = offline ? time_parse(&terms.offline_until,
                                  json_string_value(offline) ? json_string_value(offline) : "",
                                  "offline_until", err)
                     : 0;
    if (rc < 0)
        return cofre_within(err, -COFRE_MALFORMED, "the service's answer");
    if (r->terms)
        *r->terms = terms;
    const struct hpke_about about = key_message_released(aad, kem, r->name, version, result);
    rc = hpke_open(key, &about, own, bytes_view(&enc), bytes_view(&sealed), err);
    return rc < 0 ? cofre_within(err, rc, "the key \"%s\"", r->name) : (int)(sealed.len - HPKE_OVERHEAD);
}

int agent_key_fetch(uint8_t *key, const struct agent_key_request *r, struct cofre_err *err)
{
    CLEAN(pkey) EVP_PKEY *own = NULL;
    CLEAN_JSON *answer = NULL;
    struct hpke_public recipient;
    memset(key, 0, AGENT_KEY_MAX);
    if (strlen(r->name) > NAME_MAX_BYTES || strchr(r->name, '/') || strchr(r->name, '%'))
        return cofre_fail(err, COFRE_USAGE, "\"%.64s\" is no name of a key", r->name);
    int rc = hpke_key_new(&own, kem, err);
    if (rc == 0)
        rc = hpke_public_of(&recipient, kem, own, err);
    if (rc == 0)
        rc = ask(&answer, r, &recipient, err);
    return rc < 0 ? rc : open_answer(key, r, own, answer, err);
}

int agent_key_lock_memory(struct cofre_err *err)
{
    const struct rlimit none = {0, 0};
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0)
        return cofre_fail(err, COFRE_LACKING, "this process's memory cannot be locked: %s; run it as root",
                          strerror(errno));
    return 0;
}

struct arguments {
    struct service service;
    const char *name, *version, *fd;
};

/* A disk, a terminal and what is swapped are no place for a key. (A memfd is a file of a tmpfs: the guest has no swap, or an
 * encrypted one.) */
static int check_descriptor(int fd, struct cofre_err *err)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) < 0)
        return cofre_fail(err, COFRE_USAGE, "--fd %d: %s", fd, strerror(errno));
    const bool file = S_ISREG(st.st_mode) &&
                      (fstatfs(fd, &fs) < 0 || (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC));
    if (file || isatty(fd))
        return cofre_fail(err, COFRE_USAGE,
                          "--fd %d is %s: a key goes to a pipe, a socket or a file of a tmpfs", fd,
                          file ? "a file" : "a terminal");
    return 0;
}

static int hand_over(int fd, const uint8_t *key, size_t len, struct cofre_err *err)
{
    for (size_t done = 0; done < len;) {
        const ssize_t n = write(fd, key + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return cofre_fail(err, COFRE_FAILED, "the key cannot be written: %s", strerror(errno));
        done += (size_t)n;
    }
    return 0;
}

static int fetch(struct arguments *a, struct agent_key_request *request, int fd, struct cofre_err *err)
{
    static uint8_t key[AGENT_KEY_MAX];
    int rc = service_prepare(&a->service, NULL, err);
    if (rc == 0)
        rc = trust_client_open(&request->client, &a->service.options, err);
    if (rc < 0)
        return rc;
    rc = agent_key_fetch(key, request, err);
    trust_client_free(request->client);
    if (rc > 0)
        rc = hand_over(fd, key, (size_t)rc, err);
    OPENSSL_cleanse(key, sizeof key);
    return rc;
}

static int run(struct arguments *a, struct cofre_err *err)
{
    uint64_t version = 0, fd = STDOUT_FILENO;
    int rc = a->version ? number_parse(&version, a->version, "--version", 1, INT32_MAX, err) : 0;
    if (rc == 0 && a->fd)
        rc = number_parse(&fd, a->fd, "--fd", 0, 1 << 20, err);
    if (rc == 0)
        rc = check_descriptor((int)fd, err);
    if (rc == 0)
        rc = agent_key_lock_memory(err);
    struct agent_key_request request = {
        .policy = a->service.policy, .name = a->name, .version = (int64_t)version, .evidence = evidence_file};
    return rc < 0 ? rc : fetch(a, &request, (int)fd, err);
}

int agent_key_command(int argc, char **argv)
{
    struct arguments a = {.name = NULL};
    const struct service_option own[] = {{.name = "name", .value = &a.name},
                                         {.name = "version", .value = &a.version},
                                         {.name = "fd", .value = &a.fd},
                                         {0}};
    struct cofre_err err;
    int code;
    if (!service_read_options(&a.service, own, argc, argv, &code))
        return code;
    if (!a.name)
        return agent_help(false);
    int rc = run(&a, &err);
    service_free(&a.service);
    if (rc < 0)
        fprintf(stderr, "cofre-agent: %s\n", err.text);
    return -rc;
}
