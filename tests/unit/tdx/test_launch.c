/* The launch sequence against a KVM that only records and answers as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/launch/error.h"
#include "tdx/launch/launch.h"
#include "tdx/mrtd.h"
#include "vmm/devices/memory.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/shim/abi.h"

enum { KVM_FD = 100, VM_FD, VCPU_FD };

#define X2APIC    (1u << 21)
#define CALLS_MAX 256

/* What came, in order: commands as they are, other calls by these. */
enum { SET_CPUID = 100, EXIT_HYPERCALL, BUS_CYCLES };

static struct {
    uint32_t calls[CALLS_MAX];
    size_t count;
    uint32_t fail_command; /* this command fails ... */
    int fail_errno;        /* ... so */
    uint64_t fail_hw_error;
    unsigned fail_times; /* and so often */
    uint64_t at_most;    /* pages that one INIT_MEM_REGION takes before it says EINTR; 0: all */
    bool stuck;          /* says 0 and does nothing */
    int max_vcpus;
    uint64_t attributes, xfam; /* what KVM supports */
    uint64_t init_attributes, init_xfam, init_rcx;
    uint8_t mrconfigid[48], mrowner[48], mrownerconfig[48];
    bool topology; /* the module lets leaf 0x1F be configured too */
    struct kvm_cpuid_entry2 configured[16];
    uint32_t configured_count;
    struct kvm_cpuid_entry2 vcpu_leaf_1;
    struct {
        uint64_t gpa, pages;
        uint32_t flags;
        uint8_t first_byte;
    } region[CALLS_MAX];
    size_t regions;
    struct kvm_msi msi;
    unsigned msis;
} fake;

static void called(uint32_t what)
{
    assert_true(fake.count < CALLS_MAX);
    fake.calls[fake.count++] = what;
}

static bool fails(struct uapi_tdx_cmd *cmd)
{
    if (fake.fail_command != cmd->id || fake.fail_times == 0)
        return false;
    fake.fail_times--;
    cmd->hw_error = fake.fail_hw_error;
    errno = fake.fail_errno;
    return true;
}

/* CPUID leaves 1 (only AVX), 7.0 and 0x80000008 can be configured, of later modules 0x1F.0 to 0x1F.5. */
static int capabilities(struct uapi_tdx_capabilities *caps)
{
    assert_true(caps->cpuid.nent >= 9);
    caps->supported_attrs = fake.attributes;
    caps->supported_xfam = fake.xfam;
    caps->user_tdvmcallinfo_1_r11 = 2;
    caps->cpuid.nent = 3;
    caps->cpuid.entries[0] = (struct kvm_cpuid_entry2){.function = 1, .ecx = 1u << 28};
    caps->cpuid.entries[1] = (struct kvm_cpuid_entry2){.function = 7, .ebx = 0xff};
    caps->cpuid.entries[2] = (struct kvm_cpuid_entry2){.function = 0x80000008, .eax = 0xff0000};
    for (uint32_t i = 0; fake.topology && i < 6; i++)
        caps->cpuid.entries[caps->cpuid.nent++] = (struct kvm_cpuid_entry2){
            .function = 0x1f, .index = i, .eax = 0x1f, .ebx = 0xffff, .ecx = 0xffff};
    return 0;
}

static int init_vm(const struct uapi_tdx_init_vm *init)
{
    fake.init_attributes = init->attributes;
    fake.init_xfam = init->xfam;
    memcpy(fake.mrconfigid, init->mrconfigid, 48);
    memcpy(fake.mrowner, init->mrowner, 48);
    memcpy(fake.mrownerconfig, init->mrownerconfig, 48);
    fake.configured_count = init->cpuid.nent;
    assert_true(init->cpuid.nent <= 16);
    memcpy(fake.configured, init->cpuid.entries, init->cpuid.nent * sizeof fake.configured[0]);
    return 0;
}

static int init_mem_region(struct uapi_tdx_cmd *cmd)
{
    struct uapi_tdx_init_mem_region *r = (void *)(uintptr_t)cmd->data;
    assert_int_equal(r->source_addr % 4096, 0);
    if (fake.stuck)
        return 0;
    uint64_t done = fake.at_most && fake.at_most < r->nr_pages ? fake.at_most : r->nr_pages;
    fake.region[fake.regions].gpa = r->gpa;
    fake.region[fake.regions].pages = done;
    fake.region[fake.regions].flags = cmd->flags;
    fake.region[fake.regions++].first_byte = *(const uint8_t *)(uintptr_t)r->source_addr;
    r->source_addr += done * 4096;
    r->gpa += done * 4096;
    r->nr_pages -= done;
    errno = EINTR;
    return r->nr_pages ? -1 : 0;
}

static int get_cpuid(struct kvm_cpuid2 *table)
{
    table->nent = 1;
    table->entries[0] = (struct kvm_cpuid_entry2){.function = 1, .eax = 0x806f8, .ebx = 0x800, .ecx = X2APIC};
    return 0;
}

static int fake_command(struct uapi_tdx_cmd *cmd)
{
    called(cmd->id);
    assert_int_equal(cmd->hw_error, 0);
    if (fails(cmd))
        return -1;
    void *data = (void *)(uintptr_t)cmd->data;
    switch (cmd->id) {
    case UAPI_TDX_CAPABILITIES:
        return capabilities(data);
    case UAPI_TDX_INIT_VM:
        return init_vm(data);
    case UAPI_TDX_INIT_MEM_REGION:
        return init_mem_region(cmd);
    case UAPI_TDX_GET_CPUID:
        return get_cpuid(data);
    case UAPI_TDX_INIT_VCPU:
        fake.init_rcx = cmd->data;
        return 0;
    default:
        return 0;
    }
}

static int fake_enable_cap(const struct kvm_enable_cap *cap)
{
    if (cap->cap == KVM_CAP_EXIT_HYPERCALL && cap->args[0] == 1u << KVM_HC_MAP_GPA_RANGE)
        called(EXIT_HYPERCALL);
    if (cap->cap == KVM_CAP_X86_APIC_BUS_CYCLES_NS && cap->args[0] == 40)
        called(BUS_CYCLES);
    return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    switch (request) {
    case KVM_MEMORY_ENCRYPT_OP:
        return fake_command(argument);
    case KVM_ENABLE_CAP:
        return fake_enable_cap(argument);
    case KVM_CHECK_EXTENSION:
        return (uintptr_t)argument == KVM_CAP_MAX_VCPUS ? fake.max_vcpus : 1;
    case KVM_SET_CPUID2:
        called(SET_CPUID);
        fake.vcpu_leaf_1 = ((const struct kvm_cpuid2 *)argument)->entries[0];
        return 0;
    case KVM_SIGNAL_MSI:
        fake.msi = *(const struct kvm_msi *)argument;
        fake.msis++;
        return 1;
    default:
        return 0;
    }
}

static int no_quote_service(const char *address)
{
    (void)address;
    errno = ECONNREFUSED;
    return -1;
}

static const struct kvm_backend fake_backend = {
    .name = "fake", .ioctl = fake_ioctl, .quote_service = no_quote_service};

/* Two measured pages, one that is not, a page of zeros. */
static uint8_t pages[3 * TDX_PAGE_SIZE] __attribute__((aligned(TDX_PAGE_SIZE)));
static struct launch_image image = {
    .range = {{LAUNCH_MEASURED, 0x100000, 2 * TDX_PAGE_SIZE, pages},
              {LAUNCH_UNMEASURED, 0x108000, TDX_PAGE_SIZE, pages + 2 * TDX_PAGE_SIZE},
              {LAUNCH_ZERO, 0x10c000, TDX_PAGE_SIZE, NULL}},
    .count = 3,
    .event = {{0, "layout", {1}}, {2, "command line", {2}}, {2, "initrd", {3}}},
    .events = 3,
    .cpus = 2,
};

struct launch {
    struct kvm kvm;
    struct kvm_vm vm;
    struct kvm_vcpu vcpu[2];
    struct kvm_run run;
    struct tee *tee;
    struct tee_measurement predicted, given;
    struct cofre_err err;
};

static int begin(void **state)
{
    struct launch *l = calloc(1, sizeof *l);
    memset(&fake, 0, sizeof fake);
    fake.max_vcpus = 2;
    fake.attributes = TDX_ATTR_SEPT_VE_DISABLE | TDX_ATTR_PERFMON;
    fake.xfam = 0x602e7;
    memset(pages, 0x5a, sizeof pages);
    l->kvm = (struct kvm){.backend = &fake_backend, .fd = KVM_FD};
    l->vm = (struct kvm_vm){.kvm = &l->kvm, .fd = VM_FD};
    for (unsigned i = 0; i < 2; i++)
        l->vcpu[i] = (struct kvm_vcpu){.vm = &l->vm, .fd = VCPU_FD, .id = i, .run = &l->run};
    assert_int_equal(tdx_tee_ops.new(&l->tee, &l->err), 0);
    *state = l;
    return 0;
}

static int end(void **state)
{
    struct launch *l = *state;
    tdx_tee_ops.free(l->tee);
    free(l);
    return 0;
}

/* The machine's table: APIC id 1 in leaf 1; x2APIC, AVX and more; leaf 7; address sizes. */
struct table {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[KVM_CPUID_MAX];
};
static struct table machine_table(void)
{
    return (struct table){
        .head.nent = 3,
        .entries = {{.function = 1, .ebx = 0x01020000, .ecx = X2APIC | 3u << 27},
                    {.function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = 0xfff0},
                    {.function = 0x80000008, .eax = 0x3034}}};
}

static int init(struct launch *l)
{
    struct table table = machine_table();
    int rc = tdx_tee_ops.vm_init(l->tee, &l->kvm, &l->vm, &table.head, 2, &l->err);
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        table = machine_table();
        rc = tdx_tee_ops.vcpu_init(l->tee, &l->vcpu[i], i, &table.head, &image, &l->err);
    }
    return rc;
}

static int launch(struct launch *l)
{
    int rc = tdx_tee_ops.measure(l->tee, &image, &l->predicted, &l->err);
    if (rc == 0)
        rc = init(l);
    if (rc == 0)
        rc = tdx_tee_ops.load(l->tee, &image, &l->err);
    return rc < 0 ? rc : tdx_tee_ops.finish(l->tee, &l->given, &l->err);
}

static void calls_come_in_the_kernels_order(void **state)
{
    struct launch *l = *state;
    assert_int_equal(launch(l), 0);
    const uint32_t expected[] = {EXIT_HYPERCALL,
                                 BUS_CYCLES,
                                 UAPI_TDX_CAPABILITIES,
                                 UAPI_TDX_INIT_VM,
                                 UAPI_TDX_GET_CPUID,
                                 SET_CPUID,
                                 UAPI_TDX_INIT_VCPU,
                                 UAPI_TDX_GET_CPUID,
                                 SET_CPUID,
                                 UAPI_TDX_INIT_VCPU,
                                 UAPI_TDX_INIT_MEM_REGION,
                                 UAPI_TDX_INIT_MEM_REGION,
                                 UAPI_TDX_INIT_MEM_REGION,
                                 UAPI_TDX_FINALIZE_VM};
    assert_int_equal(fake.count, sizeof expected / sizeof *expected);
    assert_memory_equal(fake.calls, expected, sizeof expected);
    assert_int_equal(fake.init_rcx, 0);
}

static void pages_are_measured_or_not_as_the_image_says(void **state)
{
    struct launch *l = *state;
    assert_int_equal(launch(l), 0);
    assert_int_equal(fake.regions, 3);
    assert_int_equal(fake.region[0].gpa, 0x100000);
    assert_int_equal(fake.region[0].pages, 2);
    assert_int_equal(fake.region[0].flags, UAPI_TDX_MEASURE_MEMORY_REGION);
    assert_int_equal(fake.region[1].flags, 0);
    assert_int_equal(fake.region[1].first_byte, 0x5a);
    assert_int_equal(fake.region[2].flags, UAPI_TDX_MEASURE_MEMORY_REGION);
    assert_int_equal(fake.region[2].first_byte, 0);
}

/* The same by the blocks themselves, without the code that walks ranges. */
static void the_prediction_is_what_the_given_pages_make(void **state)
{
    struct launch *l = *state;
    static const uint8_t zeros[TDX_EXTEND_CHUNK];
    struct tdx_mrtd *mrtd;
    uint8_t value[48];
    assert_int_equal(launch(l), 0);
    assert_int_equal(tdx_mrtd_new(&mrtd, &l->err), 0);
    const struct {
        uint64_t gpa;
        const uint8_t *chunk;
    } page[] = {{0x100000, pages}, {0x101000, pages}, {0x108000, NULL}, {0x10c000, zeros}};
    for (size_t p = 0; p < 4; p++) {
        tdx_mrtd_page_add(mrtd, page[p].gpa, NULL);
        for (unsigned i = 0; page[p].chunk && i < TDX_PAGE_SIZE; i += TDX_EXTEND_CHUNK)
            tdx_mrtd_extend(mrtd, page[p].gpa + i, page[p].chunk, NULL);
    }
    assert_int_equal(tdx_mrtd_value(mrtd, value, &l->err), 0);
    tdx_mrtd_free(mrtd);
    assert_memory_equal(l->predicted.value, value, 48);
    assert_memory_equal(l->given.value, value, 48);
    assert_string_equal(l->given.name, "MRTD");
}

static void registers_are_predicted_from_what_the_boot_software_measures(void **state)
{
    struct launch *l = *state;
    struct tee_measurement rtmr[TEE_REGISTERS_MAX];
    uint8_t expected[48] = {0}, none[48] = {0};
    assert_int_equal(tdx_tee_ops.registers(l->tee, &image, rtmr, &l->err), 4);
    assert_string_equal(rtmr[2].name, "RTMR2");
    tdx_rtmr_extend(expected, image.event[1].digest);
    tdx_rtmr_extend(expected, image.event[2].digest);
    assert_memory_equal(rtmr[2].value, expected, 48);
    assert_memory_equal(rtmr[1].value, none, 48);
    assert_memory_not_equal(rtmr[0].value, none, 48);
}

static void a_register_that_is_not_as_expected_starts_nothing(void **state)
{
    struct launch *l = *state;
    struct tee_measurement rtmr[TEE_REGISTERS_MAX];
    char option[2 + 96 + 1] = "1:";
    memset(option + 2, '0', 96);
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "expect-rtmr", option, &l->err), 0);
    assert_int_equal(tdx_tee_ops.registers(l->tee, &image, rtmr, &l->err), 4);
    option[0] = '2';
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "expect-rtmr", option, &l->err), 0);
    assert_int_equal(tdx_tee_ops.registers(l->tee, &image, rtmr, &l->err), -COFRE_NEGATIVE);
    assert_non_null(strstr(l->err.text, "RTMR2"));
}

static void only_configurable_cpuid_bits_are_asked_for(void **state)
{
    struct launch *l = *state;
    assert_int_equal(launch(l), 0);
    assert_int_equal(fake.configured_count, 3);
    assert_int_equal(fake.configured[0].ecx, 1u << 28);
    assert_int_equal(fake.configured[1].ebx, 0xf0);
    assert_int_equal(fake.configured[1].flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
    assert_int_equal(fake.configured[2].eax, 48u << 16);
    /* KVM gets the module's values, and the machine's APIC id */
    assert_int_equal(fake.vcpu_leaf_1.eax, 0x806f8);
    assert_int_equal(fake.vcpu_leaf_1.ebx, 0x01020800);
}

/* Else guests would see the host's threads and cores, by vCPUs' APIC ids. */
static void the_module_is_told_the_machines_topology(void **state)
{
    struct launch *l = *state;
    struct table table = machine_table();
    const struct kvm_cpuid_entry2 levels[] = {
        {.function = 0xb, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = 1, .ecx = 0x100, .edx = 7},
        {.function = 0xb,
         .index = 1,
         .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
         .eax = 1,
         .ebx = 2,
         .ecx = 0x201},
        {.function = 0xb, .index = 2, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ecx = 2}};
    memcpy(table.entries + table.head.nent, levels, sizeof levels);
    table.head.nent += 3;
    fake.topology = true;
    assert_int_equal(tdx_tee_ops.vm_init(l->tee, &l->kvm, &l->vm, &table.head, 2, &l->err), 0);
    assert_int_equal(fake.configured_count, 6);
    for (uint32_t i = 0; i < 3; i++) {
        const struct kvm_cpuid_entry2 *e = &fake.configured[3 + i];
        assert_int_equal(e->function, 0x1f);
        assert_int_equal(e->index, i);
        assert_int_equal(e->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
        assert_int_equal(e->eax, levels[i].eax);
        assert_int_equal(e->ebx, levels[i].ebx);
        assert_int_equal(e->ecx, levels[i].ecx);
        assert_int_equal(e->edx, 0); /* the vCPU's own APIC id is the module's to tell */
    }
}

static void a_machine_without_x2apic_cannot_run_a_td(void **state)
{
    struct launch *l = *state;
    struct table table = machine_table();
    table.entries[0].ecx &= ~X2APIC;
    assert_int_equal(tdx_tee_ops.vm_init(l->tee, &l->kvm, &l->vm, &table.head, 2, &l->err), -COFRE_LACKING);
    assert_non_null(strstr(l->err.text, "x2APIC"));
}

static void more_vcpus_than_the_host_gives_are_refused(void **state)
{
    struct launch *l = *state;
    fake.max_vcpus = 1;
    assert_int_equal(launch(l), -COFRE_LACKING);
    assert_non_null(strstr(l->err.text, "--cpus 2"));
    assert_int_equal(fake.count, 0);
}

static void a_page_call_that_a_signal_ended_is_continued(void **state)
{
    struct launch *l = *state;
    fake.at_most = 1;
    assert_int_equal(launch(l), 0);
    assert_int_equal(fake.regions, 4);
    assert_int_equal(fake.region[1].gpa, 0x101000);
}

static void a_page_call_without_progress_fails_instead_of_looping(void **state)
{
    struct launch *l = *state;
    fake.stuck = true;
    assert_int_equal(launch(l), -COFRE_FAILED);
    assert_non_null(strstr(l->err.text, "guest memory at 0x100000"));
}

static void init_vm_is_tried_again_while_there_are_no_random_numbers(void **state)
{
    struct launch *l = *state;
    fake.fail_command = UAPI_TDX_INIT_VM;
    fake.fail_errno = EAGAIN;
    fake.fail_times = 3;
    assert_int_equal(launch(l), 0);
    fake.fail_times = UINT32_MAX;
    assert_int_equal(init(l), -COFRE_FAILED);
}

static void failures_are_told_with_their_reason(void **state)
{
    struct launch *l = *state;
    static const struct {
        uint32_t command;
        int error;
        uint64_t hw_error;
        int rc;
        const char *says;
    } cases[] = {
        {UAPI_TDX_INIT_VM, ENOSPC, 0, -COFRE_LACKING, "KeyID"},
        {UAPI_TDX_INIT_VM, EINVAL, 0xc000010000000005, -COFRE_FAILED, "0xc000010000000005"},
        {UAPI_TDX_INIT_VCPU, EINVAL, 0, -COFRE_FAILED, "x2APIC"},
        {UAPI_TDX_INIT_MEM_REGION, EEXIST, 0, -COFRE_FAILED, "twice"},
        {UAPI_TDX_FINALIZE_VM, EIO, 0, -COFRE_FAILED, "KVM_TDX_FINALIZE_VM"},
        {UAPI_TDX_CAPABILITIES, ENOTTY, 0, -COFRE_LACKING, "switched off"},
        {UAPI_TDX_GET_CPUID, EIO, 0, -COFRE_FAILED, "KVM_TDX_GET_CPUID"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake.fail_command = cases[i].command;
        fake.fail_errno = cases[i].error;
        fake.fail_hw_error = cases[i].hw_error;
        fake.fail_times = 1;
        fake.count = fake.regions = 0;
        assert_int_equal(launch(l), cases[i].rc);
        assert_non_null(strstr(l->err.text, cases[i].says));
    }
}

static void memory_changed_after_the_prediction_ends_the_launch_before_finish(void **state)
{
    struct launch *l = *state;
    assert_int_equal(tdx_tee_ops.measure(l->tee, &image, &l->predicted, &l->err), 0);
    assert_int_equal(tdx_tee_ops.expect(l->tee, &l->predicted, &l->err), 0);
    pages[TDX_PAGE_SIZE] ^= 1;
    assert_int_equal(launch(l), -COFRE_NEGATIVE);
    assert_non_null(strstr(l->err.text, "no vCPU ran"));
    assert_int_not_equal(fake.calls[fake.count - 1], UAPI_TDX_FINALIZE_VM);
}

static void options_by_name_reach_the_module(void **state)
{
    struct launch *l = *state;
    char hex[97];
    memset(hex, 'a', 96);
    hex[96] = 0;
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "attributes", "sept-ve-disable,perfmon", &l->err), 0);
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "xfam", "avx,avx512", &l->err), 0);
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "mrconfigid", hex, &l->err), 0);
    hex[0] = 'b';
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "mrowner", hex, &l->err), 0);
    hex[0] = 'c';
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "mrownerconfig", hex, &l->err), 0);
    assert_int_equal(launch(l), 0);
    assert_int_equal(fake.init_attributes, TDX_ATTR_SEPT_VE_DISABLE | TDX_ATTR_PERFMON);
    assert_int_equal(fake.init_xfam, 0xe7);
    assert_int_equal(fake.mrconfigid[0], 0xaa);
    assert_int_equal(fake.mrowner[0], 0xba);
    assert_int_equal(fake.mrownerconfig[0], 0xca);
    assert_int_equal(fake.mrownerconfig[47], 0xaa);
}

static void the_defaults_are_what_linux_needs_and_the_host_has(void **state)
{
    struct launch *l = *state;
    assert_int_equal(launch(l), 0);
    assert_int_equal(fake.init_attributes, TDX_ATTR_SEPT_VE_DISABLE);
    assert_int_equal(fake.init_xfam, fake.xfam);
}

static void what_the_host_does_not_have_is_named(void **state)
{
    struct launch *l = *state;
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "attributes", "sept-ve-disable,debug", &l->err), 0);
    assert_int_equal(launch(l), -COFRE_LACKING);
    assert_non_null(strstr(l->err.text, "does not allow debug"));
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "attributes", "sept-ve-disable", &l->err), 0);
    assert_int_equal(tdx_tee_ops.set_option(l->tee, "xfam", "avx,apx", &l->err), 0);
    assert_int_equal(launch(l), -COFRE_LACKING);
    assert_non_null(strstr(l->err.text, "apx"));
}

static void options_that_cannot_be_are_refused_by_name(void **state)
{
    struct launch *l = *state;
    static const struct {
        const char *name, *value;
    } wrong[] = {
        {"mrowner", "aa"},       {"attributes", "fast"}, {"xfam", "avx,"},           {"expect-rtmr", "4:00"},
        {"expect-rtmr", "1:00"}, {"expect-rtmr", ""},    {"quote-service", "tcp:1"}, {"policy", "smt"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(tdx_tee_ops.set_option(l->tee, wrong[i].name, wrong[i].value, &l->err),
                         -COFRE_USAGE);
        assert_non_null(strstr(l->err.text, wrong[i].name));
    }
}

static void an_image_for_another_tee_is_refused(void **state)
{
    struct launch *l = *state;
    const struct launch_image other = {.range = {{LAUNCH_CPUID, 0x109000, TDX_PAGE_SIZE, NULL}}, .count = 1};
    assert_int_equal(tdx_tee_ops.measure(l->tee, &other, &l->predicted, &l->err), -COFRE_FAILED);
    assert_non_null(strstr(l->err.text, "0x109000"));
}

static const struct guest_memory nothing;

static enum tee_exit_action guest_calls(struct launch *l, uint64_t nr, unsigned vcpu)
{
    int code;
    l->run.exit_reason = KVM_EXIT_TDX;
    uapi_exit_tdx(&l->run)->nr = nr;
    uapi_exit_tdx(&l->run)->unknown.ret = TDVMCALL_SUBFUNC_UNSUPPORTED;
    return tdx_tee_ops.exit(l->tee, &nothing, &l->vcpu[vcpu], &code, &l->err);
}

static void the_guest_learns_which_calls_there_are(void **state)
{
    struct launch *l = *state;
    assert_int_equal(launch(l), 0);
    assert_int_equal(guest_calls(l, TDVMCALL_GET_TD_VM_CALL_INFO, 0), TEE_EXIT_CONTINUE);
    assert_int_equal(uapi_exit_tdx(&l->run)->get_tdvmcall_info.ret, TDVMCALL_SUCCESS);
    assert_int_equal(uapi_exit_tdx(&l->run)->get_tdvmcall_info.r11, TDVMCALL_INFO_EVENT_NOTIFY);
    assert_int_equal(guest_calls(l, 0x77777, 0), TEE_EXIT_UNKNOWN);
    assert_true(uapi_exit_tdx(&l->run)->unknown.ret == TDVMCALL_SUBFUNC_UNSUPPORTED);
}

static void a_quote_buffer_that_is_no_memory_is_refused(void **state)
{
    struct launch *l = *state;
    assert_int_equal(launch(l), 0);
    assert_int_equal(tdx_tee_ops.start(l->tee, &nothing, &l->err), 0);
    uapi_exit_tdx(&l->run)->get_quote.gpa = 0x1000;
    uapi_exit_tdx(&l->run)->get_quote.size = 0x1000;
    assert_int_equal(guest_calls(l, TDVMCALL_GET_QUOTE, 0), TEE_EXIT_CONTINUE);
    assert_true(uapi_exit_tdx(&l->run)->get_quote.ret == TDVMCALL_INVALID_OPERAND);
}

static uint64_t registers[16];

static enum tee_exit_action guest_dies(struct launch *l, int *code)
{
    l->run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
    l->run.system_event.type = KVM_SYSTEM_EVENT_TDX_FATAL;
    l->run.system_event.ndata = 16;
    memcpy(l->run.system_event.data, registers, sizeof registers);
    return tdx_tee_ops.exit(l->tee, &nothing, &l->vcpu[0], code, &l->err);
}

static void a_guests_last_words_are_shown_and_made_harmless(void **state)
{
    struct launch *l = *state;
    int code = 0;
    memset(registers, 0, sizeof registers);
    memcpy(&registers[14], "TD misco", 8);
    memcpy(&registers[15], "nfigurat", 8);
    memcpy(&registers[3], "ion\x1b[2J", 8);
    assert_int_equal(guest_dies(l, &code), TEE_EXIT_STOP);
    assert_int_equal(code, -COFRE_FAILED);
    assert_non_null(strstr(l->err.text, "TD misconfiguration?[2J"));
    memset(registers, 'x', sizeof registers); /* all 64 bytes of text, and no end */
    registers[12] = 0;
    assert_int_equal(guest_dies(l, &code), TEE_EXIT_STOP);
    assert_int_equal(strlen(strchr(l->err.text, ')') + 3), 64);
}

static void the_shims_refusal_is_a_negative_outcome(void **state)
{
    struct launch *l = *state;
    int code = 0;
    memset(registers, 0, sizeof registers);
    registers[12] = SHIM_TERM_TDX(SHIM_TERM_KERNEL_HASH);
    assert_int_equal(guest_dies(l, &code), TEE_EXIT_STOP);
    assert_int_equal(code, -COFRE_NEGATIVE);
    assert_non_null(strstr(l->err.text, "kernel"));
    uint64_t few[2] = {0};
    assert_int_equal(tdx_guest_fatal(&l->err, few, 2), -COFRE_FAILED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(calls_come_in_the_kernels_order),
        TEST(pages_are_measured_or_not_as_the_image_says),
        TEST(the_prediction_is_what_the_given_pages_make),
        TEST(registers_are_predicted_from_what_the_boot_software_measures),
        TEST(a_register_that_is_not_as_expected_starts_nothing),
        TEST(only_configurable_cpuid_bits_are_asked_for),
        TEST(the_module_is_told_the_machines_topology),
        TEST(a_machine_without_x2apic_cannot_run_a_td),
        TEST(more_vcpus_than_the_host_gives_are_refused),
        TEST(a_page_call_that_a_signal_ended_is_continued),
        TEST(a_page_call_without_progress_fails_instead_of_looping),
        TEST(init_vm_is_tried_again_while_there_are_no_random_numbers),
        TEST(failures_are_told_with_their_reason),
        TEST(memory_changed_after_the_prediction_ends_the_launch_before_finish),
        TEST(options_by_name_reach_the_module),
        TEST(the_defaults_are_what_linux_needs_and_the_host_has),
        TEST(what_the_host_does_not_have_is_named),
        TEST(options_that_cannot_be_are_refused_by_name),
        TEST(an_image_for_another_tee_is_refused),
        TEST(the_guest_learns_which_calls_there_are),
        TEST(a_quote_buffer_that_is_no_memory_is_refused),
        TEST(a_guests_last_words_are_shown_and_made_harmless),
        TEST(the_shims_refusal_is_a_negative_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
