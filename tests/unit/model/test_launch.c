/* The launch commands: every one in every state, policy, page types, the digest, the ID block. */
#include "fixture.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "sev/id_block.h"

static const uint8_t no_gosvw[16];

static struct psp *platform;

static int open_shared(void **state)
{
    (void)state;
    platform = open_platform((struct psp_options){0});
    return 0;
}

static int close_shared(void **state)
{
    (void)state;
    psp_close(platform);
    return 0;
}

enum guest_state { INIT, LAUNCH, RUNNING, STATES };

static struct psp_guest *guest_in(enum guest_state state)
{
    struct psp_guest *guest = NULL;
    assert_int_equal(psp_guest_create(&guest, platform, NULL), 0);
    if (state >= LAUNCH)
        assert_int_equal(psp_launch_start(guest, POLICY, no_gosvw), PSP_SUCCESS);
    if (state >= RUNNING)
        assert_int_equal(psp_launch_finish(guest, &(struct psp_launch_finish){0}), PSP_SUCCESS);
    return guest;
}

static enum psp_status do_start(struct psp_guest *guest)
{
    return psp_launch_start(guest, POLICY, no_gosvw);
}

static enum psp_status do_update(struct psp_guest *guest)
{
    uint8_t page[SNP_PAGE_SIZE] = {0};
    return give_page(guest, SNP_PAGE_NORMAL, 0, page);
}

static enum psp_status do_finish(struct psp_guest *guest)
{
    return psp_launch_finish(guest, &(struct psp_launch_finish){0});
}

static enum psp_status do_request(struct psp_guest *guest)
{
    uint8_t in[SNP_PAGE_SIZE] = {0}, out[SNP_PAGE_SIZE];
    return psp_guest_request(guest, in, out); /* an empty header is INVALID_PARAM once the state allows it */
}

static void commands_are_taken_in_their_state_only(void **state)
{
    (void)state;
    enum psp_status ok = PSP_SUCCESS, bad = PSP_INVALID_GUEST_STATE;
    const struct {
        enum psp_status (*command)(struct psp_guest *);
        enum psp_status expected[STATES];
    } rows[] = {
        {do_start, {ok, bad, bad}},
        {do_update, {bad, ok, bad}},
        {do_finish, {bad, ok, bad}},
        {do_request, {bad, bad, PSP_INVALID_PARAM}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (enum guest_state s = INIT; s < STATES; s++) {
            struct psp_guest *guest = guest_in(s);
            assert_int_equal(rows[i].command(guest), rows[i].expected[s]);
            psp_guest_free(guest);
        }
}

static void policies_that_the_platform_cannot_keep_are_refused(void **state)
{
    (void)state;
    const uint64_t one = SNP_POLICY_RESERVED_ONE, smt = SNP_POLICY_SMT;
    const struct {
        struct psp_options options;
        uint64_t policy;
        enum psp_status status;
    } cases[] = {
        {{0}, one | smt, PSP_SUCCESS},
        {{0}, one, PSP_SUCCESS},
        {{.smt = true}, one, PSP_POLICY_FAILURE},
        {{.smt = true}, one | smt, PSP_SUCCESS},
        {{0}, smt, PSP_POLICY_FAILURE},
        {{0}, one | smt | SNP_POLICY_DEBUG, PSP_SUCCESS},
        {{0}, one | smt | SNP_POLICY_MIGRATE_MA, PSP_SUCCESS},
        {{0}, one | smt | SNP_POLICY_SINGLE_SOCKET, PSP_SUCCESS},
        {{0}, one | smt | SNP_POLICY_CXL_ALLOW, PSP_SUCCESS},
        {{.report_version = 2}, one | smt | SNP_POLICY_CXL_ALLOW, PSP_POLICY_FAILURE},
        {{0}, one | smt | SNP_POLICY_MEM_AES_256_XTS, PSP_POLICY_FAILURE},
        {{0}, one | smt | SNP_POLICY_RAPL_DIS, PSP_POLICY_FAILURE},
        {{0}, one | smt | SNP_POLICY_CIPHERTEXT_HIDING, PSP_POLICY_FAILURE},
        {{0}, one | smt | SNP_POLICY_PAGE_SWAP_DISABLE, PSP_POLICY_FAILURE},
        {{.report_version = 5}, one | smt | SNP_POLICY_PAGE_SWAP_DISABLE, PSP_SUCCESS},
        {{.report_version = 5}, one | smt | 1ull << 26, PSP_POLICY_FAILURE},
        {{0}, one | smt | 1ull << 63, PSP_POLICY_FAILURE},
        {{0}, one | smt | 1 << 8 | 55, PSP_SUCCESS},
        {{0}, one | smt | 1 << 8 | 56, PSP_POLICY_FAILURE},
        {{0}, one | smt | 2 << 8, PSP_POLICY_FAILURE},
        {{0}, one | smt | 0 << 8 | 0xff, PSP_SUCCESS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct psp_guest *guest = NULL;
        struct psp *psp = open_platform(cases[i].options);
        assert_int_equal(psp_guest_create(&guest, psp, NULL), 0);
        assert_int_equal(psp_launch_start(guest, cases[i].policy, no_gosvw), cases[i].status);
        psp_guest_free(guest);
        psp_close(psp);
    }
}

/* The fold written out by hand: 56860 says which bytes lie where. */
static void fold(uint8_t digest[48], uint8_t type, uint64_t gpa, const uint8_t perms[3], const void *contents)
{
    uint8_t info[0x70] = {0};
    memcpy(info, digest, 48);
    if (contents)
        EVP_Digest(contents, 4096, info + 48, NULL, EVP_sha384(), NULL);
    info[0x60] = 0x70;
    info[0x62] = type;
    memcpy(info + 0x65, perms, 3);
    for (int i = 0; i < 8; i++)
        info[0x68 + i] = (uint8_t)(gpa >> (8 * i));
    EVP_Digest(info, sizeof info, digest, NULL, EVP_sha384(), NULL);
}

static void the_digest_is_the_fold_over_the_pages_given(void **state)
{
    (void)state;
    const uint8_t none[3] = {0}, perms[3] = {0xf, 0x7, 0x1};
    uint8_t expected[48] = {0}, got[48], page[4096], copy[4096];
    struct psp_guest *guest = guest_in(LAUNCH);
    for (uint8_t type = SNP_PAGE_NORMAL; type <= SNP_PAGE_CPUID; type++) {
        memset(page, type == SNP_PAGE_CPUID ? 0 : 0x11 * type, sizeof page);
        memcpy(copy, page, sizeof copy);
        if (type == SNP_PAGE_VMSA) /* GUEST_TSC_SCALE and GUEST_TSC_OFFSET are measured as zero */
            memset(copy + 0x2f0, 0, 16);
        bool measured = type == SNP_PAGE_NORMAL || type == SNP_PAGE_VMSA;
        uint64_t gpa = type == SNP_PAGE_VMSA ? SNP_VMSA_GPA : 0x100000u + type * 0x1000u;
        fold(expected, type, gpa, none, measured ? copy : NULL);
        assert_int_equal(give_page(guest, type, gpa, page), PSP_SUCCESS);
        psp_launch_digest(guest, got);
        assert_memory_equal(got, expected, 48);
    }
    memset(page, 1, sizeof page);
    struct psp_page with_perms = {
        .type = SNP_PAGE_NORMAL, .gpa = 0x5000, .data = page, .vmpl_perms = {0xf, 0x7, 0x1}};
    fold(expected, SNP_PAGE_NORMAL, 0x5000, perms, page);
    assert_int_equal(psp_launch_update(guest, &with_perms), PSP_SUCCESS);
    psp_launch_digest(guest, got);
    assert_memory_equal(got, expected, 48);
    psp_guest_free(guest);
}

static void a_refused_page_leaves_the_digest_alone(void **state)
{
    (void)state;
    uint8_t before[48], after[48], page[4096] = {0};
    struct psp_guest *guest = guest_in(LAUNCH);
    assert_int_equal(do_update(guest), PSP_SUCCESS);
    psp_launch_digest(guest, before);
    assert_int_equal(give_page(guest, 0, 0x1000, page), PSP_INVALID_PARAM);
    assert_int_equal(give_page(guest, 7, 0x1000, page), PSP_INVALID_PARAM);
    assert_int_equal(give_page(guest, SNP_PAGE_NORMAL, 0x1001, page), PSP_INVALID_ADDRESS);
    page[0] = 65;
    assert_int_equal(give_page(guest, SNP_PAGE_CPUID, 0x1000, page), PSP_INVALID_PARAM);
    psp_launch_digest(guest, after);
    assert_memory_equal(before, after, 48);
    psp_guest_free(guest);
}

static void pages_become_what_the_guest_will_see(void **state)
{
    (void)state;
    uint8_t page[4096], same[4096];
    struct psp_guest *guest = guest_in(LAUNCH);
    memset(same, 0xcc, sizeof same);
    const enum snp_page_type kept[] = {SNP_PAGE_NORMAL, SNP_PAGE_VMSA, SNP_PAGE_UNMEASURED};
    for (size_t i = 0; i < 3; i++) {
        memcpy(page, same, sizeof page);
        assert_int_equal(give_page(guest, kept[i], 0x1000, page), PSP_SUCCESS);
        assert_memory_equal(page, same, sizeof page);
    }
    assert_int_equal(give_page(guest, SNP_PAGE_ZERO, 0x2000, page), PSP_SUCCESS);
    assert_true(bytes_are_zero(page, sizeof page));
    psp_guest_free(guest);
}

static void each_launch_has_secrets_of_its_own(void **state)
{
    (void)state;
    struct snp_secrets_page page[2];
    uint8_t gosvw[16] = {9, 8, 7};
    for (int i = 0; i < 2; i++) {
        struct psp_guest *guest = guest_in(INIT);
        memset(&page[i], 0xee, sizeof page[i]);
        assert_int_equal(psp_launch_start(guest, POLICY, gosvw), PSP_SUCCESS);
        assert_int_equal(give_page(guest, SNP_PAGE_SECRETS, 0x3000, &page[i]), PSP_SUCCESS);
        assert_int_equal(page[i].version, 3);
        assert_int_equal(page[i].fms, psp_fms(platform));
        assert_int_equal(page[i].tsc_factor, 200);
        assert_memory_equal(page[i].gosvw, gosvw, 16);
        assert_true(bytes_are_zero(page[i].os_area, sizeof page[i].os_area));
        assert_true(bytes_are_zero(page[i].reserved_164, sizeof page[i].reserved_164));
        psp_guest_free(guest);
    }
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 8; b++)
            if (b != a)
                assert_memory_not_equal(page[0].vmpck[a], page[b / 4].vmpck[b % 4], 32);
}

/* CPUID: what the platform has, and pages that say something else. */
static const struct snp_cpuid_function platform_cpuid[] = {
    {.eax_in = 0x0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65},
    {.eax_in = 0x1,
     .eax = 0x00a00f11,
     .ebx = 0x00010800,
     .ecx = 0xfffa3203 & ~0x0105cdf4u,
     .edx = 0x178bfbff},
    {.eax_in = 0x7, .ebx = 0x219c95a9, .ecx = 0x0040061c, .edx = 0x10},
    {.eax_in = 0xd, .ecx_in = 0, .eax = 7, .ebx = 0x340, .ecx = 0x340},
    {.eax_in = 0xd, .ecx_in = 1, .eax = 0xf, .ebx = 0x340, .ecx = 0x1800},
    {.eax_in = 0xd, .ecx_in = 2, .eax = 0x100, .ebx = 0x240},
    {.eax_in = 0x80000008, .eax = 0x3030, .ebx = 0x1205},
    {.eax_in = 0x8000001f, .eax = 0x1a, .ebx = 47 | 1 << 6},
};

static enum psp_status check_one(struct snp_cpuid_function *fn)
{
    struct snp_cpuid_page page = {.count = 1};
    struct psp_guest *guest = guest_in(LAUNCH);
    page.fn[0] = *fn;
    struct psp_page update = {.type = SNP_PAGE_CPUID,
                              .gpa = 0x4000,
                              .data = (uint8_t *)&page,
                              .allowed = platform_cpuid,
                              .allowed_count = sizeof platform_cpuid / sizeof *platform_cpuid};
    enum psp_status status = psp_launch_update(guest, &update);
    enum psp_status again = psp_launch_update(guest, &update);
    *fn = page.fn[0];
    if (fn->reserved == 0)
        assert_int_equal(again, PSP_SUCCESS); /* what the firmware corrected, it accepts */
    psp_guest_free(guest);
    return status;
}

static void a_cpuid_page_is_corrected_where_it_promises_too_much(void **state)
{
    (void)state;
    const struct {
        struct snp_cpuid_function given, corrected;
    } bad[] = {
        /* TSC deadline timer: KVM emulates it, no such processor has it */
        {{.eax_in = 1, .eax = 0x00a00f11, .ebx = 0x0800, .ecx = 1u << 24},
         {.eax = 0x00a00f11, .ebx = 0x0800}},
        /* a newer family; another cache line size */
        {{.eax_in = 1, .eax = 0x00a10f11, .ebx = 0x0800}, {.eax = 0x00a00f11, .ebx = 0x0800}},
        {{.eax_in = 1, .eax = 0x00800f12, .ebx = 0x1000}, {.eax = 0x00800f12, .ebx = 0x0800}},
        /* AVX-512 where there is none */
        {{.eax_in = 7, .ebx = 1u << 16 | 1}, {.ebx = 1}},
        /* XSAVE sizes that do not fit XCR0_IN and XSS_IN */
        {{.eax_in = 0xd, .eax = 7, .ebx = 0x340, .xcr0_in = 1}, {.eax = 7, .ebx = 0x240}},
        {{.eax_in = 0xd, .eax = 7, .ebx = 0x240, .xcr0_in = 7}, {.eax = 7, .ebx = 0x340}},
        {{.eax_in = 0xd, .eax = 4, .ebx = 0x240, .xcr0_in = 1}, {.eax = 7, .ebx = 0x240}},
        {{.eax_in = 0xd, .ecx_in = 1, .ebx = 0x240, .xcr0_in = 3, .xss_in = 1 << 11}, {.ebx = 0x250}},
        {{.eax_in = 0xd, .ecx_in = 2, .eax = 0x100, .ebx = 0x300}, {.eax = 0x100, .ebx = 0x240}},
        /* wider addresses than there are, byte by byte */
        {{.eax_in = 0x80000008, .eax = 0x3934}, {.eax = 0x3030}},
        /* the C-bit elsewhere, a feature that is not there */
        {{.eax_in = 0x8000001f, .eax = 0x1a, .ebx = 51 | 1 << 6}, {.eax = 0x1a, .ebx = 47 | 1 << 6}},
        {{.eax_in = 0x8000001f, .eax = 0x1a | 1 << 5, .ebx = 47}, {.eax = 0x1a, .ebx = 47}},
        /* a leaf that no rule lists */
        {{.eax_in = 0x1f, .ecx_in = 0, .eax = 1, .edx = 5}, {.eax = 0}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct snp_cpuid_function fn = bad[i].given;
        assert_int_equal(check_one(&fn), PSP_INVALID_PARAM);
        assert_int_equal(fn.eax, bad[i].corrected.eax);
        assert_int_equal(fn.ebx, bad[i].corrected.ebx);
        assert_int_equal(fn.ecx, bad[i].corrected.ecx);
        assert_int_equal(fn.edx, bad[i].corrected.edx);
    }
    struct snp_cpuid_function reserved = {.eax_in = 2, .reserved = 1};
    assert_int_equal(check_one(&reserved), PSP_INVALID_PARAM);
}

static void a_cpuid_page_may_promise_less_and_what_is_not_looked_at(void **state)
{
    (void)state;
    const struct snp_cpuid_function good[] = {
        {.eax_in = 0x0, .eax = 0xd, .ebx = 1, .ecx = 2, .edx = 3},
        {.eax_in = 0x1, .eax = 0x00800f12, .ebx = 0x07020800, .ecx = 1u << 27 | 1u << 31},
        {.eax_in = 0x7, .ecx = 1u << 4},
        {.eax_in = 0xb, .ecx_in = 1, .eax = 7, .ebx = 8, .ecx = 0x201, .edx = 9},
        {.eax_in = 0xd, .eax = 3, .ebx = 0x240, .ecx = 0x240, .xcr0_in = 1},
        {.eax_in = 0x80000008, .eax = 0x302f, .ecx = 0x7007},
        {.eax_in = 0x8000001f, .eax = 0x1a, .ebx = 47 | 5 << 6, .ecx = 15, .edx = 1},
        {.eax_in = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b},
        {.eax_in = 0x80010000, .eax = 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct snp_cpuid_function fn = good[i];
        assert_int_equal(check_one(&fn), PSP_SUCCESS);
        assert_memory_equal(&fn, &good[i], sizeof fn);
    }
}

/* ID block. */
struct owner {
    EVP_PKEY *id, *author;
    struct snp_id_block block;
    struct snp_id_auth auth;
    struct psp_launch_finish finish;
};

static void sign_again(struct owner *o)
{
    assert_int_equal(snp_id_auth_sign(&o->auth, &o->block, o->id, o->author, NULL), 0);
}

/* A guest with one page, and what its owner gives to finish its launch. */
static struct psp_guest *owned_guest(struct owner *o)
{
    struct psp_guest *guest = guest_in(LAUNCH);
    assert_int_equal(do_update(guest), PSP_SUCCESS);
    *o = (struct owner){.id = EVP_EC_gen("P-384"), .author = EVP_EC_gen("P-384")};
    psp_launch_digest(guest, o->block.launch_digest);
    o->block.version = 1;
    o->block.policy = POLICY;
    o->block.guest_svn = 7;
    o->block.family_id[0] = 0xfa;
    o->block.image_id[0] = 0x1d;
    sign_again(o);
    o->finish = (struct psp_launch_finish){
        .id_block = &o->block, .id_auth = &o->auth, .id_block_en = 1, .auth_key_en = 1};
    return guest;
}

static void disown(struct psp_guest *guest, struct owner *o)
{
    psp_guest_free(guest);
    EVP_PKEY_free(o->id);
    EVP_PKEY_free(o->author);
}

static void wrong_digest(struct owner *o)
{
    o->block.launch_digest[47] ^= 1;
    sign_again(o);
}

static void wrong_policy(struct owner *o)
{
    o->block.policy |= SNP_POLICY_DEBUG;
    sign_again(o);
}

static void wrong_version(struct owner *o)
{
    o->block.version = 2;
    sign_again(o);
}

static void wrong_id_algo(struct owner *o)
{
    o->auth.id_key_algo = 2;
}

static void no_author_algo(struct owner *o)
{
    o->auth.author_key_algo = 0;
}

static void changed_block(struct owner *o)
{
    o->block.guest_svn++;
}

static void changed_signature(struct owner *o)
{
    o->auth.id_block_sig.s[0] ^= 1;
}

static void unused_signature_bytes(struct owner *o)
{
    o->auth.id_block_sig.r[48] = 1;
}

static void wrong_curve(struct owner *o)
{
    o->auth.id_key.curve = 1;
}

static void no_point_of_the_curve(struct owner *o)
{
    o->auth.id_key.qy[0] ^= 1;
}

static void key_of_another(struct owner *o)
{
    struct snp_id_auth other;
    assert_int_equal(snp_id_auth_sign(&other, &o->block, o->author, NULL, NULL), 0);
    o->auth.id_key = other.id_key;
}

static void changed_author_signature(struct owner *o)
{
    o->auth.id_key_sig.r[5] ^= 1;
}

static void author_of_another(struct owner *o)
{
    o->auth.author_key = o->auth.id_key;
}

static void no_block(struct owner *o)
{
    o->finish.id_block = NULL;
}

static void author_without_block(struct owner *o)
{
    o->finish.id_block_en = 0;
}

static void flag_of_two(struct owner *o)
{
    o->finish.vcek_disabled = 2;
}

static void an_id_block_that_is_not_this_guest_s_is_refused(void **state)
{
    (void)state;
    const struct {
        void (*harm)(struct owner *);
        enum psp_status status;
    } cases[] = {
        {wrong_digest, PSP_BAD_MEASUREMENT},       {wrong_policy, PSP_POLICY_FAILURE},
        {wrong_version, PSP_INVALID_PARAM},        {wrong_id_algo, PSP_INVALID_PARAM},
        {no_author_algo, PSP_INVALID_PARAM},       {changed_block, PSP_BAD_SIGNATURE},
        {changed_signature, PSP_BAD_SIGNATURE},    {unused_signature_bytes, PSP_BAD_SIGNATURE},
        {wrong_curve, PSP_BAD_SIGNATURE},          {no_point_of_the_curve, PSP_BAD_SIGNATURE},
        {key_of_another, PSP_BAD_SIGNATURE},       {changed_author_signature, PSP_BAD_SIGNATURE},
        {author_of_another, PSP_BAD_SIGNATURE},    {no_block, PSP_INVALID_ADDRESS},
        {author_without_block, PSP_INVALID_PARAM}, {flag_of_two, PSP_INVALID_PARAM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct owner o;
        struct psp_guest *guest = owned_guest(&o);
        cases[i].harm(&o);
        assert_int_equal(psp_launch_finish(guest, &o.finish), cases[i].status);
        assert_int_equal(do_request(guest), PSP_INVALID_GUEST_STATE); /* it does not run */
        disown(guest, &o);
    }
}

static void an_id_block_and_its_keys_appear_in_the_report(void **state)
{
    (void)state;
    for (uint8_t with_author = 0; with_author <= 1; with_author++) {
        struct owner o;
        struct snp_secrets_page secrets;
        struct psp_guest *guest = owned_guest(&o);
        assert_int_equal(give_page(guest, SNP_PAGE_SECRETS, 0x2000, &secrets), PSP_SUCCESS);
        psp_launch_digest(guest, o.block.launch_digest);
        sign_again(&o);
        o.finish.auth_key_en = with_author;
        assert_int_equal(psp_launch_finish(guest, &o.finish), PSP_SUCCESS);
        struct snp_report_rsp response = ask_report(guest, &secrets, 0, 1, &(struct snp_report_req){0});
        uint8_t digest[48], author[48] = {0};
        EVP_Digest(&o.auth.id_key, sizeof o.auth.id_key, digest, NULL, EVP_sha384(), NULL);
        if (with_author)
            EVP_Digest(&o.auth.author_key, sizeof o.auth.author_key, author, NULL, EVP_sha384(), NULL);
        assert_memory_equal(response.report.id_key_digest, digest, 48);
        assert_memory_equal(response.report.author_key_digest, author, 48);
        assert_int_equal(response.report.flags & SNP_REPORT_AUTHOR_KEY_EN, with_author);
        assert_int_equal(response.report.guest_svn, 7);
        assert_memory_equal(response.report.family_id, o.block.family_id, 16);
        assert_memory_equal(response.report.image_id, o.block.image_id, 16);
        disown(guest, &o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_taken_in_their_state_only),
        cmocka_unit_test(policies_that_the_platform_cannot_keep_are_refused),
        cmocka_unit_test(the_digest_is_the_fold_over_the_pages_given),
        cmocka_unit_test(a_refused_page_leaves_the_digest_alone),
        cmocka_unit_test(pages_become_what_the_guest_will_see),
        cmocka_unit_test(each_launch_has_secrets_of_its_own),
        cmocka_unit_test(a_cpuid_page_is_corrected_where_it_promises_too_much),
        cmocka_unit_test(a_cpuid_page_may_promise_less_and_what_is_not_looked_at),
        cmocka_unit_test(an_id_block_that_is_not_this_guest_s_is_refused),
        cmocka_unit_test(an_id_block_and_its_keys_appear_in_the_report),
    };
    return cmocka_run_group_tests(tests, open_shared, close_shared);
}
