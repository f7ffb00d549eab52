#include "tests/unit/machine/attack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/kvm.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/devices/block_io.h"
#include "vmm/machine/jail.h"

typedef const struct scene S;

static int of(long rc)
{
    return rc < 0 ? errno : 0;
}

/* 0 where the call got as far as looking at what it was given: all that an attempt without harm can show. */
static int looked(long rc, int expected)
{
    return rc < 0 && errno == expected ? 0 : of(rc);
}

static int in_directory(S *s, const char *name, char out[128])
{
    return snprintf(out, 128, "%s/%s", s->directory, name);
}

/* Files */

static int open_file(S *s)
{
    (void)s;
    return of(open("/etc/passwd", O_RDONLY));
}
static int open_from_held_root(S *s)
{
    return of(openat(s->root, "etc/passwd", O_RDONLY));
}
static int open_parent(S *s)
{
    (void)s;
    return of(open("../../../../etc/passwd", O_RDONLY));
}
static int reopen_for_writing(S *s)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", s->read_only);
    int fd = open(path, O_RDWR);
    return fd < 0 ? errno : of(pwrite(fd, "x", 1, 0));
}
static int reopen_kvm(S *s)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", s->kvm);
    return s->kvm < 0 ? UNTRIED : of(open(path, O_RDWR));
}
static int open_kvm(S *s)
{
    return s->kvm < 0 ? UNTRIED : of(open("/dev/kvm", O_RDWR));
}
static int create_file(S *s)
{
    char p[128];
    in_directory(s, "new", p);
    return of(open(p, O_CREAT | O_WRONLY, 0600));
}
static int make_directory(S *s)
{
    char p[128];
    in_directory(s, "dir", p);
    rmdir(p);
    return of(mkdir(p, 0700));
}
static int make_device(S *s)
{
    char p[128];
    in_directory(s, "node", p);
    unlink(p);
    return of(mknod(p, S_IFCHR | 0600, makedev(1, 3)));
}
static int make_link(S *s)
{
    char p[128];
    in_directory(s, "link", p);
    unlink(p);
    return of(symlink("/etc", p));
}
static int change_mode(S *s)
{
    return of(chmod(s->file, 0644));
}
static int change_mode_of_held(S *s)
{
    return of(fchmod(s->read_only, 0644));
}
static int rename_file(S *s)
{
    char p[128];
    in_directory(s, "renamed", p);
    return rename(s->file, p) < 0 ? errno : of(rename(p, s->file));
}
static int truncate_file(S *s)
{
    return of(truncate(s->file, 4096));
}
static int stat_file(S *s)
{
    struct stat st;
    (void)s;
    return of(stat("/etc/passwd", &st));
}
static int list_held_root(S *s)
{
    char buffer[4096];
    int fd = openat(s->root, ".", O_RDONLY | O_DIRECTORY);
    return fd < 0 ? errno : of(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
}
static int change_to_held_root(S *s)
{
    return of(fchdir(s->root));
}
static int chroot_to_held_root(S *s)
{
    return fchdir(s->root) < 0 ? errno : of(chroot("."));
}
static int handle_of_file(S *s)
{
    struct {
        struct file_handle h;
        char room[128];
    } handle = {.h.handle_bytes = 128};
    int mount;
    return of(name_to_handle_at(s->root, "etc/passwd", &handle.h, &mount, 0));
}
static int memory_file(S *s)
{
    (void)s;
    return of(memfd_create("a", 0));
}
static int watch_files(S *s)
{
    (void)s;
    return of(inotify_init1(0));
}
static int watch_all_files(S *s)
{
    (void)s;
    return of(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));
}
static int release_lock(S *s)
{
    return of(flock(s->lock, LOCK_UN));
}
static int duplicate(S *s)
{
    return of(fcntl(s->read_only, F_DUPFD, 500));
}
static int change_flags(S *s)
{
    return of(fcntl(s->read_only, F_SETFL, O_NONBLOCK));
}
static int grow_file(S *s)
{
    struct iovec byte = {"x", 1};
    int rc = of(pwritev(s->lock, &byte, 1, 2ll << 30));
    return rc ? rc : of(ftruncate(s->lock, 4096));
}
static int copy_between(S *s)
{
    return of(sendfile(s->pair, s->read_only, &(off_t){0}, 1));
}
static int swap_file(S *s)
{
    (void)s;
    return looked(syscall(SYS_swapon, "/", 0), EINVAL);
}

/* Network */

static int connect_to(int family, int type, const void *address, socklen_t len)
{
    int fd = socket(family, type, 0);
    return fd < 0 ? errno : of(connect(fd, address, len));
}
static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
}
static int connect_tcp(S *s)
{
    struct sockaddr_in a = local(s->tcp_port);
    return connect_to(AF_INET, SOCK_STREAM, &a, sizeof a);
}
static int connect_udp(S *s)
{
    struct sockaddr_in a = local(s->udp_port);
    return connect_to(AF_INET, SOCK_DGRAM, &a, sizeof a);
}
static int connect_unix(S *s)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, s->unix_path);
    return connect_to(AF_UNIX, SOCK_STREAM, &a, sizeof a);
}
static int connect_abstract(S *s)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path + 1, s->abstract);
    return connect_to(AF_UNIX, SOCK_STREAM, &a,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(s->abstract)));
}
static int listen_tcp(S *s)
{
    (void)s;
    struct sockaddr_in a = local(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? errno : of(listen(fd, 1));
}
static int socket_netlink(S *s)
{
    (void)s;
    return of(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
}
static int socket_packet(S *s)
{
    (void)s;
    return of(socket(AF_PACKET, SOCK_RAW, 0));
}
static int socket_alg(S *s)
{
    (void)s;
    return of(socket(AF_ALG, SOCK_SEQPACKET, 0));
}
static int socket_pair(S *s)
{
    (void)s;
    int p[2];
    return of(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
}
static int send_descriptor(S *s)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec byte = {"x", 1};
    struct msghdr m = {
        .msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &s->read_only, sizeof(int));
    return of(sendmsg(s->pair, &m, 0));
}
static int many_messages(S *s)
{
    struct iovec byte = {"x", 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &byte, .msg_iovlen = 1}};
    return of(sendmmsg(s->pair, &m, 1, 0));
}

/* Other processes, and more of its own */

static int signal_bystander(S *s)
{
    return of(kill(s->bystander, SIGURG));
}
static int signal_thread_of_bystander(S *s)
{
    return of(syscall(SYS_tgkill, s->bystander, s->bystander, SIGURG));
}
static int signal_by_descriptor(S *s)
{
    return of(syscall(SYS_pidfd_send_signal, s->bystander_process, SIGURG, NULL, 0));
}
static int signal_parent(S *s)
{
    return of(kill(s->parent, SIGURG));
}
static int signal_queue(S *s)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    return of(syscall(SYS_rt_sigqueueinfo, s->bystander, SIGURG, &info));
}
static int trace_bystander(S *s)
{
    return of(ptrace(PTRACE_SEIZE, s->bystander, 0, 0));
}
static int trace_parent(S *s)
{
    return of(ptrace(PTRACE_SEIZE, s->parent, 0, 0));
}
static int touch_memory(S *s, pid_t pid, bool write)
{
    char byte = 0;
    struct iovec own = {&byte, 1}, its = {s->page, 1};
    return of(write ? process_vm_writev(pid, &own, 1, &its, 1, 0)
                    : process_vm_readv(pid, &own, 1, &its, 1, 0));
}
static int read_bystander(S *s)
{
    return touch_memory(s, s->bystander, false);
}
static int write_bystander(S *s)
{
    return touch_memory(s, s->bystander, true);
}
static int read_parent(S *s)
{
    return touch_memory(s, s->parent, false);
}
static int open_memory_of_parent(S *s)
{
    char p[64];
    snprintf(p, sizeof p, "/proc/%d/mem", s->parent);
    return of(open(p, O_RDWR));
}
static int descriptor_of_process(S *s)
{
    return of(syscall(SYS_pidfd_open, s->bystander, 0));
}
static int take_descriptor(S *s)
{
    return of(syscall(SYS_pidfd_getfd, s->bystander_process, 0, 0));
}
static int limit_bystander(S *s)
{
    struct rlimit now;
    return of(prlimit(s->bystander, RLIMIT_NOFILE, NULL, &now));
}
static int slow_bystander(S *s)
{
    return of(setpriority(PRIO_PROCESS, (id_t)s->bystander, 1));
}
static int raise_own_limit(S *s)
{
    (void)s;
    return of(setrlimit(RLIMIT_NOFILE, &(struct rlimit){2048, 4096}));
}
static int make_process(S *s)
{
    (void)s;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 ? errno : of(waitpid(child, NULL, 0));
}
static int in_thread(void *nothing)
{
    (void)nothing;
    return 0;
}
static int make_thread(S *s)
{
    static char stack[65536] __attribute__((aligned(64)));
    (void)s;
    return of(clone(in_thread, stack + sizeof stack,
                    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL));
}
static int execute(S *s)
{
    (void)s;
    return of(execl("/bin/true", "true", NULL));
}
static int execute_held(S *s)
{
    char *a[] = {"true", NULL}, *e[] = {NULL};
    return of(execveat(s->program, "", a, e, AT_EMPTY_PATH));
}

/* Privileges and namespaces */

static int become_root(S *s)
{
    (void)s;
    return of(syscall(SYS_setresuid, 0, 0, 0));
}
static int change_groups(S *s)
{
    (void)s;
    gid_t g = 4;
    return of(syscall(SYS_setgroups, 1, &g));
}
static int take_capabilities(S *s)
{
    (void)s;
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{1u << CAP_SYS_ADMIN, 1u << CAP_SYS_ADMIN, 0}};
    return of(syscall(SYS_capset, &h, d));
}
static int new_user_namespace(S *s)
{
    (void)s;
    return of(unshare(CLONE_NEWUSER));
}
static int new_mount_namespace(S *s)
{
    (void)s;
    return of(unshare(CLONE_NEWNS));
}
static int join_namespace(S *s)
{
    return of(setns(s->mount_namespace, CLONE_NEWNS));
}
static int join_process(S *s)
{
    return of(setns(s->bystander_process, CLONE_NEWUTS));
}
/* The attempt without a jail happens in a mount namespace of its own. */
static int mount_something(S *s)
{
    return of(mount("x", s->directory, "tmpfs", 0, NULL));
}
static int mount_by_descriptor(S *s)
{
    (void)s;
    return of(syscall(SYS_fsopen, "tmpfs", 0));
}
static int bind_host_root(S *s)
{
    return of(syscall(SYS_open_tree, s->root, ".", 0x1));
}
static int unmount_something(S *s)
{
    return mount("x", s->directory, "tmpfs", 0, NULL) < 0 ? errno : of(umount2(s->directory, MNT_DETACH));
}
static int name_host(S *s)
{
    (void)s;
    char n[65];
    return gethostname(n, sizeof n) < 0 ? errno : of(sethostname(n, strlen(n)));
}
static int be_dumpable(S *s)
{
    (void)s;
    return of(prctl(PR_SET_DUMPABLE, 1));
}
static int trace_by_anybody(S *s)
{
    (void)s;
    return of(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY));
}
static int loosen_filter(S *s)
{
    (void)s;
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, all};
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return of(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}
static int catch_the_kill(S *s)
{
    (void)s;
    struct sigaction a = {.sa_handler = SIG_IGN};
    return of(sigaction(SIGSYS, &a, NULL));
}
static int change_personality(S *s)
{
    (void)s;
    return of(personality(ADDR_NO_RANDOMIZE));
}
static int other_abi(S *s)
{
    (void)s;
    long rc;
    __asm__ volatile("int $0x80"
                     : "=a"(rc)
                     : "a"(20L)
                     : "memory", "r8", "r9", "r10", "r11"); /* getpid of i386 */
    if (rc < 0)
        errno = (int)-rc;
    return rc < 0 ? errno : 0;
}

/* The kernel's larger interfaces */

static int load_bpf(S *s)
{
    (void)s;
    union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return of(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a));
}
static int perf_events(S *s)
{
    (void)s;
    struct perf_event_attr a = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof a, .config = PERF_COUNT_SW_CPU_CLOCK, .exclude_kernel = 1};
    return of(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}
static int user_faults(S *s)
{
    (void)s;
    return of(syscall(SYS_userfaultfd, 1));
}
static int keys(S *s)
{
    (void)s;
    return of(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
}
static int add_key(S *s)
{
    (void)s;
    return of(syscall(SYS_add_key, "user", "cofre-jail", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}
static int load_module(S *s)
{
    return looked(syscall(SYS_init_module, s->page, 4096, ""), ENOEXEC);
}
static int load_kernel(S *s)
{
    (void)s;
    return looked(syscall(SYS_kexec_load, 0, 17, NULL, 0), EINVAL);
}
static int make_ring(S *s)
{
    (void)s;
    struct io_uring_params p = {0};
    return of(syscall(SYS_io_uring_setup, 4, &p));
}
static int registered_ring(S *s)
{
    return looked(syscall(SYS_io_uring_register, s->pair, 0, NULL, 0), EOPNOTSUPP);
}
static int by_ring(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    int rc = io_uring_submit_and_wait(ring, 1);
    if (rc < 0 || (rc = io_uring_peek_cqe(ring, &cqe)) < 0)
        return -rc;
    return cqe->res < 0 ? -cqe->res : 0;
}

static int open_by_ring(S *s)
{
    io_uring_prep_openat(io_uring_get_sqe(s->ring), s->root, "etc/passwd", O_RDONLY, 0);
    return by_ring(s->ring);
}

static int socket_by_ring(S *s)
{
    io_uring_prep_socket(io_uring_get_sqe(s->ring), AF_INET, SOCK_STREAM, 0, 0);
    return by_ring(s->ring);
}

static int kernel_log(S *s)
{
    (void)s;
    return of(klogctl(10, NULL, 0));
}
static int set_clock(S *s)
{
    (void)s;
    struct timex t = {.modes = ADJ_TICK, .tick = 10000};
    return of(adjtimex(&t));
}
static int ports(S *s)
{
    (void)s;
    return of(ioperm(0x80, 1, 1));
}
static int process_accounting(S *s)
{
    (void)s;
    return looked(syscall(SYS_acct, "/"), EISDIR) == 0 ? 0 : looked(-1, EACCES);
}
static int quota(S *s)
{
    (void)s;
    return looked(syscall(SYS_quotactl, 0x80000100, NULL, 0, NULL), ENODEV) == 0 ? 0 : errno;
}
static int local_descriptors(S *s)
{
    (void)s;
    char ldt[16] = {0};
    return of(syscall(SYS_modify_ldt, 0, ldt, sizeof ldt));
}
static int type_into_terminal(S *s)
{
    return s->terminal < 0 ? UNTRIED : of(ioctl(s->terminal, TIOCSTI, "x"));
}
static int change_terminal(S *s)
{
    struct winsize w = {1, 1, 0, 0};
    return s->terminal < 0 ? UNTRIED : of(ioctl(s->terminal, TIOCSWINSZ, &w));
}

/* Memory */

static int code_of_its_own(S *s)
{
    (void)s;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                   MAP_FAILED
               ? errno
               : 0;
}
static int memory_to_code(S *s)
{
    return of(mprotect(s->page, 4096, PROT_READ | PROT_EXEC));
}
static int memory_to_keyed_code(S *s)
{
    return of(syscall(SYS_pkey_mprotect, s->page, 4096, PROT_READ | PROT_EXEC, -1));
}
static int file_to_code(S *s)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, s->program, 0) == MAP_FAILED ? errno : 0;
}
static int much_memory(S *s)
{
    const size_t size = 512u << 20;
    (void)s;
#ifdef __SANITIZE_ADDRESS__
    return UNTRIED; /* its shadow has no limit that would mean something */
#endif
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return errno;
    p[size - 1] = 1;
    return 0;
}
static int shared_memory(S *s)
{
    (void)s;
    int id = shmget(IPC_PRIVATE, 4096, 0600);
    return id < 0 ? errno : of(shmctl(id, IPC_RMID, NULL));
}
static int locked_memory(S *s)
{
    return of(syscall(SYS_mlock, s->page, 4096));
}

/* KVM's descriptors */

static int kvm_new_machine(S *s)
{
    return s->kvm < 0 ? UNTRIED : of(ioctl(s->kvm, KVM_CREATE_VM, 0));
}
static int kvm_new_vcpu(S *s)
{
    return of(ioctl(s->vm, KVM_CREATE_VCPU, 1));
}
static int kvm_new_device(S *s)
{
    struct kvm_create_device d = {.type = KVM_DEV_TYPE_VFIO, .flags = KVM_CREATE_DEVICE_TEST};
    return looked(ioctl(s->vm, KVM_CREATE_DEVICE, &d), ENODEV);
}
static int kvm_set_region(S *s)
{
    struct kvm_userspace_memory_region r = {
        .guest_phys_addr = 0, .memory_size = 4096, .userspace_addr = (uintptr_t)s->page};
    return of(ioctl(s->vm, KVM_SET_USER_MEMORY_REGION, &r));
}
static int kvm_run(S *s)
{
    return looked(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
}
static int kvm_run_disguised(S *s)
{
    return looked(syscall(SYS_ioctl, s->vcpu, 0xffffffff00000000ul | KVM_RUN, 0), EINTR);
}
static int kvm_set_registers(S *s)
{
    struct kvm_regs r = {.rflags = 2};
    return of(ioctl(s->vcpu, KVM_SET_REGS, &r));
}
static int kvm_get_state(S *s)
{
    struct kvm_sregs r;
    return of(ioctl(s->vcpu, KVM_GET_SREGS, &r));
}
static int kvm_enable(S *s)
{
    struct kvm_enable_cap c = {.cap = KVM_CAP_DISABLE_QUIRKS};
    return of(ioctl(s->vm, KVM_ENABLE_CAP, &c));
}
static int kvm_dirty_log(S *s)
{
    struct kvm_dirty_log d = {0};
    return looked(ioctl(s->vm, KVM_GET_DIRTY_LOG, &d), ENOENT);
}

/* clang-format off */
#define TRY(n, f)            {.name = n, .attempt = f}
#define TRY_LIST(n, f)       {.name = n, .attempt = f, .filter_only = true}
#define TRY_VM(n, f, d)   {.name = n, .attempt = f, .duty = d, .needs_vm = true, .filter_only = true}
#define TRY_EMULATED(n, f)   {.name = n, .attempt = f, .duty = " vcpu ", .duty_with = JAIL_WITH_EMULATION, .needs_vm = true, .filter_only = true}
#define TRY_RING(n, f)       {.name = n, .attempt = f, .needs_ring = true, .filter_only = true}
/* clang-format on */
const struct attack attacks[] = {
    TRY("open a file by its path", open_file),
    TRY("open a file from a directory that is held", open_from_held_root),
    TRY("open a file by climbing out of the root", open_parent),
    TRY("open a held read-only file for writing, and write", reopen_for_writing),
    TRY("open /dev/kvm", open_kvm),
    TRY("open a held /dev/kvm again", reopen_kvm),
    TRY("create a file", create_file),
    TRY("create a directory", make_directory),
    TRY("create a device node", make_device),
    TRY("create a symbolic link", make_link),
    TRY("change a file's mode", change_mode),
    TRY_LIST("change a held file's mode", change_mode_of_held),
    TRY("rename a file", rename_file),
    TRY("truncate a file", truncate_file),
    TRY("look for a file", stat_file),
    TRY("list a held directory", list_held_root),
    TRY_LIST("enter a held directory", change_to_held_root),
    TRY("make a held directory the root", chroot_to_held_root),
    TRY_LIST("take a handle of a file", handle_of_file),
    TRY_LIST("create a memory file", memory_file),
    TRY_LIST("watch files (inotify)", watch_files),
    TRY_LIST("watch all files (fanotify)", watch_all_files),
    TRY_LIST("release the lock of a disk", release_lock),
    TRY_LIST("duplicate a descriptor", duplicate),
    TRY_LIST("change a descriptor's flags", change_flags),
    TRY("make a held file larger by 2 GiB", grow_file),
    TRY_LIST("copy between descriptors", copy_between),
    TRY("use a file for swapping", swap_file),
    TRY("connect by TCP", connect_tcp),
    TRY("connect by UDP", connect_udp),
    TRY("connect to a unix socket", connect_unix),
    TRY("connect to an abstract unix socket", connect_abstract),
    TRY("listen for TCP", listen_tcp),
    TRY_LIST("open a netlink socket", socket_netlink),
    TRY("open a packet socket", socket_packet),
    TRY_LIST("open a socket of the kernel's cryptography", socket_alg),
    TRY_LIST("make a socket pair", socket_pair),
    {.name = "send a descriptor through a held socket",
     .attempt = send_descriptor,
     .duty = " vcpu , vhost-user fs ", /* which hand the guest's memory over */
     .duty_with = JAIL_WITH_VHOST_USER,
     .net_duty = true,
     .filter_only = true},
    TRY_LIST("send several messages at once", many_messages),
    TRY("signal another process", signal_bystander),
    TRY("signal a thread of another process", signal_thread_of_bystander),
    TRY("signal another process by a held descriptor", signal_by_descriptor),
    TRY("signal the parent", signal_parent),
    TRY("queue a signal for another process", signal_queue),
    TRY("trace another process", trace_bystander),
    TRY("trace the parent", trace_parent),
    TRY("read another process's memory", read_bystander),
    TRY("write another process's memory", write_bystander),
    TRY("read the parent's memory", read_parent),
    TRY("open the parent's memory as a file", open_memory_of_parent),
    TRY("open another process", descriptor_of_process),
    TRY("take a descriptor out of another process", take_descriptor),
    TRY("look at another process's limits", limit_bystander),
    TRY("slow another process down", slow_bystander),
    TRY("raise its own limits", raise_own_limit),
    TRY_LIST("make a process", make_process),
    TRY_LIST("make a thread", make_thread),
    TRY("execute a program", execute),
    TRY("execute a held program", execute_held),
    TRY("become root", become_root),
    TRY("change its groups", change_groups),
    TRY("take capabilities", take_capabilities),
    TRY_LIST("make a user namespace", new_user_namespace),
    TRY("make a mount namespace", new_mount_namespace),
    TRY("join a held namespace", join_namespace),
    TRY("join the namespaces of a held process", join_process),
    TRY("mount a file system", mount_something),
    TRY("open a file system", mount_by_descriptor),
    TRY("clone a held mount", bind_host_root),
    TRY("unmount a file system", unmount_something),
    TRY("name the host", name_host),
    TRY_LIST("become dumpable", be_dumpable),
    TRY_LIST("let itself be traced", trace_by_anybody),
    TRY_LIST("add a filter that allows all", loosen_filter),
    TRY_LIST("catch the signal of its end", catch_the_kill),
    TRY_LIST("change its personality", change_personality),
    TRY_LIST("make a system call of another ABI", other_abi),
    TRY("make a BPF map", load_bpf),
    TRY_LIST("count events (perf)", perf_events),
    TRY_LIST("handle page faults (userfaultfd)", user_faults),
    TRY_LIST("read a keyring", keys),
    TRY_LIST("add a key", add_key),
    TRY("load a kernel module", load_module),
    TRY("load another kernel", load_kernel),
    TRY_LIST("make an io_uring", make_ring),
    TRY_LIST("register with an io_uring", registered_ring),
    TRY_RING("open a file through a disk's ring", open_by_ring),
    TRY_RING("make a socket through a disk's ring", socket_by_ring),
    TRY("read the kernel's log", kernel_log),
    TRY("adjust the clock", set_clock),
    TRY("get I/O ports", ports),
    TRY("account processes to a file", process_accounting),
    TRY_LIST("ask for quotas", quota),
    TRY_LIST("look at its LDT", local_descriptors),
    TRY("type into the terminal", type_into_terminal),
    TRY_LIST("resize the terminal", change_terminal),
    TRY_LIST("map executable memory", code_of_its_own),
    TRY_LIST("make memory executable", memory_to_code),
    TRY_LIST("make memory executable, with a key", memory_to_keyed_code),
    TRY_LIST("map a held file as code", file_to_code),
    TRY("take 512 MiB of memory", much_memory),
    TRY_LIST("make shared memory", shared_memory),
    TRY_LIST("lock memory", locked_memory),
    TRY_LIST("create a virtual machine on a held /dev/kvm", kvm_new_machine),
    TRY_VM("create a vCPU", kvm_new_vcpu, NULL),
    TRY_VM("create a device of KVM's", kvm_new_device, NULL),
    TRY_VM("change the guest's memory slots", kvm_set_region, " vcpu "),
    TRY_VM("run a vCPU", kvm_run, " vcpu "),
    TRY_VM("run a vCPU by a number with more bits", kvm_run_disguised, NULL),
    TRY_EMULATED("set a vCPU's registers", kvm_set_registers),
    TRY_EMULATED("read a vCPU's system registers", kvm_get_state),
    TRY_VM("enable a capability of KVM's", kvm_enable, NULL),
    TRY_VM("read the log of dirty memory", kvm_dirty_log, NULL),
};
const size_t attack_count = sizeof attacks / sizeof *attacks;

bool prepare_vm(struct scene *scene)
{
    scene->vm = scene->kvm < 0 ? -1 : ioctl(scene->kvm, KVM_CREATE_VM, 0);
    scene->vcpu = scene->vm < 0 ? -1 : ioctl(scene->vm, KVM_CREATE_VCPU, 0);
    int size = scene->vcpu < 0 ? -1 : ioctl(scene->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_run *run =
        size < 0 ? MAP_FAILED : mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, scene->vcpu, 0);
    if (run == MAP_FAILED)
        return false;
    run->immediate_exit = 1;
    return true;
}

/* Both rings are of one size, so that what liburing knows of the one's layout is true of the other. */
bool prepare_ring(struct scene *scene, bool of_a_disk)
{
    static struct io_uring plain, disk;
    struct io_uring_params layout = {0};
    struct block_io *io;
    struct cofre_err err;
    scene->ring = of_a_disk ? &disk : &plain;
    if (io_uring_queue_init_params(8, &plain, &layout) < 0)
        return false;
    return !of_a_disk || (block_io_new(&io, scene->read_only, 8, &err) == 0 && block_io_fd(io) >= 0 &&
                          io_uring_queue_mmap(block_io_fd(io), &layout, &disk) == 0);
}
