/* A directory: FUSE (linux/fuse.h, protocol 7.31) over virtio. Random bytes are written into its file "probe" and read back. */
#include "tests/lab/hostile/kinds.h"
#include "tests/lab/hostile/request.h"

enum { LOOKUP = 1, OPEN = 14, READ = 15, WRITE_DATA = 16, RELEASE = 18, INIT = 26 };
enum { IN_HEADER = 40, OUT_HEADER = 16, IO_HEADER = 40, DATA = 400, ROOT = 1, READ_WRITE = 2 };
#define ARGUMENT (PROBE + IN_HEADER)
#define RESULT   (REPLY + OUT_HEADER)

struct place {
    uint32_t node[2], handle[2]; /* 64 bits each */
};

/* A call, whose argument lies there, and its result. WENT_ON: it was answered; *error as the answer says, a negative errno or 0. */
static enum outcome call(struct device *d, uint32_t opcode, const uint32_t node[2], uint32_t out, uint32_t in,
                         uint32_t *error)
{
    static uint32_t unique;
    uint32_t written = 0;
    memset(shared(PROBE), 0, IN_HEADER);
    put32(PROBE, IN_HEADER + out);
    put32(PROBE + 4, opcode);
    put32(PROBE + 8, ++unique);
    put32(PROBE + 16, node[0]);
    put32(PROBE + 20, node[1]);
    memset(shared(REPLY), 0xff, OUT_HEADER);
    const enum outcome outcome = ask(d, IN_HEADER + out, OUT_HEADER + in, &written);
    *error = get32(REPLY + 4);
    if (outcome == WENT_ON && (written < OUT_HEADER || get32(REPLY + 8) != unique))
        return wrong(d, "an answer to something else");
    return outcome;
}

/* The same, where an error is wrong. */
static enum outcome demand(struct device *d, uint32_t opcode, const uint32_t node[2], uint32_t out,
                           uint32_t in)
{
    uint32_t error;
    const enum outcome outcome = call(d, opcode, node, out, in, &error);
    return outcome == WENT_ON && error != 0 ? wrong(d, "a call fails") : outcome;
}

static enum outcome find(struct device *d, struct place *at)
{
    const uint32_t root[2] = {ROOT, 0};
    memcpy(shared(ARGUMENT), "probe", 6);
    enum outcome outcome = demand(d, LOOKUP, root, 6, 128);
    at->node[0] = get32(RESULT), at->node[1] = get32(RESULT + 4);
    if (outcome != WENT_ON)
        return outcome;
    memset(shared(ARGUMENT), 0, 8);
    put32(ARGUMENT, READ_WRITE);
    outcome = demand(d, OPEN, at->node, 8, 16);
    at->handle[0] = get32(RESULT), at->handle[1] = get32(RESULT + 4);
    return outcome;
}

static void put_io(const struct place *at, uint32_t offset, uint32_t len)
{
    memset(shared(ARGUMENT), 0, IO_HEADER);
    put32(ARGUMENT, at->handle[0]);
    put32(ARGUMENT + 4, at->handle[1]);
    put32(ARGUMENT + 8, offset);
    put32(ARGUMENT + 16, len);
}

static enum outcome write_and_read(struct device *d, const struct place *at)
{
    static uint8_t data[DATA];
    const uint32_t offset = below(4096);
    put_io(at, offset, DATA);
    fill_random(ARGUMENT + IO_HEADER, DATA);
    memcpy(data, shared(ARGUMENT + IO_HEADER), DATA);
    enum outcome outcome = demand(d, WRITE_DATA, at->node, IO_HEADER + DATA, 8);
    if (outcome == WENT_ON && get32(RESULT) != DATA)
        return wrong(d, "a write is short");
    if (outcome != WENT_ON)
        return outcome;
    put_io(at, offset, DATA);
    outcome = demand(d, READ, at->node, IO_HEADER, DATA);
    if (outcome == WENT_ON && (get32(REPLY) != OUT_HEADER + DATA || memcmp(shared(RESULT), data, DATA)))
        return wrong(d, "it reads otherwise than was written");
    return outcome;
}

/* The directory's session outlives a driver, so that it may have begun already, and says so by an error. */
enum outcome fs_right(struct device *d)
{
    const uint32_t root[2] = {ROOT, 0};
    struct place at;
    uint32_t begun;
    memset(shared(ARGUMENT), 0, 16);
    put32(ARGUMENT, 7);
    put32(ARGUMENT + 4, 31);
    enum outcome outcome = call(d, INIT, root, 16, 64, &begun);
    if (outcome == WENT_ON)
        outcome = find(d, &at);
    if (outcome == WENT_ON)
        outcome = write_and_read(d, &at);
    if (outcome != WENT_ON)
        return outcome;
    put_io(&at, READ_WRITE, 0); /* fuse_release_in: the handle, flags, nothing more */
    return demand(d, RELEASE, at.node, 24, 0);
}
