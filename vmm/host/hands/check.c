#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/host/hands/hands.h"

#define CPUS_OF_A_GUEST   255
#define MEMORY_STEP       (2ull << 20)
#define MEMORY_MAX        (1ull << 46)
#define WEIGHT_MAX        10000
#define QUOTA_MIN         10 /* thousandths: the kernel's least is 1 ms in 100 */
#define NETWORK_RATE_MIN  1024
#define NETWORK_RATE_MAX  (1ull << 40)
#define RATE_MAX          (1ull << 60) /* of disks */
#define BURST_MAX         3600000      /* an hour, in milliseconds */
#define SERIAL_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

static const struct kind {
    uint32_t what;
    bool of_guest, asked;
    size_t request, answer; /* bytes behind the header, and behind an answer's head */
} kinds[] = {
    {HANDS_START, true, true, sizeof(struct hands_start), 0},
    {HANDS_LIMIT, true, true, sizeof(struct hands_limits), 0},
    {HANDS_FREEZE, true, true, 0, 0},
    {HANDS_THAW, true, true, 0, 0},
    {HANDS_TERMINATE, true, true, 0, 0},
    {HANDS_KILL, true, true, 0, 0},
    {HANDS_STATISTICS, true, true, 0, sizeof(struct hands_statistics)},
    {HANDS_OPEN, true, true, sizeof(struct hands_open), 0},
    {HANDS_LIST, false, true, 0, 0 /* by its count */},
    {HANDS_REMOVE, true, true, 0, 0},
    {HANDS_HOST, false, true, 0, sizeof(struct hands_host)},
    {HANDS_LAUNCHED, true, false, 0, 0},
    {HANDS_ENDED, true, false, 0, sizeof(struct hands_ended)},
};

static const struct kind *kind_of(uint32_t what)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].what == what)
            return &kinds[i];
    return NULL;
}

size_t hands_request_size(uint32_t what)
{
    const struct kind *kind = kind_of(what);
    return kind && kind->asked ? sizeof(struct hands_header) + kind->request : 0;
}

unsigned hands_request_descriptors(const struct hands_request *request)
{
    if (request->header.what != HANDS_START)
        return 0;
    const uint32_t files = HANDS_KERNEL | HANDS_INITRD | HANDS_ID_BLOCK | HANDS_ID_AUTH | HANDS_CERTIFICATES;
    return (unsigned)__builtin_popcount(request->start.given & files) + request->start.disks;
}

static int wrong(struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_MALFORMED, "a message between cofred's parts: %s", what);
}

static bool is_flag(uint32_t value)
{
    return value <= 1;
}

/* Text in a field of a fixed size: terminated within it, or filling it where it may, of allowed bytes, and zeros behind it. */
static bool is_text(const char *field, size_t size, bool may_fill, bool (*allowed)(char c))
{
    size_t length = strnlen(field, size);
    if ((length == size && !may_fill) || !bytes_are_zero(field + length, size - length))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!allowed(field[i]))
            return false;
    return true;
}

static bool of_serial(char c)
{
    return strchr(SERIAL_CHARACTERS, c) != NULL;
}

static bool of_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static bool of_cmdline(char c)
{
    return c >= ' ' && c <= '~';
}

static int check_limits(const struct hands_limits *l, struct cofre_err *err)
{
    const struct {
        const char *name;
        uint64_t value, min, max;
    } bounds[] = {
        {"cpu_weight", l->cpu_weight, 1, WEIGHT_MAX},
        {"cpu_quota", l->cpu_quota, QUOTA_MIN, 1000 * HANDS_CPUS_MAX},
        {"numa_node", l->node, 1, HANDS_NODES_MAX},
        {"processes", l->processes, 1, INT32_MAX},
        {"memory", l->memory, 1 << 20, MEMORY_MAX},
        {"disk.read_bytes", l->read_bytes, 1, RATE_MAX},
        {"disk.write_bytes", l->write_bytes, 1, RATE_MAX},
        {"disk.read_operations", l->read_operations, 1, RATE_MAX},
        {"disk.write_operations", l->write_operations, 1, RATE_MAX},
        {"disk.burst", l->disk_burst, 1, BURST_MAX},
        {"network.in", l->network_in, NETWORK_RATE_MIN, NETWORK_RATE_MAX},
        {"network.out", l->network_out, NETWORK_RATE_MIN, NETWORK_RATE_MAX},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i].value && (bounds[i].value < bounds[i].min || bounds[i].value > bounds[i].max))
            return cofre_fail(err, COFRE_USAGE, "limits.%s: %" PRIu64 "; it is %" PRIu64 " to %" PRIu64,
                              bounds[i].name, bounds[i].value, bounds[i].min, bounds[i].max);
    return 0;
}

#define GIVEN_SNP   (HANDS_ID_BLOCK | HANDS_ID_AUTH | HANDS_CERTIFICATES | HANDS_POLICY | HANDS_HOST_DATA)
#define GIVEN_RTMRS (HANDS_RTMR0 | HANDS_RTMR0 << 1 | HANDS_RTMR0 << 2 | HANDS_RTMR0 << 3)
#define GIVEN_TDX                                                                                            \
    (HANDS_ATTRIBUTES | HANDS_MRCONFIGID | HANDS_MROWNER | HANDS_MROWNERCONFIG | (uint32_t)GIVEN_RTMRS)

/* What a guest of that TEE may have. */
static uint32_t given_of(uint32_t tee)
{
    const uint32_t every = HANDS_KERNEL | HANDS_INITRD;
    return tee == HANDS_TEE_SNP   ? every | HANDS_EXPECT | GIVEN_SNP
           : tee == HANDS_TEE_TDX ? every | HANDS_EXPECT | GIVEN_TDX
                                  : every;
}

/* What is not given is zero. */
static bool only_given(const struct hands_start *s)
{
    const struct {
        uint32_t given;
        const void *data;
        size_t size;
    } values[] = {
        {HANDS_POLICY, &s->policy, sizeof s->policy},
        {HANDS_HOST_DATA, s->host_data, sizeof s->host_data},
        {HANDS_ATTRIBUTES, &s->attributes, sizeof s->attributes},
        {HANDS_MRCONFIGID, s->mrconfigid, sizeof s->mrconfigid},
        {HANDS_MROWNER, s->mrowner, sizeof s->mrowner},
        {HANDS_MROWNERCONFIG, s->mrownerconfig, sizeof s->mrownerconfig},
        {HANDS_EXPECT, s->expect, sizeof s->expect},
        {HANDS_RTMR0 << 0, s->rtmr[0], sizeof s->rtmr[0]},
        {HANDS_RTMR0 << 1, s->rtmr[1], sizeof s->rtmr[1]},
        {HANDS_RTMR0 << 2, s->rtmr[2], sizeof s->rtmr[2]},
        {HANDS_RTMR0 << 3, s->rtmr[3], sizeof s->rtmr[3]},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (!(s->given & values[i].given) && !bytes_are_zero(values[i].data, values[i].size))
            return false;
    return true;
}

static int check_devices(const struct hands_start *s, struct cofre_err *err)
{
    if (s->disks > HANDS_DISKS_MAX || s->networks > HANDS_NETWORKS_MAX)
        return wrong(err, "too many disks or networks");
    for (unsigned i = 0; i < HANDS_DISKS_MAX; i++) {
        const struct hands_disk *d = &s->disk[i];
        if (i >= s->disks ? !bytes_are_zero(d, sizeof *d)
                          : !is_flag(d->read_only) || !is_text(d->serial, sizeof d->serial, true, of_serial))
            return wrong(err, "a disk that is none");
    }
    for (unsigned i = 0; i < HANDS_NETWORKS_MAX; i++) {
        const struct hands_network *n = &s->network[i];
        bool tap = n->kind == HANDS_TAP && n->bridge < HANDS_BRIDGES_MAX;
        bool passt = n->kind == HANDS_PASST && n->bridge == 0;
        if (i >= s->networks
                ? !bytes_are_zero(n, sizeof *n)
                : (!tap && !passt) || (n->mac[0] & 1) || !bytes_are_zero(n->zero, sizeof n->zero))
            return wrong(err, "a network that is none");
    }
    return 0;
}

uint64_t hands_page_size(uint32_t pages)
{
    return pages == HANDS_PAGES_2M ? 2ull << 20 : pages == HANDS_PAGES_1G ? 1ull << 30 : 0;
}

static int check_memory(const struct hands_start *s, struct cofre_err *err)
{
    const uint64_t page = hands_page_size(s->pages);
    if (s->memory == 0 || s->memory % MEMORY_STEP || s->memory > MEMORY_MAX)
        return cofre_fail(err, COFRE_USAGE, "memory: %" PRIu64 " bytes; it goes in steps of 2 MiB",
                          s->memory);
    if (page && s->tee != HANDS_TEE_NONE)
        return cofre_fail(err, COFRE_USAGE, "memory_pages: a confidential guest has no huge pages");
    if (page && s->memory % page)
        return cofre_fail(err, COFRE_USAGE, "memory: %" PRIu64 " bytes are no whole number of huge pages",
                          s->memory);
    return 0;
}

static int check_start(const struct hands_start *s, struct cofre_err *err)
{
    uint32_t both = s->given & (HANDS_ID_BLOCK | HANDS_ID_AUTH);
    if (s->tee > HANDS_TEE_TDX || !is_flag(s->emulated) || !is_flag(s->vsock) || !is_flag(s->no_reboot) ||
        s->pages > HANDS_PAGES_1G || !is_flag(s->locked))
        return wrong(err, "a guest of no kind");
    if (!(s->given & HANDS_KERNEL) || s->given & ~given_of(s->tee) || !only_given(s))
        return wrong(err, "a guest with what its kind does not have");
    if (!is_text(s->cmdline, sizeof s->cmdline, false, of_cmdline))
        return wrong(err, "a command line with other bytes than printable ones");
    if (!s->tenant[0] || !is_text(s->tenant, sizeof s->tenant, false, of_name))
        return wrong(err, "a tenant whose name is none");
    int rc = check_devices(s, err);
    if (rc)
        return rc;
    if (s->emulated && s->tee == HANDS_TEE_NONE)
        return cofre_fail(err, COFRE_USAGE, "emulated: a plain guest needs no emulation");
    if (both && both != (HANDS_ID_BLOCK | HANDS_ID_AUTH))
        return cofre_fail(err, COFRE_USAGE, "id_block and id_auth: one is nothing without the other");
    if (s->cpus < 1 || s->cpus > CPUS_OF_A_GUEST)
        return cofre_fail(err, COFRE_USAGE, "cpus: %" PRIu32 "; it is 1 to %d", s->cpus, CPUS_OF_A_GUEST);
    rc = check_memory(s, err);
    return rc ? rc : check_limits(&s->limits, err);
}

int hands_request_check(const struct hands_request *r, size_t size, struct cofre_err *err)
{
    if (size < sizeof r->header || r->header.version != HANDS_VERSION)
        return wrong(err, "of another version");
    const struct kind *kind = kind_of(r->header.what);
    if (!kind || !kind->asked || size != sizeof r->header + kind->request)
        return wrong(err, "no request");
    if (r->header.serial == 0 || kind->of_guest != (r->header.guest != 0))
        return wrong(err, "without its number, or its guest's");
    switch (r->header.what) {
    case HANDS_START:
        return check_start(&r->start, err);
    case HANDS_LIMIT:
        return check_limits(&r->limits, err);
    case HANDS_OPEN:
        return r->open.file >= HANDS_FILE_CONSOLE && r->open.file <= HANDS_FILE_VSOCK
                   ? 0
                   : wrong(err, "a file that is none");
    default:
        return 0;
    }
}

static size_t answer_size(const struct kind *kind, const struct hands_answer *a, size_t size)
{
    if (a->code)
        return HANDS_ANSWER_HEAD;
    if (kind->what != HANDS_LIST)
        return HANDS_ANSWER_HEAD + kind->answer;
    size_t entries = HANDS_ANSWER_HEAD + offsetof(struct hands_list, entry);
    if (size < entries || a->list.count > HANDS_GUESTS_MAX)
        return 0;
    return entries + a->list.count * sizeof a->list.entry[0];
}

int hands_answer_check(const struct hands_answer *a, size_t size, struct cofre_err *err)
{
    if (size < HANDS_ANSWER_HEAD || a->header.version != HANDS_VERSION)
        return wrong(err, "of another version");
    const struct kind *kind = kind_of(a->header.what);
    if (!kind || kind->asked != (a->header.serial != 0) || (!kind->asked && a->code) ||
        kind->of_guest != (a->header.guest != 0))
        return wrong(err, "no answer");
    if (a->code > 0 || a->code < -COFRE_FAILED || !memchr(a->sentence, 0, sizeof a->sentence))
        return wrong(err, "an answer that says nothing");
    if (size != answer_size(kind, a, size))
        return wrong(err, "an answer of another size");
    if (kind->what == HANDS_HOST && a->code == 0 &&
        (a->host.nodes > HANDS_NODES_MAX || a->host.miscs > HANDS_MISC_MAX))
        return wrong(err, "a host of too many parts");
    return 0;
}
