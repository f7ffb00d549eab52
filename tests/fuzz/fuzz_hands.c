/*
 * What hands takes from a decider that was taken over. Of a request that is let through it must hold that cofre-vmm's command line
 * has no word of the decider's but the kernel's command line, behind its option, and names no file; of an answer, that no count leads
 * out of it. The small files of the kernel are read beside, for a guest's process is among their writers.
 */
#include <stdbool.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/bytes.h"
#include "vmm/host/hands/command.h"
#include "vmm/host/hands/flat.h"
#include "vmm/host/hands/hands.h"

enum kind { REQUEST, ANSWER, TEXT, KINDS };

static const struct hands_start plain = {
    .cpus = 1, .memory = 256 << 20, .given = HANDS_KERNEL, .tenant = "shop"};

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static struct hands_request request;
    static struct hands_answer answer;
    static const char text[] =
        "usage_usec 12\nuser_usec 5\n0-3,6\n8:0 rbytes=5 wbytes=1 rios=2 wios=3\nmax\n";
    struct hands_start *s = &request.start;
    size_t size = hands_request_size(HANDS_START);
    memset(&request, 0, sizeof request);
    request.header = (struct hands_header){HANDS_VERSION, HANDS_START, 1, 7};
    *s = plain;
    strcpy(s->cmdline, "console=hvc0 quiet");
    out[0] = REQUEST;
    switch (index) {
    case 0:
        s->pages = HANDS_PAGES_2M;
        s->locked = 1;
        break;
    case 1:
        s->tee = HANDS_TEE_SNP;
        s->emulated = s->vsock = 1;
        s->given |= HANDS_INITRD | HANDS_ID_BLOCK | HANDS_ID_AUTH | HANDS_CERTIFICATES | HANDS_POLICY |
                    HANDS_HOST_DATA | HANDS_EXPECT;
        s->policy = 0x30000;
        s->disks = 2;
        s->disk[1] = (struct hands_disk){.read_only = 1, .serial = "root"};
        break;
    case 2:
        s->tee = HANDS_TEE_TDX;
        s->given |=
            HANDS_ATTRIBUTES | HANDS_MRCONFIGID | HANDS_MROWNER | HANDS_MROWNERCONFIG | HANDS_RTMR0 * 15;
        s->networks = 2;
        s->network[0] = (struct hands_network){.kind = HANDS_PASST};
        s->network[1] = (struct hands_network){.kind = HANDS_TAP, .bridge = 3, .mac = {2, 0, 0, 0, 0, 1}};
        break;
    case 3:
        request.header.what = HANDS_LIMIT;
        size = hands_request_size(HANDS_LIMIT);
        request.limits = (struct hands_limits){.cpu_weight = 100, .cpu_quota = 500, .cpus = {15}};
        break;
    case 4:
        memset(&answer, 0, sizeof answer);
        answer.header = (struct hands_header){HANDS_VERSION, HANDS_LIST, 1, 0};
        answer.list = (struct hands_list){.count = 1, .entry = {{.guest = 7, .state = HANDS_IS_RUNNING}}};
        out[0] = ANSWER;
        size = HANDS_ANSWER_HEAD + offsetof(struct hands_list, entry) + sizeof answer.list.entry[0];
        memcpy(out + 1, &answer, size);
        return 1 + size;
    case 5:
        out[0] = TEXT;
        memcpy(out + 1, text, sizeof text);
        return 1 + sizeof text;
    default:
        return 0;
    }
    memcpy(out + 1, &request, size);
    return 1 + size;
}

/* "fd=12" with nothing but the parts that command.c knows behind it. */
static bool is_descriptor(const char *word)
{
    size_t digits = strspn(word + 3, "0123456789");
    return strncmp(word, "fd=", 3) == 0 && digits && (!word[3 + digits] || word[3 + digits] == ',');
}

static void check_value(const char *option, const char *value)
{
    static const char *const files[] = {"--kernel",        "--initrd",       "--id-block",
                                        "--id-auth",       "--certificates", "--console",
                                        "--console-input", "--launches",     "--disk"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(option, files[i]) == 0)
            FUZZ_CHECK(is_descriptor(value));
    FUZZ_CHECK(value[0] != '-' && !strchr(value, '/'));
}

static bool is_flag(const char *word)
{
    return strcmp(word, "--json") == 0 || strcmp(word, "--emulated") == 0 || strcmp(word, "--no-reboot") == 0;
}

static void check_command(const struct hands_request *request)
{
    static struct command c;
    struct command_descriptors d = {.console = 3, .launches = 4};
    for (int i = 0; i < 5; i++)
        d.file[i] = 10 + i;
    for (int i = 0; i < HANDS_DISKS_MAX; i++)
        d.disk[i] = 20 + i;
    for (int i = 0; i < HANDS_NETWORKS_MAX; i++)
        d.tap[i] = 40 + i;
    command_make(&c, "cofre-vmm", request->header.guest, &request->start, &d);
    FUZZ_CHECK(!c.argv[c.words] && c.words >= 2);
    FUZZ_CHECK(strcmp(c.argv[c.words - 1], request->start.cmdline) == 0 &&
               strcmp(c.argv[c.words - 2], "--cmdline") == 0);
    for (unsigned i = 1; i + 2 < c.words; i++) {
        FUZZ_CHECK(strncmp(c.argv[i], "--", 2) == 0);
        if (!is_flag(c.argv[i])) {
            check_value(c.argv[i], c.argv[i + 1]);
            i++;
        }
    }
}

static void take_request(const uint8_t *data, size_t size)
{
    static struct hands_request request;
    struct cofre_err err;
    if (size > sizeof request)
        return;
    memset(&request, 0, sizeof request);
    memcpy(&request, data, size);
    if (hands_request_check(&request, size, &err)) {
        FUZZ_CHECK(err.text[0]);
        return;
    }
    FUZZ_CHECK(hands_request_descriptors(&request) <= HANDS_DESCRIPTORS_MAX);
    if (request.header.what == HANDS_START)
        check_command(&request);
}

static void take_answer(const uint8_t *data, size_t size)
{
    static struct hands_answer answer;
    if (size > sizeof answer)
        return;
    memset(&answer, 0, sizeof answer);
    memcpy(&answer, data, size);
    if (hands_answer_check(&answer, size, NULL))
        return;
    FUZZ_CHECK(strnlen(answer.sentence, sizeof answer.sentence) < sizeof answer.sentence);
    if (answer.header.what == HANDS_LIST && answer.code == 0)
        FUZZ_CHECK((const uint8_t *)&answer.list.entry[answer.list.count] == (uint8_t *)&answer + size);
}

static void take_text(const uint8_t *data, size_t size)
{
    static char text[4096], again[4096];
    uint64_t number = 0, bits[4], same[4];
    if (size >= sizeof text)
        return;
    memcpy(text, data, size);
    text[size] = 0;
    (void)flat_number(&number, text);
    (void)flat_keyed(&number, text, "usage_usec");
    number = 0;
    (void)flat_sum(&number, text, "rbytes");
    if (flat_bits(bits, 4, text) && flat_bits_format(again, sizeof again, bits, 4))
        FUZZ_CHECK(flat_bits(same, 4, again) && memcmp(bits, same, sizeof bits) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static void (*const takers[KINDS])(const uint8_t *data, size_t size) = {take_request, take_answer,
                                                                            take_text};
    takers[data[0] % KINDS](data + 1, size - 1);
    return 0;
}
