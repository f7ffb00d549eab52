/* Port I/O and MMIO by GHCB: the same exits that the instructions themselves would give on a plain guest. */
#include <errno.h>
#include <string.h>

#include "vmm/emu/snp/event.h"

static int port_complete(struct emu_vcpu *emu)
{
    struct snp_vcpu *vcpu = snp_vcpu(emu);
    const struct snp_port_io *io = &vcpu->io;
    uint8_t data[GHCB_SHARED_BUFFER_END];
    size_t len = (size_t)io->size * io->count;
    uint64_t rax = 0;
    int rc = 0;
    memcpy(data, emu_vcpu_port_data(&vcpu->emu), len);
    if (io->in && io->string) {
        rc = memory_write_shared(&vcpu->emu.vm->memory, io->scratch, data, len);
    } else if (io->in) {
        memcpy(&rax, data, len);
        rc = EVENT_PUT(vcpu, rax, rax);
    }
    return rc ? rc : event_answer(vcpu, 0, 0);
}

/* What is written: RAX's low bytes, or the string in our copy of the GHCB's shared buffer. */
static void port_output(struct snp_vcpu *vcpu, const struct ghcb *ghcb, size_t scratch, size_t len)
{
    const uint8_t *from = vcpu->io.string ? (const uint8_t *)ghcb + scratch : (const uint8_t *)&ghcb->rax;
    if (!vcpu->io.in)
        memcpy(emu_vcpu_port_data(&vcpu->emu), from, len);
}

int event_port_io(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    struct ghcb_io io = ghcb_io_decode(ghcb->exit_info_1);
    uint64_t count = io.string ? ghcb->exit_info_2 : 1;
    size_t scratch = 0;
    if (io.size == 0)
        return event_refuse(vcpu, GHCB_INVALID_INPUT);
    if (count == 0)
        return event_answer(vcpu, 0, 0);
    if (io.string && (count > GHCB_SHARED_BUFFER_END ||
                      !ghcb_scratch(ghcb->scratch, vcpu->ghcb.value, count * io.size, &scratch)))
        return event_refuse(vcpu, GHCB_INVALID_SCRATCH);
    vcpu->io = (struct snp_port_io){.in = io.in,
                                    .string = io.string,
                                    .size = io.size,
                                    .count = (unsigned)count,
                                    .scratch = ghcb->scratch};
    port_output(vcpu, ghcb, scratch, (size_t)count * io.size);
    return emu_vcpu_exit_io(&vcpu->emu, io.in, io.port, io.size, (unsigned)count, port_complete);
}

static int mmio_complete(struct emu_vcpu *emu)
{
    struct snp_vcpu *vcpu = snp_vcpu(emu);
    const struct snp_mmio *m = &vcpu->mmio;
    int rc = 0;
    if (m->read)
        rc = memory_write_shared(&vcpu->emu.vm->memory, m->scratch, vcpu->emu.run->mmio.data, m->len);
    return rc ? rc : event_answer(vcpu, 0, 0);
}

int event_mmio(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    uint64_t len = ghcb->exit_info_2;
    size_t scratch;
    if (len == 0)
        return event_answer(vcpu, 0, 0);
    if (len > 8)
        return event_refuse(vcpu, GHCB_INVALID_INPUT);
    if (!ghcb_scratch(ghcb->scratch, vcpu->ghcb.value, len, &scratch))
        return event_refuse(vcpu, GHCB_INVALID_SCRATCH);
    vcpu->mmio = (struct snp_mmio){
        .read = ghcb->exit_code == GHCB_MMIO_READ, .len = (unsigned)len, .scratch = ghcb->scratch};
    const uint8_t *data = vcpu->mmio.read ? NULL : (const uint8_t *)ghcb + scratch;
    return emu_vcpu_exit_mmio(&vcpu->emu, ghcb->exit_info_1, data, (unsigned)len, mmio_complete);
}
