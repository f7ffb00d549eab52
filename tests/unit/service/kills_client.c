/* The owner's side: cofre is killed while it writes a backup, or gives a sealed root another passphrase. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys/backup.h"
#include "keys/seal/recovery.h"
#include "keys/seal/root_file.h"
#include "tests/unit/service/kills.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

struct owner {
    struct kills *k;
    struct power power;
    char folder[96], token[128], backup[128], root[128], passphrase[128];
    char recovery[RECOVERY_SIZE];
    struct bytes before; /* what the file was */
    unsigned deaths, replaced;
};

static void write_text(const char *path, const char *text)
{
    assert_int_equal(file_write(path, (struct view){(const uint8_t *)text, strlen(text)}, 0600, NULL), 0);
}

static int keep_recovery(void *owner, const char *recovery, struct cofre_err *err)
{
    struct owner *o = owner;
    (void)err;
    snprintf(o->recovery, sizeof o->recovery, "%s", recovery);
    return 0;
}

static void set_up(struct owner *o, struct kills *k)
{
    CLEAN_SECRET root = {0};
    static const struct view old = {(const uint8_t *)"the old passphrase", 18};
    *o = (struct owner){.k = k};
    snprintf(o->folder, sizeof o->folder, "%s/owner", k->f->folder);
    assert_int_equal(mkdir(o->folder, 0700), 0);
    snprintf(o->token, sizeof o->token, "%s/token", o->folder);
    snprintf(o->backup, sizeof o->backup, "%s/backup", o->folder);
    snprintf(o->root, sizeof o->root, "%s/root.json", o->folder);
    snprintf(o->passphrase, sizeof o->passphrase, "%s/passphrase", o->folder);
    write_text(o->token, "keys\n");
    write_text(o->passphrase, "the new passphrase\n");
    assert_int_equal(seal_make(o->root, old, SEAL_COST_MIN, &root, keep_recovery, o, NULL), 0);
    power_new(&o->power, o->folder);
    power_settle(&o->power);
}

/* True where it died of a fault; what it did otherwise, it did well. */
static bool run_cofre(struct owner *o, const char *line)
{
    power_enter(&o->power, NULL);
    int status = system(line);
    power_leave();
    const bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!died && status != 0)
        kills_complain(o->k, "%s: status %d", line, status);
    o->deaths += died;
    return died;
}

/* At one of the few calls that such a program makes; then the power may be cut. */
static void run_to_death(struct owner *o, const char *line, const char *file)
{
    char rest[160];
    bytes_free(&o->before);
    if (access(file, F_OK) == 0)
        assert_int_equal(file_read(&o->before, file, 1 << 20, NULL), 0);
    power_arm(&o->power, (enum fault_action)(FAULT_KILL_BEFORE + kills_draw(3)), FAULT_CALLS, "",
              1 + (unsigned)kills_draw(4));
    const bool died = run_cofre(o, line);
    power_arm(&o->power, FAULT_NONE, FAULT_CALLS, "", 0);
    if (kills_draw(2) || !died) /* what it said is done is done, without power too */
        power_cut(&o->power, kills_draw);
    snprintf(rest, sizeof rest, "rm -f '%s'.*", o->backup);
    assert_int_equal(system(rest), 0);
    power_settle(&o->power);
}

static bool is_as_before(struct owner *o, const char *file)
{
    CLEAN_BYTES now = {0};
    if (access(file, F_OK) < 0)
        return o->before.len == 0;
    assert_int_equal(file_read(&now, file, 1 << 20, NULL), 0);
    return view_equal(bytes_view(&now), bytes_view(&o->before));
}

static void kill_a_backup(struct owner *o)
{
    char line[600];
    CLEAN_BYTES file = {0};
    CLEAN_JSON *document = NULL;
    CLEAN_KEY_BACKUP b = {.keys = NULL};
    struct cofre_err err = {""};
    snprintf(line, sizeof line,
             "exec '%s' keys backup --service https://127.0.0.1:%u --ca '%s' --token-file '%s' --out '%s' "
             ">/dev/null",
             getenv("COFRE_PROGRAM"), o->k->process.port, o->k->f->certificate, o->token, o->backup);
    run_to_death(o, line, o->backup);
    if (is_as_before(o, o->backup))
        return;
    o->replaced++;
    if (file_read(&file, o->backup, 1 << 20, &err) < 0 ||
        json_read(&document, bytes_view(&file), COFRE_MALFORMED, &err) < 0 ||
        key_backup_read(&b, document, fixture_root, &err) < 0)
        kills_complain(o->k, "a backup is neither the old nor a new one: %s", err.text);
}

static void kill_a_new_passphrase(struct owner *o)
{
    char line[600], recovery[160];
    CLEAN_SECRET root = {0};
    struct cofre_err err = {""};
    const struct seal_secret by = {.kind = SEAL_RECOVERY,
                                   .text = {(const uint8_t *)o->recovery, strlen(o->recovery)}};
    snprintf(recovery, sizeof recovery, "%s/recovery", o->folder);
    write_text(recovery, o->recovery);
    snprintf(line, sizeof line,
             "exec '%s' keys root-passphrase --root '%s' --recovery-file '%s' --new-passphrase-file '%s' "
             ">/dev/null",
             getenv("COFRE_PROGRAM"), o->root, recovery, o->passphrase);
    run_to_death(o, line, o->root);
    if (is_as_before(o, o->root))
        return;
    o->replaced++;
    if (seal_open(o->root, &by, &root, &err) < 0)
        kills_complain(o->k, "a root is neither the old nor the new one: %s", err.text);
}

void kills_of_clients(struct kills *k, unsigned backups, unsigned passphrases)
{
    struct owner o;
    set_up(&o, k);
    for (unsigned i = 0; i < backups && !k->complaint[0]; i++)
        kill_a_backup(&o);
    for (unsigned i = 0; i < passphrases && !k->complaint[0]; i++)
        kill_a_new_passphrase(&o);
    print_message("# cofre died %u times of %u; %u files are new ones\n", o.deaths, backups + passphrases,
                  o.replaced);
    bytes_free(&o.before);
    power_free(&o.power);
}
