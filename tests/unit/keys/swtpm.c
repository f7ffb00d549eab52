#include "tests/unit/keys/swtpm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tss2/tss2_esys.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"
#include "vmm/tpm/tpm.h"

#define MESSAGE_MAX 8192
#define HEADER      10
#define NONE        ESYS_TR_NONE

bool swtpm_is_there(void)
{
    return access("/usr/bin/swtpm", X_OK) == 0;
}

/* The bus */

static void keep(struct swtpm *t, const uint8_t *data, size_t len)
{
    pthread_mutex_lock(&t->lock);
    t->seen = realloc(t->seen, t->seen_len + len);
    memcpy(t->seen + t->seen_len, data, len);
    t->seen_len += len;
    pthread_mutex_unlock(&t->lock);
}

/* One command or answer; 0: the connection ended. */
static size_t take(int from, uint8_t *message)
{
    size_t have = 0, whole = HEADER;
    while (have < whole) {
        const ssize_t n = read(from, message + have, whole - have);
        if (n <= 0)
            return 0;
        have += (size_t)n;
        if (have == HEADER)
            whole = (size_t)message[4] << 8 | message[5];
        if (whole < HEADER || whole > MESSAGE_MAX)
            return 0;
    }
    return have;
}

static bool put(int to, const uint8_t *message, size_t len)
{
    return send(to, message, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Until the other end gives up. */
static void say_nothing(int client)
{
    uint8_t byte;
    while (read(client, &byte, 1) > 0)
        ;
}

/* False: the connection is to end. */
static bool pass(struct swtpm *t, int client, int tpm)
{
    uint8_t message[MESSAGE_MAX];
    size_t len = take(client, message);
    if (!len)
        return false;
    const unsigned number = ++t->commands;
    const enum bus_fault fault = number == t->at ? t->fault : BUS_WHOLE;
    t->codes[number & 255] = (uint32_t)message[8] << 8 | message[9];
    keep(t, message, len);
    if (fault == BUS_DEAF || !put(tpm, message, len) || !(len = take(tpm, message)))
        return false;
    keep(t, message, len);
    if (fault == BUS_SILENT)
        say_nothing(client);
    if (fault == BUS_HALF || fault == BUS_HALF_SILENT)
        (void)put(client, message, len / 2);
    if (fault == BUS_HALF_SILENT)
        say_nothing(client);
    if (fault == BUS_NONSENSE) {
        memset(message + 2, 0xff, 4);
        (void)put(client, message, len);
    }
    const bool answered = (fault == BUS_WHOLE || fault == BUS_CLOSED) && put(client, message, len);
    return answered && fault == BUS_WHOLE;
}

static int reach(const char *path)
{
    struct sockaddr_un address;
    assert_true(unix_address(&address, path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void *serve_bus(void *context)
{
    struct swtpm *t = context;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/tpm", t->dir);
    for (int client; (client = accept4(t->listening, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(client)) {
        CLEAN_FD tpm = reach(path);
        while (pass(t, client, tpm))
            ;
    }
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address;
    assert_true(unix_address(&address, path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* The process. Its socket is the test's, so that nobody comes before it listens. */

static void start(struct swtpm *t)
{
    char server[32], state[96];
    (void)snprintf(state, sizeof state, "dir=%s/state", t->dir);
    const pid_t parent = getpid();
    t->pid = fork();
    assert_true(t->pid >= 0);
    if (t->pid)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = dup(t->socket);
    (void)snprintf(server, sizeof server, "type=unixio,fd=%d", fd);
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO); /* it says when somebody goes */
    if (getppid() == parent)
        execl("/usr/bin/swtpm", "swtpm", "socket", "--tpm2", "--server", server, "--tpmstate", state,
              "--flags", "not-need-init,startup-clear", NULL);
    _exit(1);
}

static void stop(struct swtpm *t)
{
    int status;
    assert_int_equal(kill(t->pid, SIGKILL), 0);
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    assert_true(WIFSIGNALED(status)); /* and had not ended by itself */
}

void swtpm_new(struct swtpm *t)
{
    char path[96];
    *t = (struct swtpm){.dir = "/tmp/cofre-tpm-XXXXXX", .lock = PTHREAD_MUTEX_INITIALIZER};
    assert_non_null(mkdtemp(t->dir));
    (void)snprintf(path, sizeof path, "%s/state", t->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/tpm", t->dir);
    t->socket = listen_at(path);
    (void)snprintf(t->device, sizeof t->device, "%s/bus", t->dir);
    t->listening = listen_at(t->device);
    start(t);
    assert_int_equal(pthread_create(&t->bus, NULL, serve_bus, t), 0);
}

void swtpm_free(struct swtpm *t)
{
    char command[128];
    (void)shutdown(t->listening, SHUT_RDWR);
    pthread_join(t->bus, NULL);
    close(t->listening);
    stop(t);
    close(t->socket);
    free(t->seen);
    (void)snprintf(command, sizeof command, "rm -r %s", t->dir);
    assert_int_equal(system(command), 0);
}

/* In order, as a kernel ends: a TPM counts an end without that as a wrong authorisation value. */
void swtpm_restart(struct swtpm *t)
{
    char path[96];
    struct tpm tpm;
    (void)snprintf(path, sizeof path, "%s/tpm", t->dir);
    assert_int_equal(tpm_open(&tpm, path, (struct view){0}, 30000, NULL), 0);
    assert_int_equal(Esys_Shutdown(tpm.esys, NONE, NONE, NONE, TPM2_SU_CLEAR), 0);
    tpm_close(&tpm);
    stop(t);
    start(t);
}

/* What the machine and its owner do */

static void ask(struct swtpm *t, struct tpm *tpm, const char *password)
{
    struct cofre_err err;
    const struct view owner = {(const uint8_t *)password, strlen(password)};
    if (tpm_open(tpm, t->device, owner, 30000, &err) < 0)
        fail_msg("%s", err.text);
}

void swtpm_extend(struct swtpm *t)
{
    CLEAN_TPM tpm;
    const TPML_DIGEST_VALUES values = {.count = 1, .digests = {{.hashAlg = TPM2_ALG_SHA256}}};
    ask(t, &tpm, "");
    assert_int_equal(Esys_PCR_Extend(tpm.esys, ESYS_TR_PCR7, ESYS_TR_PASSWORD, NONE, NONE, &values), 0);
}

void swtpm_clear(struct swtpm *t)
{
    CLEAN_TPM tpm;
    ask(t, &tpm, "");
    assert_int_equal(Esys_Clear(tpm.esys, ESYS_TR_RH_LOCKOUT, ESYS_TR_PASSWORD, NONE, NONE), 0);
}

void swtpm_set_clock(struct swtpm *t, uint64_t milliseconds)
{
    CLEAN_TPM tpm;
    ask(t, &tpm, "");
    assert_int_equal(Esys_ClockSet(tpm.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, NONE, NONE, milliseconds),
                     0);
}

void swtpm_take_ownership(struct swtpm *t, const char *password)
{
    CLEAN_TPM tpm;
    TPM2B_AUTH auth = {.size = (UINT16)strlen(password)};
    memcpy(auth.buffer, password, auth.size);
    ask(t, &tpm, "");
    assert_int_equal(
        Esys_HierarchyChangeAuth(tpm.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, NONE, NONE, &auth), 0);
}

void swtpm_undefine(struct swtpm *t, uint32_t number)
{
    CLEAN_TPM tpm;
    ESYS_TR index;
    ask(t, &tpm, "");
    assert_int_equal(Esys_TR_FromTPMPublic(tpm.esys, number, NONE, NONE, NONE, &index), 0);
    assert_int_equal(Esys_NV_UndefineSpace(tpm.esys, ESYS_TR_RH_OWNER, index, ESYS_TR_PASSWORD, NONE, NONE),
                     0);
}

#define STORAGE_KEY 0x81000001u

/* Where nothing is kept, the storage key that is made on the way is the one to keep; another differs in that it signs. */
static void make_other(struct tpm *tpm, ESYS_TR *out)
{
    static const TPM2B_SENSITIVE_CREATE none = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION pcrs = {0};
    static const TPM2B_PUBLIC template = {
        .publicArea = {.type = TPM2_ALG_ECC,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_FIXEDTPM |
                                           TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                           TPMA_OBJECT_USERWITHAUTH,
                       .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                                .scheme.scheme = TPM2_ALG_NULL,
                                                .curveID = TPM2_ECC_NIST_P256,
                                                .kdf.scheme = TPM2_ALG_NULL}}};
    assert_int_equal(Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, NONE, NONE, &none,
                                        &template, &outside, &pcrs, out, NULL, NULL, NULL, NULL),
                     0);
    tpm_hold(tpm, *out);
}

void swtpm_keep_key(struct swtpm *t, bool storage)
{
    CLEAN_TPM tpm;
    ESYS_TR key, kept;
    ask(t, &tpm, "");
    if (Esys_TR_FromTPMPublic(tpm.esys, STORAGE_KEY, NONE, NONE, NONE, &kept) == TSS2_RC_SUCCESS)
        assert_int_equal(
            Esys_EvictControl(tpm.esys, ESYS_TR_RH_OWNER, kept, ESYS_TR_PASSWORD, NONE, NONE, 0, &key), 0);
    if (storage) {
        assert_int_equal(tpm_find_parent(&tpm, NULL), 0);
        key = tpm.parent;
    } else {
        make_other(&tpm, &key);
    }
    assert_int_equal(
        Esys_EvictControl(tpm.esys, ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD, NONE, NONE, STORAGE_KEY, &kept),
        0);
}

size_t swtpm_indexes(struct swtpm *t)
{
    CLEAN_TPM tpm;
    TPMS_CAPABILITY_DATA *data = NULL;
    ask(t, &tpm, "");
    assert_int_equal(
        Esys_GetCapability(tpm.esys, NONE, NONE, NONE, TPM2_CAP_HANDLES, 0x01a0c0f0, 16, NULL, &data), 0);
    const size_t count = data->data.handles.count;
    Esys_Free(data);
    return count;
}

/* Who did not wait for an answer any more has left a command on its way. The bus has one client after the other, so when it has
 * had this one it has had all before. */
static void come_to_rest(const struct swtpm *t)
{
    uint8_t byte;
    CLEAN_FD fd = reach(t->device);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(read(fd, &byte, 1) <= 0);
}

void swtpm_fault(struct swtpm *t, enum bus_fault fault, unsigned at)
{
    come_to_rest(t);
    t->fault = fault;
    t->at = at;
    t->commands = 0;
}

unsigned swtpm_number(const struct swtpm *t, uint32_t code)
{
    for (unsigned i = t->commands; i; i--)
        if (t->codes[i & 255] == code)
            return i;
    fail_msg("there was no command 0x%x", code);
    return 0;
}

void swtpm_forget(struct swtpm *t)
{
    pthread_mutex_lock(&t->lock);
    t->seen_len = 0;
    pthread_mutex_unlock(&t->lock);
}

bool swtpm_saw(struct swtpm *t, const void *data, size_t len)
{
    pthread_mutex_lock(&t->lock);
    const bool found = t->seen_len && memmem(t->seen, t->seen_len, data, len);
    pthread_mutex_unlock(&t->lock);
    return found;
}
