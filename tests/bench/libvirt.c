#include "tests/bench/libvirt.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "vmm/base/cleanup.h"

#define VIRSH "virsh -q -c qemu:///system "

static FILE *file(const struct libvirt *l, const char *name, const char *how)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", l->folder, name);
    FILE *f = fopen(path, how);
    BENCH_CHECK(f);
    return f;
}

static bool answers(void)
{
    return system(VIRSH "list >/dev/null 2>&1") == 0;
}

const char *libvirt_start(struct libvirt *l, const char *script)
{
    *l = (struct libvirt){.emulator = getenv("COFRE_QEMU"), .folder = "/tmp/cofre-libvirt-XXXXXX"};
    if (!l->emulator || access(l->emulator, X_OK) < 0)
        return "COFRE_QEMU names no QEMU";
    if (system("command -v libvirtd virsh >/dev/null") != 0)
        return "libvirtd and virsh are not installed";
    BENCH_CHECK(mkdtemp(l->folder));
    (void)fflush(NULL);
    l->daemon = fork();
    if (l->daemon == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execl(script, script, (char *)NULL);
        _exit(127);
    }
    for (unsigned i = 0; !answers(); i++) {
        BENCH_CHECK(i < 600 && waitpid(l->daemon, NULL, WNOHANG) == 0);
        (void)poll(NULL, 0, 100);
    }
    return NULL;
}

void libvirt_stop(struct libvirt *l)
{
    char command[128];
    (void)kill(l->daemon, SIGTERM);
    BENCH_CHECK(waitpid(l->daemon, NULL, 0) == l->daemon);
    (void)snprintf(command, sizeof command, "rm -r '%s'", l->folder);
    BENCH_CHECK(system(command) == 0);
}

double libvirt_cpu(const struct libvirt *l)
{
    char path[64], line[1024] = "";
    unsigned long user = 0, kernel = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)l->daemon);
    CLEAN_FILE *f = fopen(path, "r");
    BENCH_CHECK(f && fgets(line, sizeof line, f));
    const char *after = strrchr(line, ')'); /* the name may have anything in it */
    BENCH_CHECK(after && sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                                &kernel) == 2);
    return 1e3 * (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* Its lines in one connection. What virsh says is not looked at; what came of it is, by the next list. */
static void say(const struct libvirt *l)
{
    char command[256];
    (void)snprintf(command, sizeof command, VIRSH "<%s/lines >%s/said 2>&1", l->folder, l->folder);
    BENCH_CHECK(system(command) == 0);
}

static void say_of_each(const struct libvirt *l, const char *what, unsigned from, unsigned to,
                        const char *behind)
{
    FILE *lines = file(l, "lines", "w");
    for (unsigned i = from; i < to; i++)
        (void)fprintf(lines, "%sg%04u%s\n", what, i, behind);
    BENCH_CHECK(fclose(lines) == 0);
    say(l);
}

void libvirt_define(struct libvirt *l, unsigned from, unsigned to)
{
    char name[32], define[96];
    for (unsigned i = from; i < to; i++) {
        (void)snprintf(name, sizeof name, "g%04u.xml", i);
        FILE *xml = file(l, name, "w");
        (void)fprintf(xml,
                      "<domain type='qemu'><name>g%04u</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>"
                      "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>"
                      "<devices><emulator>%s</emulator></devices></domain>\n",
                      i, l->emulator);
        BENCH_CHECK(fclose(xml) == 0);
    }
    (void)snprintf(define, sizeof define, "define %s/", l->folder);
    say_of_each(l, define, from, to, ".xml");
}

static unsigned count(const char *which)
{
    char command[128];
    unsigned is = 0;
    (void)snprintf(command, sizeof command, VIRSH "list --name %s | grep -c '^g'", which);
    FILE *f = popen(command, "r");
    BENCH_CHECK(f && fscanf(f, "%u", &is) == 1);
    (void)pclose(f);
    return is;
}

void libvirt_run(struct libvirt *l, unsigned from, unsigned to)
{
    say_of_each(l, "start --paused ", from, to, "");
    BENCH_CHECK(count("") == to - from);
}

void libvirt_end(struct libvirt *l, unsigned from, unsigned to)
{
    say_of_each(l, "destroy ", from, to, "");
    BENCH_CHECK(count("") == 0);
}

void libvirt_list(struct libvirt *l, unsigned times, unsigned guests)
{
    FILE *lines = file(l, "lines", "w");
    for (unsigned i = 0; i < times; i++)
        (void)fputs("list --all\n", lines);
    BENCH_CHECK(fclose(lines) == 0);
    say(l);
    BENCH_CHECK(count("--all") == guests);
}
