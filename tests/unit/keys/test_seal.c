/*
 * A root that lies sealed: who opens it and who does not, what a file may say, and what is left of it when the process that changes
 * it is killed before or after a system call of its. The costs here are the least; the files' own are SEAL_COST.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys/seal/recovery.h"
#include "keys/seal/root_file.h"
#include "keys/seal/seal.h"
#include "vmm/base/file.h"

#define CHEAP SEAL_COST_MIN
#define OLD   "correct horse battery"
#define NEW   "staple and then some"

static char dir[64], path[96];

static struct view view(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

static struct seal_secret secret(enum seal_kind kind, const char *text)
{
    return (struct seal_secret){.kind = kind, .text = view(text)};
}

/* Seen, in a context of RECOVERY_SIZE bytes. */
static int show(void *context, const char *recovery, struct cofre_err *err)
{
    (void)err;
    memcpy(context, recovery, RECOVERY_SIZE);
    return 0;
}

static int show_to_nobody(void *context, const char *recovery, struct cofre_err *err)
{
    (void)context;
    (void)recovery;
    return cofre_fail(err, COFRE_FAILED, "nobody sees it");
}

struct made {
    struct secret root;
    char recovery[RECOVERY_SIZE];
};

static int make(void **state)
{
    static struct made m;
    struct cofre_err err;
    (void)snprintf(dir, sizeof dir, "/tmp/cofre-seal-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/root.json", dir);
    const int rc = seal_make(path, view(OLD), CHEAP, &m.root, show, m.recovery, &err);
    if (rc < 0)
        print_error("%s\n", err.text);
    *state = &m;
    return rc;
}

static void remove_files(void)
{
    char beside[128];
    (void)snprintf(beside, sizeof beside, "%s.new", path);
    unlink(beside);
    unlink(path);
}

static int clear(void **state)
{
    struct made *m = *state;
    secret_free(&m->root);
    remove_files();
    return rmdir(dir);
}

/* Whether that secret has the root. */
static int opens(const struct made *m, enum seal_kind kind, const char *text, struct cofre_err *err)
{
    CLEAN_SECRET root = {0};
    const struct seal_secret by = secret(kind, text);
    int rc = seal_open(path, &by, &root, err);
    if (rc == 0)
        assert_memory_equal(root.data, m->root.data, KEY_ROOT_SIZE);
    else
        assert_null(root.data);
    return rc;
}

static void opens_by_either_secret(void **state)
{
    const struct made *m = *state;
    assert_false(bytes_are_zero(m->root.data, KEY_ROOT_SIZE));
    assert_int_equal(opens(m, SEAL_PASSPHRASE, OLD, NULL), 0);
    assert_int_equal(opens(m, SEAL_RECOVERY, m->recovery, NULL), 0);
}

static void tells_a_wrong_passphrase(void **state)
{
    struct cofre_err err;
    char other[RECOVERY_SIZE], sentence[256];
    assert_int_equal(opens(*state, SEAL_PASSPHRASE, OLD " ", &err), -COFRE_NEGATIVE);
    (void)snprintf(
        sentence, sizeof sentence,
        "%s: the slot \"passphrase\" does not open: the passphrase is another, or the slot was changed",
        path);
    assert_string_equal(err.text, sentence);
    assert_int_equal(recovery_make(other, NULL), 0);
    assert_int_equal(opens(*state, SEAL_RECOVERY, other, NULL), -COFRE_NEGATIVE);
}

static void has_modes_that_nobody_else_reads(void **state)
{
    struct stat st;
    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void makes_none_over_another(void **state)
{
    CLEAN_SECRET root = {0};
    char recovery[RECOVERY_SIZE] = "";
    struct cofre_err err;
    assert_int_equal(seal_make(path, view(NEW), CHEAP, &root, show, recovery, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "is there already"));
    assert_null(root.data);
    assert_true(bytes_are_zero(recovery, sizeof recovery)); /* nothing was shown */
    assert_int_equal(opens(*state, SEAL_PASSPHRASE, OLD, NULL), 0);
}

static void makes_one_without_a_passphrase(void **state)
{
    struct made m;
    struct cofre_err err;
    (void)state;
    remove_files();
    assert_int_equal(seal_make(path, (struct view){0}, CHEAP, &m.root, show, m.recovery, NULL), 0);
    assert_int_equal(opens(&m, SEAL_PASSPHRASE, OLD, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "there is no slot \"passphrase\""));
    assert_int_equal(opens(&m, SEAL_RECOVERY, m.recovery, NULL), 0);
    secret_free(&m.root);
}

static void sets_a_passphrase_after_recovery(void **state)
{
    const struct made *m = *state;
    const struct seal_secret by = secret(SEAL_RECOVERY, m->recovery), wrong = secret(SEAL_PASSPHRASE, NEW);
    assert_int_equal(seal_set_passphrase(path, &wrong, view(NEW), CHEAP, NULL), -COFRE_NEGATIVE);
    assert_int_equal(opens(m, SEAL_PASSPHRASE, OLD, NULL), 0);
    assert_int_equal(seal_set_passphrase(path, &by, view("short"), CHEAP, NULL), -COFRE_USAGE);
    assert_int_equal(seal_set_passphrase(path, &by, view(NEW), CHEAP, NULL), 0);
    assert_int_equal(opens(m, SEAL_PASSPHRASE, OLD, NULL), -COFRE_NEGATIVE);
    assert_int_equal(opens(m, SEAL_PASSPHRASE, NEW, NULL), 0);
    assert_int_equal(opens(m, SEAL_RECOVERY, m->recovery, NULL), 0);
}

static void renews_the_recovery_passphrase(void **state)
{
    const struct made *m = *state;
    const struct seal_secret by = secret(SEAL_PASSPHRASE, OLD);
    char recovery[RECOVERY_SIZE];
    assert_int_equal(seal_renew_recovery(path, &by, CHEAP, show, recovery, NULL), 0);
    assert_int_equal(opens(m, SEAL_RECOVERY, m->recovery, NULL), -COFRE_NEGATIVE);
    assert_int_equal(opens(m, SEAL_RECOVERY, recovery, NULL), 0);
}

static void renews_nothing_that_nobody_saw(void **state)
{
    const struct made *m = *state;
    const struct seal_secret by = secret(SEAL_PASSPHRASE, OLD);
    CLEAN_SECRET root = {0};
    struct cofre_err err;
    assert_int_equal(seal_renew_recovery(path, &by, CHEAP, show_to_nobody, NULL, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "nobody sees it");
    assert_int_equal(opens(m, SEAL_RECOVERY, m->recovery, NULL), 0);
    remove_files();
    assert_int_equal(seal_make(path, view(NEW), CHEAP, &root, show_to_nobody, NULL, NULL), -COFRE_FAILED);
    assert_null(root.data);
    assert_int_equal(access(path, F_OK), -1);
}

/* What a hand writes and types. */
static void reads_a_recovery_passphrase_as_it_is_typed(void **state)
{
    const struct made *m = *state;
    char typed[RECOVERY_SIZE];
    memcpy(typed, m->recovery, sizeof typed);
    for (char *c = typed; *c; c++)
        *c = *c == '-' ? ' ' : *c == '0' ? 'o' : *c == '1' ? 'l' : *c >= 'A' ? (char)(*c + 32) : *c;
    assert_int_equal(opens(m, SEAL_RECOVERY, typed, NULL), 0);
}

/* Each character in turn is another; each two neighbours change places. */
static void tells_a_typing_error(void **state)
{
    const struct made *m = *state;
    char typed[RECOVERY_SIZE], letters[RECOVERY_LETTERS];
    struct cofre_err err;
    for (size_t i = 0; i + 1 < RECOVERY_SIZE; i++) {
        memcpy(typed, m->recovery, sizeof typed);
        if (typed[i] == '-')
            continue;
        typed[i] = typed[i] == '7' ? '8' : '7';
        assert_int_equal(recovery_read(letters, view(typed), &err), -COFRE_USAGE);
        assert_non_null(strstr(err.text, "typing error"));
    }
    for (size_t i = 0; i + 2 < RECOVERY_SIZE; i++) {
        memcpy(typed, m->recovery, sizeof typed);
        if (typed[i] == '-' || typed[i + 1] == '-' || typed[i] == typed[i + 1])
            continue;
        typed[i] = m->recovery[i + 1];
        typed[i + 1] = m->recovery[i];
        assert_int_equal(recovery_read(letters, view(typed), NULL), -COFRE_USAGE);
    }
    assert_int_equal(opens(m, SEAL_RECOVERY, "7", &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "it has 1 characters of 30"));
    assert_int_equal(recovery_read(letters, view("U"), &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "character 1 is none that it can have"));
}

static struct root_file read_file(void)
{
    struct root_file file;
    assert_int_equal(root_file_read(&file, path, NULL), 0);
    return file;
}

static void write_file(const struct root_file *file)
{
    const int lock = root_file_lock(path, NULL);
    assert_true(lock >= 0);
    assert_int_equal(root_file_write(file, path, lock, false, NULL), 0);
    close(lock);
}

/* Whatever of a slot was changed, it does not open: of what is sealed, and of what says how. */
static void opens_no_slot_that_was_changed(void **state)
{
    const struct made *m = *state;
    const struct root_file whole = read_file();
    struct root_file changed[6];
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
        changed[i] = whole;
    changed[0].id[3] ^= 1;
    changed[1].slot[SEAL_PASSPHRASE].salt[0] ^= 1;
    changed[2].slot[SEAL_PASSPHRASE].nonce[11] ^= 1;
    changed[3].slot[SEAL_PASSPHRASE].sealed[0] ^= 1;
    changed[4].slot[SEAL_PASSPHRASE].cost++;
    changed[5].slot[SEAL_PASSPHRASE] = whole.slot[SEAL_RECOVERY];
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        write_file(&changed[i]);
        assert_int_equal(opens(m, SEAL_PASSPHRASE, OLD, NULL), -COFRE_NEGATIVE);
    }
    write_file(&whole);
    assert_int_equal(opens(m, SEAL_PASSPHRASE, OLD, NULL), 0);
}

/* One kind's slot under the name of another: the same passphrase, the same everything else. */
static void opens_no_slot_of_another_kind(void **state)
{
    const struct made *m = *state;
    struct root_file file = read_file();
    const struct seal_secret by = secret(SEAL_PASSPHRASE, OLD);
    char letters[RECOVERY_LETTERS + 1] = "";
    assert_int_equal(recovery_read(letters, view(m->recovery), NULL), 0);
    assert_int_equal(seal_set_passphrase(path, &by, view(letters), CHEAP, NULL), 0);
    assert_int_equal(opens(m, SEAL_PASSPHRASE, letters, NULL), 0);
    file = read_file();
    file.slot[SEAL_RECOVERY] = file.slot[SEAL_PASSPHRASE];
    write_file(&file);
    assert_int_equal(opens(m, SEAL_RECOVERY, m->recovery, NULL), -COFRE_NEGATIVE);
}

#define HEX16 "000102030405060708090a0b0c0d0e0f"
#define SLOT_(cost, salt)                                                                                    \
    "{\"cost\": " cost ", \"salt\": \"" salt                                                                 \
    "\", \"nonce\": \"000102030405060708090a0b\", \"sealed\": \"" HEX16 HEX16 HEX16 "\"}"
#define SLOT SLOT_("17", HEX16)
#define TPM_SLOT(public, private)                                                                            \
    "{\"cost\": 17, \"salt\": \"" HEX16 "\", \"owner\": \"" HEX16 HEX16 HEX16 HEX16                          \
    "\", \"parent\": \"000b" HEX16 HEX16 "\", \"public\": \"" public "\", \"private\": \"" private "\"}"
#define ROOT(slots) "{\"cofre_root\": 1, \"id\": \"" HEX16 "\", \"slots\": {" slots "}}"

static void refuses_what_a_file_cannot_say(void **state)
{
    static const struct {
        const char *text, *sentence;
    } files[] = {
        {"", "not JSON"},
        {"[]", "not a JSON object"},
        {"{}", "it is no sealed root of version 1"},
        {"{\"cofre_root\": 2, \"id\": \"" HEX16 "\", \"slots\": {}}", "it is no sealed root of version 1"},
        {"{\"cofre_root\": 1, \"id\": \"" HEX16 "\", \"slots\": []}", "it is to have cofre_root, id"},
        {"{\"cofre_root\": 1, \"id\": \"00\", \"slots\": {}}", "it is to have cofre_root, id"},
        {"{\"cofre_root\": 1, \"id\": \"" HEX16 "\", \"slots\": {}, \"more\": 1}",
         "it is to have cofre_root, id"},
        {ROOT(""), "there is no slot \"recovery\""},
        {ROOT("\"passphrase\": " SLOT), "there is no slot \"recovery\""},
        {ROOT("\"recovery\": " SLOT ", \"recovery\": " SLOT), "not JSON: duplicate object key"},
        {ROOT("\"recovery\": " SLOT ", \"pkcs11\": " SLOT), "slots of a kind that is not known here"},
        {ROOT("\"recovery\": " SLOT ", \"tpm\": " SLOT),
         "the slot \"tpm\" is to have cost, salt, owner, parent, public and private alone"},
        {ROOT("\"recovery\": " SLOT ", \"tpm\": " TPM_SLOT("00", "")),
         "the slot \"tpm\": private is to be up to 512 bytes"},
        {ROOT("\"recovery\": " SLOT ", \"tpm\": " TPM_SLOT("0", "00")), "public is to be up to 512 bytes"},
        {ROOT("\"recovery\": 1"), "the slot \"recovery\" is to have cost, salt, nonce and sealed alone"},
        {ROOT("\"recovery\": " SLOT_("19", HEX16)), "a cost of 19, where 10 to 18 can be"},
        {ROOT("\"recovery\": " SLOT_("9", HEX16)), "a cost of 9, where 10 to 18 can be"},
        {ROOT("\"recovery\": " SLOT_("9223372036854775807", HEX16)), "where 10 to 18 can be"},
        {ROOT("\"recovery\": " SLOT_("17.5", HEX16)), "is to have cost, salt"},
        {ROOT("\"recovery\": " SLOT_("17", "00")), "salt is to be 16 bytes in hexadecimal digits"},
        {ROOT("\"recovery\": " SLOT_("17", "zz0102030405060708090a0b0c0d0e0f")), "salt is to be 16 bytes"},
    };
    struct root_file file;
    (void)state;
    assert_int_equal(root_file_parse(&file, view(ROOT("\"recovery\": " SLOT)), NULL), 0);
    assert_int_equal(
        root_file_parse(&file, view(ROOT("\"recovery\": " SLOT ", \"tpm\": " TPM_SLOT("00", "01"))), NULL),
        0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct cofre_err err = {""};
        assert_int_equal(root_file_parse(&file, view(files[i].text), &err), -COFRE_MALFORMED);
        if (!strstr(err.text, files[i].sentence))
            fail_msg("%s\n%s\nis not: %s", files[i].text, err.text, files[i].sentence);
    }
}

static void refuses_a_file_that_is_too_long(void **state)
{
    static uint8_t spaces[ROOT_FILE_MAX + 1];
    memset(spaces, ' ', sizeof spaces);
    assert_int_equal(file_write(path, (struct view){spaces, sizeof spaces}, 0600, NULL), 0);
    assert_int_equal(opens(*state, SEAL_PASSPHRASE, OLD, NULL), -COFRE_MALFORMED);
}

/* What a process does that is killed, and what its file may be afterwards. */
static void change_passphrase(void)
{
    const struct seal_secret by = secret(SEAL_PASSPHRASE, OLD);
    _exit(seal_set_passphrase(path, &by, view(NEW), CHEAP, NULL) == 0 ? 0 : 1);
}

static void make_anew(void)
{
    CLEAN_SECRET root = {0};
    char recovery[RECOVERY_SIZE];
    _exit(seal_make(path, view(NEW), CHEAP, &root, show, recovery, NULL) == 0 ? 0 : 1);
}

static int shown; /* who would see a recovery passphrase reads it here */

static int show_there(void *context, const char *recovery, struct cofre_err *err)
{
    (void)context;
    return write(shown, recovery, RECOVERY_SIZE) == RECOVERY_SIZE ? 0 : cofre_fail(err, COFRE_FAILED, "gone");
}

static void renew_recovery(void)
{
    const struct seal_secret by = secret(SEAL_PASSPHRASE, OLD);
    _exit(seal_renew_recovery(path, &by, CHEAP, show_there, NULL, NULL) == 0 ? 0 : 1);
}

/* Runs it up to the start or the end of a system call, number `stop` of these, and kills it there. How many there were. */
static unsigned kill_at(void (*run)(void), unsigned stop)
{
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(2);
        raise(SIGSTOP);
        run();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        fail_msg("a child cannot be traced");
    for (unsigned i = 0; i < stop; i++) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            return i;
        }
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return stop;
}

/* The next to be killed at, of as many as a whole run has: each of the last, where the file is replaced, and of those before every
 * eighth. Each in turn takes minutes on a busy machine, and COFRE_KILL_EACH=1 does that. */
static unsigned next_stop(unsigned stop, unsigned all)
{
    const char *each = getenv("COFRE_KILL_EACH");
    return stop + 24 > all || (each && strcmp(each, "1") == 0) ? stop + 1 : stop + 8;
}

static void leaves_the_old_or_the_new_when_killed_at_a_call(void **state)
{
    const struct made *m = *state;
    const struct root_file whole = read_file();
    unsigned old = 0, new = 0;
    const unsigned all = kill_at(change_passphrase, UINT_MAX);
    assert_int_equal(opens(m, SEAL_PASSPHRASE, NEW, NULL), 0);
    write_file(&whole);
    for (unsigned stop = 0; stop < all; stop = next_stop(stop, all)) {
        kill_at(change_passphrase, stop);
        const bool before = opens(m, SEAL_PASSPHRASE, OLD, NULL) == 0,
                   after = opens(m, SEAL_PASSPHRASE, NEW, NULL) == 0;
        assert_true(before != after);
        assert_int_equal(opens(m, SEAL_RECOVERY, m->recovery, NULL), 0);
        old += before;
        new += after;
        write_file(&whole); /* whatever lies beside it, and whoever held the lock */
    }
    print_message("# killed at %u stops: the old file %u times, the new one %u times\n", old + new, old, new);
    assert_true(old > 5 && new > 1); /* on both sides of the renaming */
}

static void makes_all_of_it_or_none_when_killed_at_a_call(void **state)
{
    unsigned none = 0, whole = 0;
    (void)state;
    remove_files();
    const unsigned all = kill_at(make_anew, UINT_MAX);
    for (unsigned stop = 0; stop < all; stop = next_stop(stop, all)) {
        unlink(path);
        kill_at(make_anew, stop);
        CLEAN_SECRET root = {0};
        const struct seal_secret by = secret(SEAL_PASSPHRASE, NEW);
        if (access(path, F_OK) < 0) {
            none++;
            continue;
        }
        assert_int_equal(seal_open(path, &by, &root, NULL), 0);
        whole++;
    }
    assert_true(none > 5 && whole > 1);
}

/* What recovers is in somebody's hands, whenever it ends: the passphrase of before, or one that was seen. */
static void leaves_a_recovery_passphrase_that_was_seen_when_killed_at_a_call(void **state)
{
    const struct made *m = *state;
    const struct root_file whole = read_file();
    unsigned old = 0, new = 0;
    int ends[2];
    char seen[RECOVERY_SIZE];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    shown = ends[1];
    const unsigned all = kill_at(renew_recovery, UINT_MAX);
    assert_int_equal(read(ends[0], seen, sizeof seen), sizeof seen);
    assert_int_equal(opens(m, SEAL_RECOVERY, seen, NULL), 0);
    write_file(&whole);
    for (unsigned stop = 0; stop < all; stop = next_stop(stop, all)) {
        kill_at(renew_recovery, stop);
        const bool saw = read(ends[0], seen, sizeof seen) == sizeof seen,
                   before = opens(m, SEAL_RECOVERY, m->recovery, NULL) == 0;
        assert_true(before || (saw && opens(m, SEAL_RECOVERY, seen, NULL) == 0));
        old += before;
        new += !before;
        write_file(&whole);
    }
    close(ends[0]);
    close(ends[1]);
    print_message("# killed at %u stops: the old passphrase %u times, the new one %u times\n", old + new, old,
                  new);
    assert_true(old > 5 && new > 1);
}

/* Two at once, over and over: each change is whole, and neither takes the other's away. */
static void changes_wait_for_each_other(void **state)
{
    const struct made *m = *state;
    const struct seal_secret by = secret(SEAL_PASSPHRASE, OLD);
    char recovery[RECOVERY_SIZE];
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct seal_secret own = secret(SEAL_PASSPHRASE, OLD);
        for (int i = 0; i < 8; i++)
            if (seal_set_passphrase(path, &own, view(OLD), CHEAP, NULL) < 0)
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(seal_renew_recovery(path, &by, CHEAP, show, recovery, NULL), 0);
        assert_int_equal(opens(m, SEAL_RECOVERY, recovery, NULL), 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(opens(m, SEAL_RECOVERY, recovery, NULL), 0);
}

/* AddressSanitizer has its own mlock, which does nothing. */
#ifdef __SANITIZE_ADDRESS__
#define LOCKED ""
#else
#define LOCKED " lo"
#endif

/* The flags of the pages, as the kernel has them. */
static void keeps_a_secret_locked_and_out_of_dumps(void **state)
{
    const struct made *m = *state;
    char line[256], start[32];
    bool ours = false, good = false;
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    (void)snprintf(start, sizeof start, "%lx-", (unsigned long)m->root.data);
    while (fgets(line, sizeof line, maps)) {
        if (strncmp(line, start, strlen(start)) == 0)
            ours = true;
        if (ours && strncmp(line, "VmFlags:", 8) == 0) {
            good = strstr(line, LOCKED) && strstr(line, " dd") && strstr(line, " dc");
            break;
        }
    }
    (void)fclose(maps);
    assert_true(good);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opens_by_either_secret),
        TEST(tells_a_wrong_passphrase),
        TEST(has_modes_that_nobody_else_reads),
        TEST(makes_none_over_another),
        TEST(makes_one_without_a_passphrase),
        TEST(sets_a_passphrase_after_recovery),
        TEST(renews_the_recovery_passphrase),
        TEST(renews_nothing_that_nobody_saw),
        TEST(reads_a_recovery_passphrase_as_it_is_typed),
        TEST(tells_a_typing_error),
        TEST(opens_no_slot_that_was_changed),
        TEST(opens_no_slot_of_another_kind),
        cmocka_unit_test(refuses_what_a_file_cannot_say),
        TEST(refuses_a_file_that_is_too_long),
        TEST(leaves_the_old_or_the_new_when_killed_at_a_call),
        TEST(makes_all_of_it_or_none_when_killed_at_a_call),
        TEST(leaves_a_recovery_passphrase_that_was_seen_when_killed_at_a_call),
        TEST(changes_wait_for_each_other),
        TEST(keeps_a_secret_locked_and_out_of_dumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
