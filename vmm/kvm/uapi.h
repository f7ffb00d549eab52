/*
 * KVM's interface where Debian 12's linux/kvm.h (Linux 6.1) ends. Constants have the kernel's names, each
 * defined only where the header lacks it; structures have names of our own (uapi_*), so that a newer header
 * does not clash. Sources: Linux 6.12 include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h; 6.16 for TDX, 7.0
 * for certificate requests.
 */
#ifndef COFRE_KVM_UAPI_H
#define COFRE_KVM_UAPI_H

#include <assert.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stddef.h>
#include <stdint.h>

/* Types of virtual machine: the argument of KVM_CREATE_VM. */
#ifndef KVM_X86_DEFAULT_VM
#define KVM_X86_DEFAULT_VM 0
#endif
#ifndef KVM_X86_SNP_VM
#define KVM_X86_SNP_VM 4
#endif
#ifndef KVM_X86_TDX_VM
#define KVM_X86_TDX_VM 5
#endif

/* Capabilities. */
#ifndef KVM_CAP_USER_MEMORY2
#define KVM_CAP_USER_MEMORY2 231
#endif
#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232
#endif
#ifndef KVM_CAP_MEMORY_ATTRIBUTES
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#endif
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_CAP_GUEST_MEMFD 234
#endif
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES 235
#endif
#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS 237
#endif

/* Which flags KVM_CREATE_GUEST_MEMFD takes. */
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS
#define KVM_CAP_GUEST_MEMFD_FLAGS 244
#endif
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP (1ull << 0) /* processes may map what is shared of it */
#endif
#ifndef GUEST_MEMFD_FLAG_INIT_SHARED
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ull << 1) /* all of it is shared at first */
#endif

/* KVM_CREATE_GUEST_MEMFD: memory that only the guest maps. The descriptor keeps the virtual machine alive. */
struct uapi_create_guest_memfd {
    uint64_t size;
    uint64_t flags;
    uint64_t reserved[6];
};
static_assert(sizeof(struct uapi_create_guest_memfd) == 64, "create_guest_memfd");
#ifndef KVM_CREATE_GUEST_MEMFD
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct uapi_create_guest_memfd)
#endif
static_assert(_IOC_SIZE(KVM_CREATE_GUEST_MEMFD) == 64, "KVM_CREATE_GUEST_MEMFD");

/* KVM_SET_USER_MEMORY_REGION2: a slot with a shared side (userspace_addr) and, with KVM_MEM_GUEST_MEMFD, a
 * private one. */
struct uapi_memory_region2 {
    uint32_t slot;
    uint32_t flags;
    uint64_t guest_phys_addr;
    uint64_t memory_size; /* bytes; 0 removes the slot */
    uint64_t userspace_addr;
    uint64_t guest_memfd_offset;
    uint32_t guest_memfd;
    uint32_t pad1;
    uint64_t pad2[14];
};
static_assert(sizeof(struct uapi_memory_region2) == 160, "memory_region2");
static_assert(offsetof(struct uapi_memory_region2, guest_memfd) == 40, "memory_region2.guest_memfd");
#ifndef KVM_SET_USER_MEMORY_REGION2
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct uapi_memory_region2)
#endif
static_assert(_IOC_SIZE(KVM_SET_USER_MEMORY_REGION2) == 160, "KVM_SET_USER_MEMORY_REGION2");
#ifndef KVM_MEM_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD (1ul << 2)
#endif

/* KVM_SET_MEMORY_ATTRIBUTES: which side of a slot a page shows. */
struct uapi_memory_attributes {
    uint64_t address;
    uint64_t size;
    uint64_t attributes;
    uint64_t flags;
};
static_assert(sizeof(struct uapi_memory_attributes) == 32, "memory_attributes");
#ifndef KVM_SET_MEMORY_ATTRIBUTES
#define KVM_SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, struct uapi_memory_attributes)
#endif
static_assert(_IOC_SIZE(KVM_SET_MEMORY_ATTRIBUTES) == 32, "KVM_SET_MEMORY_ATTRIBUTES");
#ifndef KVM_MEMORY_ATTRIBUTE_PRIVATE
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ull << 3)
#endif

/* Exits. The union of struct kvm_run begins at byte 32. */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif
#ifndef KVM_EXIT_TDX
#define KVM_EXIT_TDX 40
#endif
#ifndef KVM_EXIT_SNP_REQ_CERTS
#define KVM_EXIT_SNP_REQ_CERTS 43
#endif
#ifndef KVM_MEMORY_EXIT_FLAG_PRIVATE
#define KVM_MEMORY_EXIT_FLAG_PRIVATE (1ull << 3)
#endif

/* KVM_EXIT_MEMORY_FAULT: KVM_RUN itself fails, with EFAULT or EHWPOISON. */
struct uapi_exit_memory_fault {
    uint64_t flags; /* KVM_MEMORY_EXIT_FLAG_PRIVATE: the access was private */
    uint64_t gpa;
    uint64_t size;
};
/* KVM_EXIT_SNP_REQ_CERTS: ret is 0, ENOSPC (npages says how many are needed), EAGAIN or EIO. */
struct uapi_exit_snp_req_certs {
    uint64_t gpa;
    uint64_t npages;
    uint64_t ret;
};
/* KVM_EXIT_TDX: a TDG.VP.VMCALL that user space answers; nr is its sub-function (enum tdx_vmcall of tdx/abi.h), ret its
 * status, TDVMCALL_SUBFUNC_UNSUPPORTED unless changed. */
struct uapi_exit_tdx {
    uint64_t flags;
    uint64_t nr;
    union {
        struct {
            uint64_t ret;
            uint64_t data[5];
        } unknown;
        struct {
            uint64_t ret;
            uint64_t gpa; /* without the shared bit */
            uint64_t size;
        } get_quote;
        struct {
            uint64_t ret;
            uint64_t leaf;
            uint64_t r11, r12, r13, r14;
        } get_tdvmcall_info;
        struct {
            uint64_t ret;
            uint64_t vector;
        } setup_event_notify;
    };
};
static_assert(offsetof(struct uapi_exit_tdx, nr) == 40 - 32, "exit_tdx.nr");
static_assert(offsetof(struct uapi_exit_tdx, get_quote.gpa) == 56 - 32, "exit_tdx.get_quote.gpa");
static_assert(offsetof(struct uapi_exit_tdx, get_tdvmcall_info.r11) == 64 - 32,
              "exit_tdx.get_tdvmcall_info.r11");

static_assert(offsetof(struct kvm_run, hypercall) == 32, "exit union");
static_assert(offsetof(struct kvm_run, hypercall.args) == 40, "hypercall.args");
static_assert(offsetof(struct kvm_run, hypercall.ret) == 88, "hypercall.ret");
static_assert(offsetof(struct kvm_run, system_event.data) == 40, "system_event.data");

static inline struct uapi_exit_memory_fault *uapi_exit_memory_fault(struct kvm_run *run)
{
    return (struct uapi_exit_memory_fault *)&run->hypercall;
}
static inline struct uapi_exit_snp_req_certs *uapi_exit_snp_req_certs(struct kvm_run *run)
{
    return (struct uapi_exit_snp_req_certs *)&run->hypercall;
}

static inline struct uapi_exit_tdx *uapi_exit_tdx(struct kvm_run *run)
{
    return (struct uapi_exit_tdx *)&run->hypercall;
}

/* KVM_EXIT_HYPERCALL with nr KVM_HC_MAP_GPA_RANGE (12): args are gpa, pages, attributes; ret 0, EINVAL or
 * EAGAIN. */
#ifndef KVM_HC_MAP_GPA_RANGE
#define KVM_HC_MAP_GPA_RANGE 12
#endif
#define UAPI_MAP_GPA_PRIVATE                                                                                 \
    0x10ull /* attributes: convert to private; bits 3:0 are the page size, a hint   \
                                      */

#ifndef KVM_SYSTEM_EVENT_SEV_TERM
#define KVM_SYSTEM_EVENT_SEV_TERM 6
#endif
#ifndef KVM_SYSTEM_EVENT_TDX_FATAL
#define KVM_SYSTEM_EVENT_TDX_FATAL 7
#endif

/* Device attributes of /dev/kvm (KVM_GET_DEVICE_ATTR). */
#define UAPI_X86_GRP_SEV           1
#define UAPI_X86_SEV_VMSA_FEATURES 0
#define UAPI_X86_SEV_POLICY_BITS   1 /* 6.19 */
#define UAPI_X86_SEV_REQ_CERTS     2 /* 7.0: certificate requests can be enabled */

/* KVM_MEMORY_ENCRYPT_OP of an SEV virtual machine. */
struct uapi_sev_cmd {
    uint32_t id;
    uint32_t pad0;
    uint64_t data;
    uint32_t error; /* the firmware's; early refusals leave it as it was */
    uint32_t sev_fd;
};
static_assert(sizeof(struct uapi_sev_cmd) == 24, "sev_cmd");
static_assert(offsetof(struct uapi_sev_cmd, data) == 8, "sev_cmd.data");

/* SEV_ISSUE_CMD on /dev/sev: linux/psp-sev.h of Linux 6.11. */
struct uapi_sev_issue_cmd {
    uint32_t command; /* enum uapi_sev_platform_command */
    uint64_t data;
    uint32_t error; /* the firmware's */
} __attribute__((packed));
static_assert(sizeof(struct uapi_sev_issue_cmd) == 16, "sev_issue_cmd");
#define UAPI_SEV_ISSUE_CMD _IOWR('S', 0, struct uapi_sev_issue_cmd)

enum uapi_sev_platform_command {
    UAPI_SEV_PLATFORM_STATUS = 1,
    UAPI_SNP_PLATFORM_STATUS = 9,
    UAPI_SEV_PLATFORM_COMMANDS = 13,
};

struct uapi_sev_status {
    uint8_t api_major, api_minor, state;
    uint32_t flags;
    uint8_t build;
    uint32_t guests;
} __attribute__((packed));
static_assert(sizeof(struct uapi_sev_status) == 12, "sev_user_data_status");

struct uapi_snp_status {
    uint8_t api_major, api_minor, state, rmp;
    uint32_t build, flags, guests;
    uint64_t current_tcb, reported_tcb;
} __attribute__((packed));
static_assert(sizeof(struct uapi_snp_status) == 32, "sev_user_data_snp_status");

enum uapi_sev_cmd_id {
    UAPI_SEV_INIT2 = 22,
    UAPI_SEV_SNP_LAUNCH_START = 100,
    UAPI_SEV_SNP_LAUNCH_UPDATE = 101,
    UAPI_SEV_SNP_LAUNCH_FINISH = 102,
    UAPI_SEV_SNP_ENABLE_REQ_CERTS = 103, /* 7.0 */
};

struct uapi_sev_init2 {
    uint64_t vmsa_features; /* without SNP_ACTIVE, which KVM adds */
    uint32_t flags;
    uint16_t ghcb_version; /* 0 means 2 */
    uint16_t pad1;
    uint32_t pad2[8];
};
static_assert(sizeof(struct uapi_sev_init2) == 48, "sev_init2");

struct uapi_snp_launch_start {
    uint64_t policy;
    uint8_t gosvw[16];
    uint16_t flags;
    uint8_t pad0[6];
    uint64_t pad1[4];
};
static_assert(sizeof(struct uapi_snp_launch_start) == 64, "snp_launch_start");

struct uapi_snp_launch_update {
    uint64_t gfn_start;
    uint64_t uaddr;
    uint64_t len; /* bytes; gfn_start, uaddr and len advance with what was done: repeat until len is 0 */
    uint8_t type; /* enum snp_page_type of sev/abi.h, without VMSA */
    uint8_t pad0;
    uint16_t flags;
    uint32_t pad1;
    uint64_t pad2[4];
};
static_assert(sizeof(struct uapi_snp_launch_update) == 64, "snp_launch_update");
static_assert(offsetof(struct uapi_snp_launch_update, type) == 24, "snp_launch_update.type");

struct uapi_snp_launch_finish {
    uint64_t id_block_uaddr; /* 96 bytes */
    uint64_t id_auth_uaddr;  /* 4096 bytes */
    uint8_t id_block_en;
    uint8_t auth_key_en; /* counts only with id_block_en */
    uint8_t vcek_disabled;
    uint8_t host_data[32];
    uint8_t pad0[3];
    uint16_t flags;
    uint64_t pad1[4];
};
static_assert(sizeof(struct uapi_snp_launch_finish) == 88, "snp_launch_finish");
static_assert(offsetof(struct uapi_snp_launch_finish, flags) == 54, "snp_launch_finish.flags");

/* KVM_MEMORY_ENCRYPT_OP of a TDX virtual machine, and of its vCPUs. */
struct uapi_tdx_cmd {
    uint32_t id;
    uint32_t flags;
    uint64_t data;
    uint64_t hw_error; /* the module's completion status; 0 on entry */
};
static_assert(sizeof(struct uapi_tdx_cmd) == 24, "tdx_cmd");
static_assert(offsetof(struct uapi_tdx_cmd, hw_error) == 16, "tdx_cmd.hw_error");

enum uapi_tdx_cmd_id {
    UAPI_TDX_CAPABILITIES = 0,    /* virtual machine */
    UAPI_TDX_INIT_VM = 1,         /* virtual machine */
    UAPI_TDX_INIT_VCPU = 2,       /* vCPU; data is the guest's initial RCX */
    UAPI_TDX_INIT_MEM_REGION = 3, /* vCPU */
    UAPI_TDX_FINALIZE_VM = 4,     /* virtual machine */
    UAPI_TDX_GET_CPUID = 5,       /* vCPU; data is a struct kvm_cpuid2 */
};

/* Both end in a struct kvm_cpuid2 (nent, padding, entries), whose room the caller gives in nent. */
struct uapi_tdx_capabilities {
    uint64_t supported_attrs;
    uint64_t supported_xfam;
    uint64_t kernel_tdvmcallinfo_1_r11, user_tdvmcallinfo_1_r11;
    uint64_t kernel_tdvmcallinfo_1_r12, user_tdvmcallinfo_1_r12;
    uint64_t reserved[250];
    struct kvm_cpuid2 cpuid; /* the bits that the VMM may configure */
};
static_assert(offsetof(struct uapi_tdx_capabilities, cpuid) == 2048, "tdx_capabilities.cpuid");
static_assert(sizeof(struct uapi_tdx_capabilities) == 2056, "tdx_capabilities");

struct uapi_tdx_init_vm {
    uint64_t attributes;
    uint64_t xfam;
    uint64_t mrconfigid[6];
    uint64_t mrowner[6];
    uint64_t mrownerconfig[6];
    uint64_t reserved[12];
    struct kvm_cpuid2 cpuid;
};
static_assert(offsetof(struct uapi_tdx_init_vm, mrowner) == 64, "tdx_init_vm.mrowner");
static_assert(offsetof(struct uapi_tdx_init_vm, cpuid) == 256, "tdx_init_vm.cpuid");
static_assert(sizeof(struct uapi_tdx_init_vm) == 264, "tdx_init_vm");

#define UAPI_TDX_MEASURE_MEMORY_REGION 1u /* flag of INIT_MEM_REGION: pages extend MRTD by their contents */
struct uapi_tdx_init_mem_region {
    uint64_t source_addr;
    uint64_t gpa;
    uint64_t nr_pages; /* all three advance with what was done, also before an error */
};
static_assert(sizeof(struct uapi_tdx_init_mem_region) == 24, "tdx_init_mem_region");

#endif
