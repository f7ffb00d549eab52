#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/emu/insn.h"

static void knows_the_instructions_of_an_snp_guest(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum insn insn;
    } cases[] = {
        {"\xf2\x0f\x01\xff", 4, INSN_PVALIDATE}, {"\xf3\x0f\x01\xfe", 4, INSN_RMPADJUST},
        {"\xf3\x0f\x01\xd9", 4, INSN_VMGEXIT},   {"\xf2\x0f\x01\xd9", 4, INSN_VMGEXIT},
        {"\x0f\x01\xd9\x90", 4, INSN_VMMCALL},   {"\x0f\x01\xd9", 3, INSN_VMMCALL},
        {"\xf3\x0f\x01\xff", 4, INSN_OTHER}, /* PSMASH: the host's alone */
        {"\xf2\x0f\x01\xfe", 4, INSN_OTHER}, /* RMPUPDATE: the host's alone */
        {"\x0f\x0b\x90\x90", 4, INSN_OTHER},     {"\x0f\x01\xff\xf2", 4, INSN_OTHER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(insn_decode((const uint8_t *)cases[i].bytes, cases[i].len), cases[i].insn);
}

static void does_not_guess_at_the_end_of_readable_memory(void **state)
{
    (void)state;
    for (size_t len = 0; len < 4; len++)
        assert_int_equal(insn_decode((const uint8_t *)"\xf2\x0f\x01\xff", len), INSN_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_instructions_of_an_snp_guest),
        cmocka_unit_test(does_not_guess_at_the_end_of_readable_memory),
    };
    return cmocka_run_group_tests_name("emu insn", tests, NULL, NULL);
}
