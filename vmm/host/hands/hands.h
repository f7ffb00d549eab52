/*
 * What the decider asks of hands, the one privileged part of cofred, and what hands says. Hands makes and removes what a
 * guest needs of the host; it decides nothing, opens nothing by a name that came in a message, and takes every message as
 * hostile.
 *
 * One message is one record of a SOCK_SEQPACKET pair: a struct of this header, whole, in the host's byte order, for both
 * ends are of one version; descriptors come beside it (SCM_RIGHTS). An answer has its request's serial number.
 * What is not used in a message is zero, and refused where it is not.
 *
 * A guest is a number, of one run: the decider draws a new one for each start, and never one again. What hands has of it,
 * from HANDS_START to HANDS_REMOVE, outlives cofred: a process of a user of its own, a control group, taps, a directory.
 */
#ifndef COFRE_HOST_HANDS_HANDS_H
#define COFRE_HOST_HANDS_HANDS_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define HANDS_VERSION 4

/* Bounds of messages; a host's own are in its configuration, and lower. */
#define HANDS_GUESTS_MAX      2048
#define HANDS_DISKS_MAX       16
#define HANDS_NETWORKS_MAX    8
#define HANDS_BRIDGES_MAX     16
#define HANDS_CPUS_MAX        1024 /* of a host */
#define HANDS_NODES_MAX       64   /* of a host */
#define HANDS_MISC_MAX        8    /* kinds of scarce things: "sev_es", "tdx" */
#define HANDS_CMDLINE_MAX     2048 /* bytes, with the end's zero */
#define HANDS_SERIAL_SIZE     20   /* of a disk */
#define HANDS_TENANT_SIZE     64   /* of a tenant's name, with the end's zero */
#define HANDS_DESCRIPTORS_MAX (5 + HANDS_DISKS_MAX)
#define HANDS_SENTENCE_SIZE   508

enum hands_what {
    /* Requests, and their answers */
    HANDS_START =
        1, /* struct hands_start, descriptors -> nothing; the process is there, and a news tells of its launch */
    HANDS_LIMIT,  /* struct hands_limits -> nothing */
    HANDS_FREEZE, /* -> nothing, when none of its processes runs any more */
    HANDS_THAW,   /* -> nothing */
    HANDS_TERMINATE, /* -> nothing: SIGTERM, by which cofre-vmm asks the guest to power off, and the second time cuts its power */
    HANDS_KILL,       /* -> nothing: all of its processes, at once; a news tells of the end */
    HANDS_STATISTICS, /* -> struct hands_statistics */
    HANDS_OPEN,       /* struct hands_open -> one descriptor */
    HANDS_LIST,       /* guest 0 -> struct hands_list, cut behind its last entry */
    HANDS_REMOVE,     /* -> nothing, when nothing of the guest is left; what runs of it is killed first */
    HANDS_HOST,       /* guest 0 -> struct hands_host */
    /* News, which nobody asked for: serial 0 */
    HANDS_LAUNCHED = 64, /* a launch of the guest is final, its file HANDS_FILE_LAUNCHES has one line more */
    HANDS_ENDED,         /* struct hands_ended: its process has ended */
};

struct hands_header {
    uint32_t version; /* HANDS_VERSION */
    uint32_t what;    /* of enum hands_what; an answer has its request's */
    uint32_t serial;  /* drawn by who asks; not 0 */
    uint32_t guest;   /* not 0, where the request is about one */
};

/* 0 in any of these: no limit. All but the disks' and the network's apply to the guest's process and all that it starts. A limit that this
 * host cannot keep is refused with the name of what it lacks, never left out. */
struct hands_limits {
    uint32_t cpu_weight;                /* 1 to 10000; 0: 100, as every group has it */
    uint32_t cpu_quota;                 /* thousandths of a CPU */
    uint64_t cpus[HANDS_CPUS_MAX / 64]; /* bit N: CPU N; none: all of cofred's */
    uint32_t node;                      /* NUMA node N as N + 1 */
    uint32_t processes;                 /* and threads */
    uint64_t memory;                    /* bytes: the guest's, the VMM's, and their page cache */
    uint64_t read_bytes, write_bytes;   /* a second, of all of its disks */
    uint64_t read_operations, write_operations;
    uint64_t disk_burst; /* milliseconds' worth of each of the four that it may save up, and use at once */
    uint64_t network_in, network_out; /* bytes a second, of each of its networks, as the guest sees it */
};

enum hands_tee { HANDS_TEE_NONE, HANDS_TEE_SNP, HANDS_TEE_TDX };

/* Of the guest's RAM. Those of the host's pool are a plain guest's only, and its group may have as many as its RAM takes. */
enum hands_pages { HANDS_PAGES_USUAL, HANDS_PAGES_2M, HANDS_PAGES_1G };
uint64_t hands_page_size(uint32_t pages); /* bytes; 0: as the host gives them */

/* What struct hands_start has; the first five are descriptors, which come in this order, HANDS_KERNEL always. */
enum hands_given {
    HANDS_KERNEL = 1 << 0,
    HANDS_INITRD = 1 << 1,
    HANDS_ID_BLOCK = 1 << 2, /* with HANDS_ID_AUTH */
    HANDS_ID_AUTH = 1 << 3,
    HANDS_CERTIFICATES = 1 << 4,
    HANDS_POLICY = 1 << 5, /* SNP guests, with the three above */
    HANDS_HOST_DATA = 1 << 6,
    HANDS_ATTRIBUTES = 1 << 7, /* TDX guests, from here on to the RTMRs */
    HANDS_MRCONFIGID = 1 << 8,
    HANDS_MROWNER = 1 << 9,
    HANDS_MROWNERCONFIG = 1 << 10,
    HANDS_RTMR0 = 1 << 11, /* and the next three: 1 to 3 */
    HANDS_EXPECT = 1 << 15,
};

struct hands_disk {
    uint32_t read_only; /* 1: its descriptor is open for reading only; 0: for reading and writing */
    char serial[HANDS_SERIAL_SIZE]; /* letters, digits, "-", "_", "."; filled up with zeros; all zero: none */
};

enum hands_network_kind { HANDS_PASST = 1, HANDS_TAP };

struct hands_network {
    uint32_t kind;
    uint32_t bridge; /* HANDS_TAP: index in the configuration's bridges */
    uint8_t mac[6];  /* all zero: one is drawn by cofre-vmm */
    uint8_t zero[2];
};

/* Descriptors: those of enum hands_given, then the disks' in their order, regular files or (disks) block devices. Whoever sends
 * them closes its own: an image stays locked as long as one of them is open. */
struct hands_start {
    uint32_t tee;       /* of enum hands_tee */
    uint32_t emulated;  /* 1: on a plain KVM */
    uint32_t cpus;      /* 1 to 255 */
    uint32_t vsock;     /* 1: it has one, for HANDS_FILE_VSOCK */
    uint32_t no_reboot; /* 1: it ends where it would restart */
    uint32_t given;     /* of enum hands_given */
    uint32_t pages;     /* of enum hands_pages */
    uint32_t locked;    /* 1: the start takes all of its RAM, and nothing of it is swapped */
    uint64_t memory;    /* bytes, of RAM */
    uint64_t policy, attributes;
    uint8_t host_data[32];
    uint8_t mrconfigid[48], mrowner[48], mrownerconfig[48];
    uint8_t expect[48], rtmr[4][48];
    uint32_t disks, networks;
    struct hands_disk disk[HANDS_DISKS_MAX];
    struct hands_network network[HANDS_NETWORKS_MAX];
    struct hands_limits limits;
    char cmdline[HANDS_CMDLINE_MAX]; /* printable ASCII and spaces; filled up with zeros */
    char tenant[HANDS_TENANT_SIZE];  /* small letters, digits, "-"; filled up with zeros */
};

/* What there is of a guest to be opened, while it runs and, the last two excepted, afterwards. */
enum hands_file {
    HANDS_FILE_CONSOLE = 1, /* what the guest wrote; to read */
    HANDS_FILE_RESULT,      /* `cofre run --json`, whole when it has ended by itself; to read */
    HANDS_FILE_LOG,         /* what cofre-vmm said; to read */
    HANDS_FILE_LAUNCHES,    /* one line of JSON for each final launch; to read */
    HANDS_FILE_INPUT,       /* of its console: a pipe to write to, non-blocking */
    HANDS_FILE_VSOCK,       /* a connection to its sockets' door, a stream: CONNECT PORT\n is next */
};

struct hands_open {
    uint32_t file;
};

enum hands_state { HANDS_IS_RUNNING = 1, HANDS_IS_FROZEN, HANDS_HAS_ENDED };

/* How its process ended. Where hands was not there to see it, status is -1, and the result file has to say. */
struct hands_ended {
    int32_t status;         /* exit code, or 128 and the signal */
    uint32_t out_of_memory; /* processes of it killed for its limit on memory */
};

struct hands_entry {
    uint32_t guest;
    uint32_t state;           /* of enum hands_state */
    uint32_t launches;        /* lines in HANDS_FILE_LAUNCHES */
    struct hands_ended ended; /* HANDS_HAS_ENDED */
};

struct hands_list {
    uint32_t count;
    struct hands_entry entry[HANDS_GUESTS_MAX];
};

/* What control groups may lack here, by the kernel or because it was not delegated to cofred. */
enum hands_controller {
    HANDS_CPU = 1 << 0,
    HANDS_CPUSET = 1 << 1,
    HANDS_MEMORY = 1 << 2,
    HANDS_IO = 1 << 3,
    HANDS_PIDS = 1 << 4,
    HANDS_MISC = 1 << 5,
    HANDS_HUGETLB = 1 << 6,
};

/* Since the guest's start. What a controller that is not there would have counted is 0. */
struct hands_statistics {
    uint32_t state, controllers;
    uint64_t cpu_us, cpu_user_us, cpu_system_us;
    uint64_t throttled, throttled_us; /* periods in which its quota was used up */
    uint64_t memory, memory_peak;     /* bytes */
    uint64_t out_of_memory;           /* processes killed for the limit */
    uint64_t processes;               /* and threads, now */
    uint64_t read_bytes, write_bytes, read_operations, write_operations;
    uint64_t network_in, network_out; /* bytes by taps, as the guest sees it */
    uint64_t network_in_packets, network_out_packets;
};

struct hands_node {
    uint32_t node, zero;
    uint64_t cpus[HANDS_CPUS_MAX / 64];
    uint64_t memory, memory_free; /* bytes */
};

struct hands_misc {
    char name[24]; /* as the kernel has it: "sev", "sev_es" (SNP's ASIDs are of these), "tdx" */
    uint64_t capacity, used;
};

/* The host: what there is, and what is left by everybody's use, guests' and others'. */
struct hands_host {
    uint32_t controllers; /* of enum hands_controller: that are here */
    uint32_t guests, guests_max;
    uint32_t bridges;
    uint64_t cpus[HANDS_CPUS_MAX / 64];                    /* that guests may run on */
    uint64_t memory, memory_available;                     /* bytes; MemAvailable */
    uint64_t huge_2m, huge_2m_free, huge_1g, huge_1g_free; /* pages */
    uint32_t nodes, miscs;
    struct hands_node node[HANDS_NODES_MAX];
    struct hands_misc misc[HANDS_MISC_MAX];
};

struct hands_request {
    struct hands_header header;
    union {
        struct hands_start start;
        struct hands_limits limits;
        struct hands_open open;
    };
};

/* Where code is not 0, the sentence says why, and nothing follows it. */
struct hands_answer {
    struct hands_header header;
    int32_t code; /* 0, or negative of enum cofre_error */
    char sentence[HANDS_SENTENCE_SIZE];
    union {
        struct hands_statistics statistics;
        struct hands_list list;
        struct hands_host host;
        struct hands_ended ended;
    };
};

#define HANDS_ANSWER_HEAD offsetof(struct hands_answer, statistics)

/* Bytes of a request of that kind; 0 where there is none. */
size_t hands_request_size(uint32_t what);
/* How many descriptors come with a request that has been checked. */
unsigned hands_request_descriptors(const struct hands_request *request);
/* All that can be told from the message itself. COFRE_MALFORMED for one that no decider sends; COFRE_USAGE for values that do not
 * go together, with a sentence for who asked. */
int hands_request_check(const struct hands_request *request, size_t size, struct cofre_err *err);
/* The same for what hands says. */
int hands_answer_check(const struct hands_answer *answer, size_t size, struct cofre_err *err);

#endif
