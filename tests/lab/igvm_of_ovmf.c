/*
 * An IGVM file of firmware: what `cofre run --firmware` would launch with 768 MiB of memory as page data, and a page of parameters.
 * Of OVMF for SNP besides each vCPU's context, and an ID block for the digest, signed here.
 *   igvm-of-ovmf snp|tdx FIRMWARE KERNEL INITRD CMDLINE CPUS FILE
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/id_block.h"
#include "sev/igvm.h"
#include "sev/launch/launch.h"
#include "sev/policy.h"
#include "tdx/launch/launch.h"
#include "tests/unit/igvm/made_igvm.h"
#include "vmm/base/file.h"
#include "vmm/base/ovmf_table.h"
#include "vmm/machine/firmware.h"

#define MEMORY     (768ull << 20)
#define MASK       1u
#define PARAMETERS 0xffa00000u /* beside the image: OVMF accepts all RAM, once */
#define SNP_POLICY (SNP_POLICY_DEFAULT | SNP_POLICY_SINGLE_SOCKET)
#define TDX_POLICY 2u /* SEPT_VE_DISABLE */

static struct cofre_err err;

static void must(int rc)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "igvm-of-ovmf: %s\n", err.text);
    exit(1);
}

static void put_ranges(struct made_igvm *made, const struct launch_image *image)
{
    static const unsigned types[] = {[LAUNCH_MEASURED] = IGVM_PAGE_NORMAL,
                                     [LAUNCH_ZERO] = IGVM_PAGE_NORMAL,
                                     [LAUNCH_UNMEASURED] = IGVM_PAGE_NORMAL,
                                     [LAUNCH_SECRETS] = IGVM_PAGE_SECRETS,
                                     [LAUNCH_CPUID] = IGVM_PAGE_CPUID};
    for (size_t i = 0; i < image->count; i++)
        for (size_t at = 0; at < image->range[i].len; at += IGVM_PAGE_SIZE) {
            const struct launch_range *r = &image->range[i];
            igvm_made_page(made, MASK, r->gpa + at,
                           r->data ? igvm_made_data(made, r->data + at, IGVM_PAGE_SIZE) : 0,
                           r->kind == LAUNCH_UNMEASURED ? MADE_UNMEASURED : 0, types[r->kind]);
        }
}

static void put_parameters(struct made_igvm *made)
{
    igvm_made_area(made, 0, SNP_PAGE_SIZE, 0);
    igvm_made_parameter(made, IGVM_VP_COUNT, 0, 0);
    igvm_made_parameter(made, IGVM_ENVIRONMENT_INFO, 0, 4);
    igvm_made_parameter(made, IGVM_MEMORY_MAP, 0, 0x10);
    igvm_made_parameter(made, IGVM_COMMAND_LINE, 0, 0x100);
    igvm_made_parameter(made, IGVM_MADT, 0, 0x800);
    igvm_made_insert(made, MASK, PARAMETERS, 0);
}

static void put_contexts(struct made_igvm *made, const struct launch_image *image)
{
    struct snp_vmsa vmsa;
    for (unsigned i = 0; i < image->cpus; i++) {
        snp_vmsa_of_reset(&vmsa, SNP_VMM_QEMU, i, image->entry, SNP_CPU_SIGNATURE_DEFAULT,
                          SNP_FEATURE_ACTIVE);
        igvm_made_context(made, MASK, SNP_VMSA_GPA, igvm_made_data(made, &vmsa, sizeof vmsa), i);
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
    struct snp_id_block block = {.version = SNP_ID_BLOCK_VERSION, .guest_svn = 3, .policy = SNP_POLICY};
    const struct snp_igvm_layout layout = {
        .cpus = cpus, .cpu_signature = SNP_CPU_SIGNATURE_DEFAULT, .guest_features = SNP_FEATURE_ACTIVE};
    must(igvm_file_parse(&file, igvm_made_whole(made), &err));
    must(snp_igvm_build(&igvm, &file, NULL, &layout, &err));
    must(snp_igvm_digest(&digest, &igvm, &err));
    snp_igvm_free(&igvm);
    memcpy(block.launch_digest, digest.value, sizeof digest.value);
    memcpy(block.image_id, "igvm-of-ovmf", 12);
    EVP_PKEY *key = EVP_EC_gen("P-384");
    must(snp_id_auth_sign(&auth, &block, key, NULL, &err));
    EVP_PKEY_free(key);
    uint8_t *b = igvm_made_header(made, IGVM_SNP_ID_BLOCK, 696);
    put_le32(b, MASK);
    memcpy(b + 8, &block, 48 + 16 + 16 + 4 + 4);
    put_le32(b + 96, auth.id_key_algo);
    put_pair(b + 104, auth.id_block_sig.r, auth.id_block_sig.s);
    put_le32(b + 248, auth.id_key.curve);
    put_pair(b + 256, auth.id_key.qx, auth.id_key.qy);
}

int main(int argc, char **argv)
{
    CLEAN_BYTES firmware = {0}, kernel = {0}, initrd = {0};
    static struct launch_image image;
    struct made_igvm made;
    if (argc != 8) {
        fputs("usage: igvm-of-ovmf snp|tdx FIRMWARE KERNEL INITRD CMDLINE CPUS FILE\n", stderr);
        return 2;
    }
    const bool snp = strcmp(argv[1], "snp") == 0;
    must(file_read(&firmware, argv[2], OVMF_SIZE_MAX, &err));
    must(file_read(&kernel, argv[3], 1u << 30, &err));
    must(file_read(&initrd, argv[4], 1u << 30, &err));
    const struct boot_config config = {.tee = snp ? BOOT_SNP : BOOT_TDX,
                                       .memory = MEMORY,
                                       .cpus = (unsigned)atoi(argv[6]),
                                       .kernel = bytes_view(&kernel),
                                       .initrd = bytes_view(&initrd),
                                       .cmdline = {(const uint8_t *)argv[5], strlen(argv[5])},
                                       .firmware = bytes_view(&firmware)};
    must(firmware_image_build(&config, snp ? &snp_tee_ops : &tdx_tee_ops, &image, &err));
    igvm_made_begin(&made, 1, 1u << 20, firmware.len + (1u << 20));
    igvm_made_platform(&made, snp ? IGVM_SEV_SNP : IGVM_TDX, MASK);
    igvm_made_policy(&made, MASK, snp ? SNP_POLICY : TDX_POLICY);
    put_ranges(&made, &image);
    put_parameters(&made);
    if (snp) {
        put_contexts(&made, &image);
        put_id_block(&made, config.cpus);
    }
    const struct view whole = igvm_made_whole(&made);
    FILE *out = fopen(argv[7], "we");
    if (!out || fwrite(whole.data, 1, whole.len, out) != whole.len || fclose(out) != 0) {
        perror(argv[7]);
        return 1;
    }
    launch_image_free(&image);
    bytes_free(&made.file);
    return 0;
}
