/* A guest that an IGVM file describes, as the machine and the launch have it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sev/igvm.h"
#include "sev/launch/entry.h"
#include "sev/launch/igvm.h"
#include "sev/launch/launch.h"
#include "sev/policy.h"
#include "tests/unit/igvm/made_igvm.h"
#include "vmm/machine/firmware.h"
#include "vmm/machine/firmware_devices.h"

#define SNP    1u
#define POLICY 0x130000ull

static struct made_igvm made;
static struct boot_config config;
static struct launch_image launch;
static struct cofre_err err;
static struct tee *tee;
static struct snp_vmsa vmsa;
static size_t before_context;

static const size_t registers[] = {
    offsetof(struct snp_vmsa, rax), offsetof(struct snp_vmsa, rbx), offsetof(struct snp_vmsa, rcx),
    offsetof(struct snp_vmsa, rdx), offsetof(struct snp_vmsa, rsp), offsetof(struct snp_vmsa, rbp),
    offsetof(struct snp_vmsa, rsi), offsetof(struct snp_vmsa, rdi), offsetof(struct snp_vmsa, r8),
    offsetof(struct snp_vmsa, r9),  offsetof(struct snp_vmsa, r10), offsetof(struct snp_vmsa, r11),
    offsetof(struct snp_vmsa, r12), offsetof(struct snp_vmsa, r13), offsetof(struct snp_vmsa, r14),
    offsetof(struct snp_vmsa, r15), offsetof(struct snp_vmsa, rip), offsetof(struct snp_vmsa, cr3)};
#define REGISTERS (sizeof registers / sizeof registers[0])

/* Firmware in two ranges below 4 GiB, a page in RAM, parameters, and a context with a number in each register. */
static int make(void **state)
{
    uint8_t page[4096];
    (void)state;
    memset(page, 0x5a, sizeof page);
    config = (struct boot_config){.tee = BOOT_SNP, .memory = 4096ull << 20, .cpus = 2, .igvm = true};
    snp_vmsa_of_entry(&vmsa, 0x1000, SNP_FEATURE_ACTIVE);
    for (size_t i = 0; i < REGISTERS; i++)
        put_le64((uint8_t *)&vmsa + registers[i], 0x1000 * (i + 1));
    igvm_made_begin(&made, 2, 4096, 65536);
    const uint32_t data = igvm_made_data(&made, page, sizeof page),
                   state_at = igvm_made_data(&made, &vmsa, sizeof vmsa);
    igvm_made_platform(&made, IGVM_SEV_SNP, SNP);
    igvm_made_policy(&made, SNP, POLICY);
    igvm_made_area(&made, 0, 0x1000, 0);
    igvm_made_parameter(&made, IGVM_VP_COUNT, 0, 0);
    igvm_made_parameter(&made, IGVM_MEMORY_MAP, 0, 0x10);
    igvm_made_parameter(&made, IGVM_MMIO_RANGES, 0, 0x80);
    igvm_made_parameter(&made, IGVM_COMMAND_LINE, 0, 0x100);
    igvm_made_parameter(&made, IGVM_MADT, 0, 0x200);
    igvm_made_page(&made, SNP, 0xfffff000, data, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0xffff0000, 0, 0, IGVM_PAGE_NORMAL);
    igvm_made_page(&made, SNP, 0x1000, 0, 0, IGVM_PAGE_SECRETS);
    igvm_made_page(&made, SNP, 0x2000, 0, 0, IGVM_PAGE_CPUID);
    igvm_made_insert(&made, SNP, 0x8000, 0);
    before_context = made.headers;
    igvm_made_context(&made, SNP, SNP_VMSA_GPA, state_at, 0);
    return snp_tee_ops.new(&tee, &err);
}

static int destroy(void **state)
{
    (void)state;
    snp_tee_ops.free(tee);
    launch_image_free(&launch);
    bytes_free(&made.file);
    return 0;
}

static int build_for(const struct tee_ops *ops)
{
    config.firmware = igvm_made_whole(&made);
    launch_image_free(&launch);
    return firmware_image_build(&config, ops, &launch, &err);
}

static void built(void)
{
    if (build_for(&snp_tee_ops) != 0)
        fail_msg("%s", err.text);
}

static void is_predicted_as_the_file_says(void **state)
{
    (void)state;
    struct igvm_file file;
    struct snp_igvm igvm;
    struct snp_digest digest;
    struct tee_measurement m;
    built();
    assert_int_equal(igvm_file_parse(&file, config.firmware, &err), 0);
    const struct snp_igvm_layout layout = {
        .cpus = 2, .cpu_signature = SNP_CPU_SIGNATURE_DEFAULT, .guest_features = SNP_FEATURE_ACTIVE};
    assert_int_equal(snp_igvm_build(&igvm, &file, NULL, &layout, &err), 0);
    assert_int_equal(snp_igvm_digest(&digest, &igvm, &err), 0);
    snp_igvm_free(&igvm);
    assert_int_equal(snp_tee_ops.adopt(tee, &launch, &err), 0);
    assert_int_equal(snp_tee_ops.measure(tee, &launch, &m, &err), 0);
    assert_memory_equal(m.value, digest.value, sizeof m.value);
    /* The CPU model is in what vCPUs without a context start with. */
    assert_int_equal(snp_tee_ops.set_option(tee, "cpu-model", "EPYC-Milan", &err), 0);
    assert_int_equal(snp_tee_ops.measure(tee, &launch, &m, &err), 0);
    assert_memory_not_equal(m.value, digest.value, sizeof m.value);
}

static void has_the_files_pages_and_the_machines_parameters(void **state)
{
    (void)state;
    static const uint8_t cmdline[] = "debug";
    static const struct {
        enum launch_page_kind kind;
        uint64_t gpa;
    } ranges[] = {{LAUNCH_MEASURED, 0xfffff000},
                  {LAUNCH_MEASURED, 0xffff0000},
                  {LAUNCH_SECRETS, 0x1000},
                  {LAUNCH_CPUID, 0x2000},
                  {LAUNCH_UNMEASURED, 0x8000}};
    config.cmdline = (struct view){cmdline, 5}; /* without any kernel */
    built();
    assert_true(launch.at_reset);
    assert_int_equal(launch.entry, 0xfffffff0);
    assert_int_equal(launch.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(launch.range[i].kind, ranges[i].kind);
        assert_int_equal(launch.range[i].gpa, ranges[i].gpa);
        assert_int_equal(launch.range[i].len, 4096);
        assert_int_equal((uintptr_t)launch.range[i].data % 4096, 0);
    }
    const uint8_t *p = launch.range[4].data;
    const struct pci_window window = firmware_pci_window(config.memory);
    assert_int_equal(le32(p), 2);
    assert_int_equal(le64(p + 0x10 + 8), RAM_LOW_END / 4096);
    assert_int_equal(le64(p + 0x10 + 24), RAM_HIGH / 4096);
    assert_int_equal(le64(p + 0x80), window.base / 4096);
    assert_int_equal(le64(p + 0x80 + 8), window.len / 4096);
    assert_string_equal((const char *)p + 0x100, "debug");
    assert_memory_equal(p + 0x200, "APIC", 4);
    uint8_t sum = 0;
    for (uint32_t i = 0; i < le32(p + 0x204); i++)
        sum = (uint8_t)(sum + p[0x200 + i]);
    assert_int_equal(sum, 0);
}

static void memory_is_the_guests(void **state)
{
    (void)state;
    config.memory = BOOT_MEMORY_MIN;
    made.headers = before_context;
    igvm_made_page(&made, SNP, BOOT_MEMORY_MIN, 0, 0, IGVM_PAGE_NORMAL);
    assert_int_equal(build_for(&snp_tee_ops), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "--igvm: IGVM header 13 (page data"));
    assert_non_null(strstr(err.text, "outside of the guest's memory"));
}

/* What the vCPU is given. */
static struct kvm_sregs sregs;
static struct kvm_regs regs;

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    if (request == KVM_GET_SREGS)
        *(struct kvm_sregs *)argument = (struct kvm_sregs){.apic_base = 0xfee00900};
    else if (request == KVM_SET_SREGS)
        sregs = *(struct kvm_sregs *)argument;
    else if (request == KVM_SET_REGS)
        regs = *(struct kvm_regs *)argument;
    else
        fail_msg("ioctl 0x%lx", request);
    return 0;
}

static void a_vcpu_gets_each_register_of_its_context(void **state)
{
    (void)state;
    static const struct kvm_backend backend = {.name = "fake", .ioctl = fake_ioctl};
    struct kvm kvm = {.backend = &backend};
    struct kvm_vm vm = {.kvm = &kvm};
    struct kvm_vcpu vcpu = {.vm = &vm};
    built();
    const struct snp_igvm_own *own = snp_igvm_own(&launch);
    assert_int_equal(own->vmsas, 1);
    assert_memory_equal(&own->vmsa[0], &vmsa, sizeof vmsa);
    assert_int_equal(snp_entry_set(&vcpu, &own->vmsa[0], &err), 0);
    const uint64_t given[] = {regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsp, regs.rbp,
                              regs.rsi, regs.rdi, regs.r8,  regs.r9,  regs.r10, regs.r11,
                              regs.r12, regs.r13, regs.r14, regs.r15, regs.rip, sregs.cr3};
    assert_int_equal(sizeof given / sizeof given[0], REGISTERS);
    for (size_t i = 0; i < REGISTERS; i++)
        assert_int_equal(given[i], 0x1000 * (i + 1));
    assert_int_equal(regs.rflags, 2);
    assert_int_equal(sregs.apic_base, 0xfee00900);
}

static void the_files_policy_is_taken_and_no_other(void **state)
{
    (void)state;
    struct snp_owner owner;
    built();
    snp_owner_init(&owner);
    assert_int_equal(snp_igvm_adopt(&owner, &launch, &err), 0);
    assert_int_equal(owner.policy, POLICY);
    snp_owner_init(&owner);
    assert_int_equal(snp_owner_set_option(&owner, "policy", "smt,single-socket", &err), 0);
    assert_int_equal(snp_igvm_adopt(&owner, &launch, &err), 0);
    assert_int_equal(snp_owner_set_option(&owner, "policy", "smt", &err), 0);
    assert_int_equal(snp_igvm_adopt(&owner, &launch, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "0x130000"));
    put_le64(made.file.data + made.begin + 24 + 8, 1ull << 40);
    built();
    snp_owner_init(&owner);
    assert_int_equal(snp_igvm_adopt(&owner, &launch, &err), -COFRE_MALFORMED);
    /* An image of ours, or of plain firmware, says nothing. */
    const struct launch_image other = {.at_reset = true};
    snp_owner_init(&owner);
    assert_int_equal(snp_igvm_adopt(&owner, &other, &err), 0);
    assert_int_equal(owner.policy, SNP_POLICY_DEFAULT);
}

static void an_id_block_is_for_the_digest(void **state)
{
    (void)state;
    struct snp_owner owner;
    struct snp_digest digest = {{1}};
    struct snp_igvm_own own = {.has_id_block = true, .id_block = {.launch_digest = {1}, .policy = POLICY}};
    const struct launch_image image = {.own = {(uint8_t *)&own, sizeof own}};
    assert_int_equal(snp_igvm_check_digest(&image, &digest, &err), 0);
    digest.value[47] = 1;
    assert_int_equal(snp_igvm_check_digest(&image, &digest, &err), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "ID block is for 0100"));
    own.has_id_block = false;
    assert_int_equal(snp_igvm_check_digest(&image, &digest, &err), 0);
    own.has_id_block = true;
    snp_owner_init(&owner);
    assert_int_equal(snp_igvm_adopt(&owner, &image, &err), 0);
    assert_true(owner.has_id_block && owner.has_id_auth);
    assert_memory_equal(&owner.id_block, &own.id_block, sizeof own.id_block);
    /* The owner's own goes first. */
    snp_owner_init(&owner);
    owner.has_id_block = true;
    assert_int_equal(snp_igvm_adopt(&owner, &image, &err), 0);
    assert_false(owner.has_id_auth);
    assert_int_equal(owner.id_block.launch_digest[0], 0);
}

static void only_snp_guests_are_started_so(void **state)
{
    (void)state;
    const struct tee_ops other = {.title = "another TEE"};
    assert_int_equal(build_for(NULL), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "a plain guest"));
    assert_int_equal(build_for(&other), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "another TEE"));
    config.cpus = 256;
    assert_int_equal(build_for(&snp_tee_ops), -COFRE_USAGE);
    config.cpus = 2;
    config.initrd = (struct view){(const uint8_t *)"x", 1};
    assert_int_equal(build_for(&snp_tee_ops), -COFRE_USAGE);
    config.kernel = config.initrd;
    assert_int_equal(build_for(&snp_tee_ops), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "would not stand for them"));
    config.kernel = config.initrd = (struct view){0};
    made.file.data[made.last]++;
    assert_int_equal(build_for(&snp_tee_ops), -COFRE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, destroy)
        TEST(is_predicted_as_the_file_says),
        TEST(has_the_files_pages_and_the_machines_parameters),
        TEST(memory_is_the_guests),
        TEST(a_vcpu_gets_each_register_of_its_context),
        TEST(the_files_policy_is_taken_and_no_other),
        TEST(an_id_block_is_for_the_digest),
        TEST(only_snp_guests_are_started_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
