/*
 * On a whole cofred: what lies in its folders and is not what it put there, and a process that has the number of a guest's. Each thing is
 * planted at one of the places that it could be; with COFRE_PLANTS=all at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/cofred/whole.h"
#include "vmm/base/cleanup.h"
#include "vmm/host/interface/schema.h"

#define FIRST_USER 891000
#define GUEST      "/tenants/shop/guests/web"
#define KERNEL     "kernel of the test"
#define OTHERS     "kernel of the rest" /* as long */

static struct whole whole, *const w = &whole;
static const char *missing;
static char kernel[80], others[80];
static char image[300], disk[300], other_image[300]; /* files of the store */

static void need(void)
{
    if (!missing)
        return;
    print_message("skipped: %s\n", missing);
    skip();
}

static void must(int status, const char *method, const char *path, const char *body)
{
    json_decref(whole_must(w, status, method, path, body));
}

static void assert_comes_to(const char *state)
{
    char path[160];
    (void)snprintf(path, sizeof path, GUEST "/wait?state=%s&seconds=20", state);
    CLEAN_JSON *shown = whole_must(w, 200, "GET", path, NULL);
    assert_string_equal(member_text(shown, "state", ""), state);
}

static void run_once(void)
{
    must(202, "POST", GUEST "/start", NULL);
    assert_comes_to("running");
    must(202, "POST", GUEST "/stop", "{'seconds': 20}");
    assert_comes_to("stopped");
}

/* A guest with a disk of its own, which its first start makes. */
static int up(void **state)
{
    char body[512];
    (void)state;
    if (missing)
        return 0;
    whole_start(w);
    must(201, "POST", "/tenants", "{'name': 'shop'}");
    must(201, "POST", "/tenants", "{'name': 'rest'}");
    whole_image(w, "shop", KERNEL, kernel);
    whole_image(w, "rest", OTHERS, others);
    (void)snprintf(body, sizeof body,
                   "{'name': 'web', 'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s', "
                   "'cmdline': 'launch kernel wait', 'disks': [{'size': 1048576}]}",
                   kernel);
    must(201, "POST", "/tenants/shop/guests", body);
    run_once();
    (void)snprintf(image, sizeof image, "%s/images/images/shop/%s", w->state, strchr(kernel, ':') + 1);
    (void)snprintf(other_image, sizeof other_image, "%s/images/images/rest/%s", w->state,
                   strchr(others, ':') + 1);
    (void)snprintf(disk, sizeof disk, "%s/images/disks/%08x-00", w->state, 1U);
    assert_int_equal(access(image, F_OK), 0);
    assert_int_equal(access(disk, F_OK), 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    if (missing)
        return 0;
    must(204, "DELETE", GUEST, NULL);
    return whole_stop(w, SIGTERM);
}

/* Planting: what was there is aside for as long */

static char aside[320];

static bool plant_link(const char *path)
{
    return symlink(strcmp(path, image) == 0 ? other_image : "/etc/passwd", path) == 0;
}

static bool plant_link_to_itself(const char *path)
{
    return symlink(strrchr(path, '/') + 1, path) == 0;
}

static bool plant_magic_link(const char *path)
{
    return symlink("/proc/self/fd/0", path) == 0;
}

static bool plant_pipe(const char *path)
{
    return mkfifo(path, 0666) == 0 && chown(path, w->decider, w->decider) == 0;
}

static bool plant_folder(const char *path)
{
    return mkdir(path, 0777) == 0;
}

static bool plant_device(const char *path)
{
    return mknod(path, S_IFCHR | 0666, makedev(1, 5)) == 0;
}

static bool copy(const char *path, uid_t owner, mode_t mode)
{
    char command[800];
    (void)snprintf(command, sizeof command, "cp '%s' '%s'", aside, path);
    return system(command) == 0 && chown(path, owner, owner) == 0 && chmod(path, mode) == 0;
}

static bool plant_somebody_s(const char *path)
{
    return copy(path, FIRST_USER + 50, 0644);
}

static bool plant_somebody_s_by_a_second_name(const char *path)
{
    char own[340];
    (void)snprintf(own, sizeof own, "%s.own", aside);
    return copy(own, FIRST_USER + 50, 0644) && link(own, path) == 0 && unlink(own) == 0;
}

static bool plant_what_all_write_to(const char *path)
{
    return copy(path, w->decider, 0666);
}

static bool plant_longer(const char *path)
{
    return copy(path, w->decider, 0600) && truncate(path, 2 << 20) == 0;
}

static bool plant_mount(const char *path)
{
    return copy(path, w->decider, 0600) && mount("/etc/hostname", path, NULL, MS_BIND, NULL) == 0;
}

static bool plant_nothing(const char *path)
{
    return access(path, F_OK) < 0;
}

static const struct {
    const char *name;
    bool (*plant)(const char *path);
} plants[] = {
    {"a link", plant_link},
    {"a link to itself", plant_link_to_itself},
    {"a link that the kernel makes up", plant_magic_link},
    {"a pipe", plant_pipe},
    {"a folder", plant_folder},
    {"a device", plant_device},
    {"somebody's file", plant_somebody_s},
    {"a second name of somebody's file", plant_somebody_s_by_a_second_name},
    {"a file that all may write to", plant_what_all_write_to},
    {"a longer file", plant_longer},
    {"a mount", plant_mount},
    {"nothing", plant_nothing},
};

static void take_away(const char *path)
{
    (void)umount2(path, MNT_DETACH);
    if (unlink(path) < 0)
        (void)rmdir(path);
    assert_int_equal(rename(aside, path), 0);
}

static void what_is_planted_for_an_image_or_a_disk_starts_nothing(void **state)
{
    const char *const paths[] = {image, disk};
    (void)state;
    need();
    for (size_t i = 0; i < 2 * (sizeof plants / sizeof *plants); i++) {
        const char *path = paths[i % 2], *name = plants[i / 2].name;
        if (!getenv("COFRE_PLANTS") && i % 2 != i / 2 % 2)
            continue;
        (void)snprintf(aside, sizeof aside, "%s/aside", w->state);
        assert_int_equal(rename(path, aside), 0);
        if (!plants[i / 2].plant(path))
            fail_msg("%s cannot be planted: %s", name, strerror(errno));
        const int status = whole_ask(w, "POST", GUEST "/start", NULL, NULL);
        if (status == 202)
            assert_comes_to("failed");
        else if (status < 400)
            fail_msg("with %s for %s a start was answered by %d", name, path, status);
        assert_int_equal(whole_guest_processes(w), 0);
        take_away(path);
    }
    run_once();
}

/* The kernel gives a number that is free to whoever may ask for it. */
static pid_t fork_as(pid_t number)
{
    struct clone_args args = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
    const long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)pause();
    }
    return (pid_t)pid;
}

static void who_has_a_guest_s_number_is_no_guest(void **state)
{
    (void)state;
    need();
    must(202, "POST", GUEST "/start", NULL);
    assert_comes_to("running");
    const pid_t guest = whole_part(w, "guest");
    assert_true(guest > 0);
    (void)whole_stop(w, SIGKILL);
    assert_int_equal(kill(guest, SIGKILL), 0);
    pid_t other;
    for (int turn = 0; (other = fork_as(guest)) < 0 && errno == EEXIST && turn < 2000; turn++)
        (void)poll(NULL, 0, 5); /* until whoever its parent is now has taken its end */
    if (other < 0)
        fail_msg("no process can be number %d: %s", guest, strerror(errno));
    assert_int_equal(other, guest);
    whole_start(w);
    assert_comes_to("failed");
    must(409, "POST", GUEST "/kill", NULL);
    run_once();
    assert_int_equal(waitpid(other, NULL, WNOHANG), 0); /* nobody did anything to it */
    assert_int_equal(kill(other, SIGKILL), 0);
    assert_int_equal(waitpid(other, NULL, 0), other);
}

/* Folders of the store are its own, or cofred does not start. */
static void folders_that_lead_elsewhere_are_refused_at_the_start(void **state)
{
    static const char *const folders[] = {"images", "images/incoming", "images/disks", "images/images"};
    char elsewhere[300], command[700];
    (void)state;
    need();
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", w->world.directory);
    assert_int_equal(whole_stop(w, SIGTERM), 0);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[300];
        int status;
        if (!getenv("COFRE_PLANTS") && i != 1)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", w->state, folders[i]);
        (void)snprintf(aside, sizeof aside, "%s/aside", w->state);
        assert_int_equal(mkdir(elsewhere, 0777), 0);
        assert_int_equal(chmod(elsewhere, 0777), 0);
        assert_int_equal(rename(path, aside), 0);
        assert_int_equal(symlink(elsewhere, path), 0);
        (void)snprintf(command, sizeof command, "'%s' --config '%s' 2>/dev/null", w->program, w->config);
        status = system(command);
        if (status == 0 || !WIFEXITED(status))
            fail_msg("with a link for %s cofred ended with %#x", folders[i], (unsigned)status);
        assert_int_equal(rmdir(elsewhere), 0); /* and it is empty */
        take_away(path);
    }
    whole_start(w);
    run_once();
}

int main(int argc, char **argv)
{
    const struct whole_wish wish = {FIRST_USER, "", "", ""};
    missing =
        argc == 3 ? whole_make_as(w, argv[1], argv[2], &wish) : "neither cofred nor a stand-in was named";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_planted_for_an_image_or_a_disk_starts_nothing),
        cmocka_unit_test(who_has_a_guest_s_number_is_no_guest),
        cmocka_unit_test(folders_that_lead_elsewhere_are_refused_at_the_start),
    };
    int rc = cmocka_run_group_tests(tests, up, down);
    whole_free(w);
    return rc;
}
