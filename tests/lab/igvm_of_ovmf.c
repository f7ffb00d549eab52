/*
 * An IGVM file of an OVMF image: its bytes, its metadata's sections and the hashes of a kernel as page data, as QEMU would lay
 * them out; each vCPU's context; an ID block for the digest, signed here.
 *   igvm-of-ovmf OVMF KERNEL INITRD CMDLINE CPUS FILE
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/id_block.h"
#include "sev/igvm.h"
#include "sev/policy.h"
#include "tests/unit/igvm/made_igvm.h"
#include "vmm/base/file.h"

#define SNP        1u
#define PARAMETERS 0xffa00000u /* beside the image: OVMF accepts all RAM, once */
#define POLICY     (SNP_POLICY_DEFAULT | SNP_POLICY_SINGLE_SOCKET)

static struct cofre_err err;

static void must(int rc)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "igvm-of-ovmf: %s\n", err.text);
    exit(1);
}

static uint32_t page_type(enum snp_page_type type)
{
    return type == SNP_PAGE_SECRETS ? IGVM_PAGE_SECRETS
           : type == SNP_PAGE_CPUID ? IGVM_PAGE_CPUID
                                    : IGVM_PAGE_NORMAL;
}

static void put_ranges(struct made_igvm *made, const struct snp_layout_ranges *ranges)
{
    for (size_t i = 0; i < ranges->count; i++)
        for (uint64_t at = 0; at < ranges->range[i].len; at += SNP_PAGE_SIZE) {
            const struct snp_layout_range *r = &ranges->range[i];
            const uint32_t data = r->data ? made_data(made, r->data + at, SNP_PAGE_SIZE) : 0;
            made_page(made, SNP, r->gpa + at, data, 0, page_type(r->type));
        }
}

static void put_parameters(struct made_igvm *made)
{
    made_area(made, 0, SNP_PAGE_SIZE, 0);
    made_parameter(made, IGVM_VP_COUNT, 0, 0);
    made_parameter(made, IGVM_ENVIRONMENT_INFO, 0, 4);
    made_parameter(made, IGVM_MEMORY_MAP, 0, 0x10);
    made_parameter(made, IGVM_COMMAND_LINE, 0, 0x100);
    made_parameter(made, IGVM_MADT, 0, 0x800);
    made_insert(made, SNP, PARAMETERS, 0);
}

static void put_contexts(struct made_igvm *made, const struct snp_ovmf *ovmf, unsigned cpus)
{
    struct snp_vmsa vmsa;
    for (unsigned i = 0; i < cpus; i++) {
        snp_vmsa_of_reset(&vmsa, SNP_VMM_QEMU, i, ovmf->reset_eip, SNP_CPU_SIGNATURE_DEFAULT,
                          SNP_FEATURE_ACTIVE);
        made_context(made, SNP, SNP_VMSA_GPA, made_data(made, &vmsa, sizeof vmsa), i);
    }
}

static void put_pair(uint8_t *to, const uint8_t *first, const uint8_t *second)
{
    memcpy(to, first, 72);
    memcpy(to + 72, second, 72);
}

static void put_id_block(struct made_igvm *made, unsigned cpus)
{
    struct igvm_file file;
    struct snp_igvm igvm;
    struct snp_digest digest;
    struct snp_id_auth auth;
    struct snp_id_block block = {.version = SNP_ID_BLOCK_VERSION, .guest_svn = 3, .policy = POLICY};
    const struct snp_igvm_layout layout = {
        .cpus = cpus, .cpu_signature = SNP_CPU_SIGNATURE_DEFAULT, .guest_features = SNP_FEATURE_ACTIVE};
    must(igvm_file_parse(&file, made_whole(made), &err));
    must(snp_igvm_build(&igvm, &file, NULL, &layout, &err));
    must(snp_igvm_digest(&digest, &igvm, &err));
    snp_igvm_free(&igvm);
    memcpy(block.launch_digest, digest.value, sizeof digest.value);
    memcpy(block.image_id, "igvm-of-ovmf", 12);
    EVP_PKEY *key = EVP_EC_gen("P-384");
    must(snp_id_auth_sign(&auth, &block, key, NULL, &err));
    EVP_PKEY_free(key);
    uint8_t *b = made_header(made, IGVM_SNP_ID_BLOCK, 696);
    put_le32(b, SNP);
    memcpy(b + 8, &block, 48 + 16 + 16 + 4 + 4);
    put_le32(b + 96, auth.id_key_algo);
    put_pair(b + 104, auth.id_block_sig.r, auth.id_block_sig.s);
    put_le32(b + 248, auth.id_key.curve);
    put_pair(b + 256, auth.id_key.qx, auth.id_key.qy);
}

int main(int argc, char **argv)
{
    CLEAN_BYTES image = {0}, kernel = {0}, initrd = {0};
    struct snp_ovmf ovmf;
    static struct snp_layout_ranges ranges;
    struct made_igvm made;
    if (argc != 7) {
        fputs("usage: igvm-of-ovmf OVMF KERNEL INITRD CMDLINE CPUS FILE\n", stderr);
        return 2;
    }
    const unsigned cpus = (unsigned)atoi(argv[5]);
    must(file_read(&image, argv[1], OVMF_SIZE_MAX, &err));
    must(file_read(&kernel, argv[2], 1u << 30, &err));
    must(file_read(&initrd, argv[3], 1u << 30, &err));
    const struct snp_kernel_items items = {
        bytes_view(&kernel), bytes_view(&initrd), {(const uint8_t *)argv[4], strlen(argv[4])}};
    must(snp_ovmf_parse(&ovmf, bytes_view(&image), &err));
    must(snp_layout_ranges(&ranges, &ovmf,
                           &(struct snp_layout){.vmm = SNP_VMM_QEMU, .cpus = cpus, .kernel = &items}, &err));
    made_begin(&made, 1, 1u << 20, image.len + (1u << 20));
    made_platform(&made, IGVM_SEV_SNP, SNP);
    made_policy(&made, SNP, POLICY);
    put_ranges(&made, &ranges);
    put_parameters(&made);
    put_contexts(&made, &ovmf, cpus);
    put_id_block(&made, cpus);
    const struct view whole = made_whole(&made);
    FILE *out = fopen(argv[6], "we");
    if (!out || fwrite(whole.data, 1, whole.len, out) != whole.len || fclose(out) != 0) {
        perror(argv[6]);
        return 1;
    }
    bytes_free(&made.file);
    return 0;
}
