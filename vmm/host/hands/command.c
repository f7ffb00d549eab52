#include "vmm/host/hands/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/bytes.h"

#define VSOCK_CID 3 /* each guest has its sockets to itself */
/* What the largest checked message comes to, with room: nothing here is ever cut. */
_Static_assert(COMMAND_TEXT_MAX > HANDS_CMDLINE_MAX + HANDS_DISKS_MAX * 64 + HANDS_NETWORKS_MAX * 64 + 4096,
               "text for every word");
_Static_assert(COMMAND_WORDS_MAX > 2 * (HANDS_DISKS_MAX + HANDS_NETWORKS_MAX) + 64, "a place for every word");

static void word(struct command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void word(struct command *c, const char *format, ...)
{
    size_t room = sizeof c->text - c->used;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(c->text + c->used, room, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room || c->words == COMMAND_WORDS_MAX)
        abort(); /* the assertions above are wrong */
    c->argv[c->words++] = c->text + c->used;
    c->used += (size_t)n + 1;
}

static void hex(struct command *c, const char *option, const char *before, const void *data, size_t size)
{
    char text[2 * 48 + 1];
    hex_encode(text, data, size);
    word(c, "%s", option);
    word(c, "%s%s", before, text);
}

void command_name(char out[COMMAND_NAME_SIZE], uint32_t guest)
{
    snprintf(out, COMMAND_NAME_SIZE, "guest-%" PRIu32, guest);
}

static void files(struct command *c, const struct hands_start *s, const struct command_descriptors *d)
{
    static const char *const options[] = {"--kernel", "--initrd", "--id-block", "--id-auth",
                                          "--certificates"};
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
        if (s->given & HANDS_KERNEL << i) {
            word(c, "%s", options[i]);
            word(c, "fd=%d", d->file[i]);
        }
}

static void numbers(struct command *c, const struct hands_start *s)
{
    const struct {
        uint32_t given;
        const char *option;
        uint64_t value;
    } values[] = {{HANDS_POLICY, "--policy", s->policy}, {HANDS_ATTRIBUTES, "--attributes", s->attributes}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (s->given & values[i].given) {
            word(c, "%s", values[i].option);
            word(c, "0x%" PRIx64, values[i].value);
        }
}

static void identities(struct command *c, const struct hands_start *s)
{
    const struct {
        uint32_t given;
        const char *option, *before;
        const void *data;
        size_t size;
    } values[] = {
        {HANDS_HOST_DATA, "--host-data", "", s->host_data, sizeof s->host_data},
        {HANDS_MRCONFIGID, "--mrconfigid", "", s->mrconfigid, sizeof s->mrconfigid},
        {HANDS_MROWNER, "--mrowner", "", s->mrowner, sizeof s->mrowner},
        {HANDS_MROWNERCONFIG, "--mrownerconfig", "", s->mrownerconfig, sizeof s->mrownerconfig},
        {HANDS_EXPECT, "--expect-measurement", "", s->expect, sizeof s->expect},
        {HANDS_RTMR0 << 0, "--expect-rtmr", "0:", s->rtmr[0], sizeof s->rtmr[0]},
        {HANDS_RTMR0 << 1, "--expect-rtmr", "1:", s->rtmr[1], sizeof s->rtmr[1]},
        {HANDS_RTMR0 << 2, "--expect-rtmr", "2:", s->rtmr[2], sizeof s->rtmr[2]},
        {HANDS_RTMR0 << 3, "--expect-rtmr", "3:", s->rtmr[3], sizeof s->rtmr[3]},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (s->given & values[i].given)
            hex(c, values[i].option, values[i].before, values[i].data, values[i].size);
}

static void disk(struct command *c, const struct hands_disk *d, int fd)
{
    word(c, "--disk");
    word(c, "fd=%d%s%s%.*s", fd, d->read_only ? ",ro" : "", d->serial[0] ? ",serial=" : "",
         (int)sizeof d->serial, d->serial);
}

static void network(struct command *c, const struct hands_network *n, int tap)
{
    char backend[32] = "passt", mac[32] = "";
    const uint8_t *m = n->mac;
    if (n->kind == HANDS_TAP)
        snprintf(backend, sizeof backend, "tap-fd=%d", tap);
    if (!bytes_are_zero(m, sizeof n->mac))
        snprintf(mac, sizeof mac, ",mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
    word(c, "--net");
    word(c, "%s%s", backend, mac);
}

void command_make(struct command *c, const char *program, uint32_t guest, const struct hands_start *s,
                  const struct command_descriptors *d)
{
    static const char *const tees[] = {"none", "snp", "tdx"}, *const pages[] = {"", ",pages=2M", ",pages=1G"};
    char name[COMMAND_NAME_SIZE];
    command_name(name, guest);
    *c = (struct command){0};
    const char *const fixed[] = {program, "--json", "--name", name, "--tee", tees[s->tee]};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        word(c, "%s", fixed[i]);
    if (s->emulated)
        word(c, "--emulated");
    if (s->no_reboot)
        word(c, "--no-reboot");
    word(c, "--console");
    word(c, "fd=%d", d->console);
    word(c, "--console-input");
    word(c, "fd=0");
    word(c, "--launches");
    word(c, "fd=%d", d->launches);
    word(c, "--rates");
    word(c, "fd=%d", d->rates);
    word(c, "--cpus");
    word(c, "%" PRIu32, s->cpus);
    word(c, "--memory");
    word(c, "%" PRIu64 "%s%s", s->memory, pages[s->pages], s->locked ? ",locked" : "");
    if (s->limits.node) {
        word(c, "--numa-node");
        word(c, "%" PRIu32, s->limits.node - 1);
    }
    if (s->vsock) {
        word(c, "--vsock-cid");
        word(c, "%d", VSOCK_CID);
    }
    files(c, s, d);
    numbers(c, s);
    identities(c, s);
    for (unsigned i = 0; i < s->disks; i++)
        disk(c, &s->disk[i], d->disk[i]);
    for (unsigned i = 0; i < s->networks; i++)
        network(c, &s->network[i], d->tap[i]);
    word(c, "--cmdline");
    word(c, "%s", s->cmdline);
}
