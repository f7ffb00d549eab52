/* cofre emulate: another program, with the emulated platform under it. What it does is in vmm/emulate, a library that is loaded
 * before the program; this finds the two. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/error.h"
#include "vmm/cli/verb.h"
#include "vmm/emulate/emulate.h"

static const char help[] =
    "usage: cofre emulate [--tee snp|tdx] -- PROGRAM [ARGUMENT]...\n"
    "\n"
    "Runs a program that launches SEV-SNP or TDX guests by KVM, such as QEMU, on the emulated platform:\n"
    "its /dev/kvm (and /dev/sev) is that of a host that has them, though this one need have no more than\n"
    "KVM. It is for tests: the platform is EMULATED and protects nothing, and its reports have a root of\n"
    "their own (cofre emulated-root). The program must be linked dynamically; it needs this host's\n"
    "/dev/kvm, and the module cofre_ud (cofre doctor says whether it is there).\n"
    "\n"
    "  --tee T  what the host has: snp (default) or tdx\n"
    "  --help   this\n"
    "\n"
    "Exits as the program does.\n"
    "\n"
    "example: cofre emulate -- qemu-system-x86_64 -accel kvm -machine q35,confidential-guest-support=snp \\\n"
    "             -object sev-snp-guest,id=snp,cbitpos=47,reduced-phys-bits=1 -cpu EPYC-v4,phys-bits=48 \\\n"
    "             -bios OVMF.fd\n";

/* As execvp will find it. */
static void find_program(char out[static 4096], const char *name)
{
    const char *paths = getenv("PATH");
    (void)snprintf(out, 4096, "%s", name);
    for (size_t n; !strchr(name, '/') && paths; paths = paths[n] ? paths + n + 1 : NULL) {
        n = strcspn(paths, ":");
        (void)snprintf(out, 4096, "%.*s/%s", (int)n, paths, name);
        if (access(out, X_OK) == 0)
            return;
    }
}

/* Beside this program, as built, or where it is installed. */
static int find_library(char out[static 4096], struct cofre_err *err)
{
    ssize_t n = readlink("/proc/self/exe", out, 4096 - sizeof EMULATE_LIBRARY);
    while (n > 0 && out[n - 1] != '/')
        n--;
    if (n > 0)
        strcpy(out + n, EMULATE_LIBRARY);
    if (n > 0 && access(out, R_OK) == 0)
        return 0;
    (void)snprintf(out, 4096, "%s/%s", COFRE_LIBDIR, EMULATE_LIBRARY);
    if (access(out, R_OK) == 0)
        return 0;
    return cofre_fail(err, COFRE_LACKING, "%s is missing: install cofre whole", out);
}

/* Only the dynamic linker loads a library before a program. What cannot be read is left to execvp to refuse. */
static int check_program(const char *name, struct cofre_err *err)
{
    char path[4096];
    Elf64_Ehdr head;
    Elf64_Phdr program;
    find_program(path, name);
    CLEAN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, &head, sizeof head, 0) != sizeof head ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return 0;
    for (unsigned i = 0; i < head.e_phnum; i++)
        if (pread(fd, &program, sizeof program, (off_t)(head.e_phoff + i * sizeof program)) ==
                sizeof program &&
            program.p_type == PT_INTERP)
            return 0;
    return cofre_fail(err, COFRE_USAGE,
                      "%s is linked statically: nothing can be put under it. Link it dynamically", path);
}

static int set_environment(const char *tee, const char *library, struct cofre_err *err)
{
    char preload[8192];
    const char *others = getenv("LD_PRELOAD");
    const int n =
        snprintf(preload, sizeof preload, "%s%s%s", library, others ? ":" : "", others ? others : "");
    if (n >= (int)sizeof preload || setenv("LD_PRELOAD", preload, 1) != 0 || setenv(EMULATE_TEE, tee, 1) != 0)
        return cofre_fail(err, COFRE_FAILED, "the environment has no room for LD_PRELOAD");
    return 0;
}

/* 0; 1 where help was printed; or an error. */
static int parse(const char **tee, int argc, char **argv, struct cofre_err *err)
{
    static const struct option options[] = {
        {"tee", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    *tee = "snp";
    for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help, stdout);
            return 1;
        }
        if (c != 't')
            return cofre_fail(err, COFRE_USAGE, "see cofre emulate --help");
        *tee = optarg;
        if (strcmp(optarg, "snp") != 0 && strcmp(optarg, "tdx") != 0)
            return cofre_fail(err, COFRE_USAGE, "--tee %s: not snp or tdx", optarg);
    }
    return optind < argc ? 0 : cofre_fail(err, COFRE_USAGE, "which program? See cofre emulate --help");
}

int verb_emulate(int argc, char **argv)
{
    const char *tee;
    char library[4096];
    struct cofre_err err;
    int rc = parse(&tee, argc, argv, &err);
    if (rc == 0)
        rc = check_program(argv[optind], &err);
    if (rc == 0)
        rc = find_library(library, &err);
    if (rc == 0)
        rc = set_environment(tee, library, &err);
    if (rc == 0) {
        execvp(argv[optind], argv + optind);
        rc = cofre_fail(&err, errno == ENOENT || errno == EACCES ? COFRE_USAGE : COFRE_FAILED,
                        "%s cannot be started: %s", argv[optind], strerror(errno));
    }
    if (rc < 0)
        fprintf(stderr, "cofre emulate: %s\n", err.text);
    return rc < 0 ? -rc : 0;
}
