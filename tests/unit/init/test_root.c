/* Where the root is, of a command line: exactly one word, exactly as it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/init/root.h"
#include "vmm/init/verity.h"

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"
#define GOOD "cofre.root=verity,hash=" ONES ",salt=" TWOS ",blocks=77"

static int parse(struct root *out, const char *text, struct cofre_err *err)
{
    return root_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, err);
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    struct root root, again;
    struct cofre_err err;
    char word[ROOT_WORD_SIZE];
    assert_int_equal(parse(&root, "console=hvc0 quiet  " GOOD "\n", &err), 0);
    assert_int_equal(root.kind, ROOT_VERITY);
    assert_int_equal(root.verity.hash[31], 0x11);
    assert_int_equal(root.verity.salt[0], 0x22);
    assert_int_equal(root.verity.blocks, 77);
    root_format(word, &root);
    assert_string_equal(word, GOOD);
    assert_int_equal(parse(&again, word, &err), 0);
    assert_memory_equal(&root, &again, sizeof root);
}

static void reads_what_is_encrypted(void **state)
{
    (void)state;
    struct root root;
    char word[ROOT_WORD_SIZE];
    static const char *const text[] = {"cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8",
                                       "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8,integrity"};
    for (int integrity = 0; integrity < 2; integrity++) {
        assert_int_equal(parse(&root, text[integrity], NULL), 0);
        assert_int_equal(root.kind, ROOT_LUKS);
        assert_string_equal(root.uuid, "96d9e729-6ef7-8bb0-8c9a-b86d268844b8");
        assert_int_equal(root.integrity, integrity);
        root_format(word, &root);
        assert_string_equal(word, text[integrity]);
    }
}

static void wants_one_word(void **state)
{
    (void)state;
    struct root root;
    struct cofre_err err;
    assert_int_equal(parse(&root, "console=hvc0 xcofre.root=verity cofre.rootx=1", &err), -COFRE_MALFORMED);
    assert_string_equal(err.text, "the command line has no cofre.root=, which says what the root is");
    assert_int_equal(parse(&root, GOOD " " GOOD, &err), -COFRE_MALFORMED);
    assert_string_equal(err.text,
                        "the command line has more than one cofre.root=, which says what the root is");
}

static void refuses_other_words(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "cofre.root=verity",
        "cofre.root=none",
        "cofre.root=luks",
        "cofre.root=luks,uuid=",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844B8",
        "cofre.root=luks,uuid=96d9e72906ef7-8bb0-8c9a-b86d268844b8",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8,x",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8,",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8,integrit",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8integrity",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8,integrity=no",
        "cofre.root=luks,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8,integrity,integrity",
        "cofre.root=luks,integrity,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8",
        "cofre.root=luks,integrity",
        "cofre.root=integrity,uuid=96d9e729-6ef7-8bb0-8c9a-b86d268844b8",
        "cofre.root=verity,hash=" ONES ",salt=" TWOS,
        "cofre.root=verity,hash=" ONES ",salt=" TWOS ",blocks=",
        "cofre.root=verity,hash=" ONES ",salt=" TWOS ",blocks=0",
        "cofre.root=verity,hash=" ONES ",salt=" TWOS ",blocks=-1",
        "cofre.root=verity,hash=" ONES ",salt=" TWOS ",blocks=7x",
        "cofre.root=verity,hash=" ONES ",salt=" TWOS ",blocks=18446744073709551617",
        "cofre.root=verity,hash=" ONES ",salt=" TWOS ",blocks=77,x",
        "cofre.root=verity,hash=" ONES ",salt=" TWOS ",blocks=77,integrity",
        "cofre.root=verity,hash=" ONES "1,salt=" TWOS ",blocks=77",
        "cofre.root=verity,hash=1,salt=" TWOS ",blocks=77",
        "cofre.root=verity,salt=" TWOS ",hash=" ONES ",blocks=77",
        "cofre.root=verity,hash=" ONES ",salt=" TWOS "g,blocks=77",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct root root;
        struct cofre_err err;
        if (parse(&root, bad[i], &err) != -COFRE_MALFORMED || !strstr(err.text, "is not understood"))
            fail_msg("%s", bad[i]);
    }
}

static void has_the_last_of_other_words(void **state)
{
    (void)state;
    const char text[] = "init=/a init= init=/b xinit=/c initx=/d";
    const struct view cmdline = {(const uint8_t *)text, strlen(text)};
    struct view value;
    assert_true(root_word(cmdline, "init", &value));
    assert_int_equal(value.len, 2);
    assert_memory_equal(value.data, "/b", 2);
    assert_false(root_word(cmdline, "root", &value));
}

static void tells_the_kernel_of_the_tree(void **state)
{
    (void)state;
    struct root root;
    char table[VERITY_TABLE_SIZE];
    assert_int_equal(parse(&root, GOOD, NULL), 0);
    verity_table(table, &root.verity, "/dev/vda", false);
    assert_string_equal(table, "1 /dev/vda /dev/vda 4096 4096 77 77 sha256 " ONES " " TWOS);
    verity_table(table, &root.verity, "/dev/vda", true);
    assert_string_equal(table,
                        "1 /dev/vda /dev/vda 4096 4096 77 77 sha256 " ONES " " TWOS " 1 panic_on_corruption");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_encrypted),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(wants_one_word),
        cmocka_unit_test(refuses_other_words),
        cmocka_unit_test(has_the_last_of_other_words),
        cmocka_unit_test(tells_the_kernel_of_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
