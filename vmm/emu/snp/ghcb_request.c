/*
 * Guest requests (GHCB specification 4.1.7, 4.1.8): messages between the guest and the firmware, of which the host sees
 * only where they lie; the extended ones carry a certificate table that the caller of KVM_RUN may fill.
 */
#define LOG_ROOM "emu"
#include <errno.h>
#include <string.h>

#include "sev/fw_status.h"
#include "vmm/base/log.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/snp/event.h"

/* SW_EXITINFO2: the hypervisor's error in bits 63:32, the firmware's in 31:0. */
#define VMM_ERROR(code) ((uint64_t)(code) << 32)
#define VMM_INVALID_LEN 1u
#define VMM_BUSY        2u
#define VMM_GENERIC     0xffffffffu

#define CERT_TABLE_END 24 /* bytes of zeros that end a certificate table */

/* The replayed request: what the firmware said first is said again, whatever is asked. */
static void replay(struct snp_vm *vm, uint8_t *response)
{
    if (!lie_is(LIE_REPLAYED_REQUEST))
        return;
    if (vm->replay.kept)
        memcpy(response, vm->replay.response, EMU_PAGE_SIZE);
    else
        memcpy(vm->replay.response, response, EMU_PAGE_SIZE);
    vm->replay.kept = true;
}

static int ask_firmware(struct snp_vcpu *vcpu)
{
    struct snp_guest_request *r = &vcpu->request;
    struct snp_vm *vm = snp_vm_of(vcpu);
    uint8_t request[EMU_PAGE_SIZE];
    uint8_t response[EMU_PAGE_SIZE] = {0};
    if (memory_read_shared(&vm->emu.memory, r->request, request, sizeof(request)) != 0) {
        log_error("the guest is ended: vCPU %u sends a guest request at %#llx, which is not shared memory",
                  vcpu->emu.id, (unsigned long long)r->request);
        return -EIO;
    }
    pthread_mutex_lock(&vm->emu.lock); /* one request at a time, as the firmware has it */
    enum psp_status status = psp_guest_request(vm->guest, request, response);
    if (status == PSP_SUCCESS)
        replay(vm, response);
    pthread_mutex_unlock(&vm->emu.lock);
    log_debug("vCPU %u: guest request: %s", vcpu->emu.id, snp_fw_status(status)->name);
    if (status == PSP_SUCCESS &&
        memory_write_shared(&vm->emu.memory, r->response, response, sizeof(response)) != 0) {
        log_error("the guest is ended: vCPU %u wants a response at %#llx, which is not shared memory",
                  vcpu->emu.id, (unsigned long long)r->response);
        return -EIO;
    }
    return event_answer(vcpu, 0, status);
}

static void alter_certificates(struct snp_vcpu *vcpu, uint64_t gpa, uint64_t pages)
{
    const size_t somewhere = 24 * 6 + 300; /* behind the table's header, inside the first certificate */
    uint8_t byte;
    if (!lie_is(LIE_ALTERED_CERTIFICATES) || pages == 0)
        return;
    if (memory_read_shared(&vcpu->emu.vm->memory, gpa + somewhere, &byte, 1) == 0) {
        byte ^= 1;
        memory_write_shared(&vcpu->emu.vm->memory, gpa + somewhere, &byte, 1);
    }
}

static int certificates_complete(struct emu_vcpu *emu)
{
    struct snp_vcpu *vcpu = snp_vcpu(emu);
    const struct uapi_exit_snp_req_certs *answer = uapi_exit_snp_req_certs(vcpu->emu.run);
    uint64_t npages = answer->npages;
    int rc;
    switch (answer->ret) {
    case 0:
        alter_certificates(vcpu, answer->gpa, vcpu->request.pages);
        return ask_firmware(vcpu);
    case ENOSPC:
        rc = EVENT_PUT(vcpu, rbx, npages);
        return rc ? rc : event_answer(vcpu, 0, VMM_ERROR(VMM_INVALID_LEN));
    case EAGAIN:
        return event_answer(vcpu, 0, VMM_ERROR(VMM_BUSY));
    case EIO:
        return event_answer(vcpu, 0, VMM_ERROR(VMM_GENERIC));
    default:
        return -EINVAL;
    }
}

static int exit_for_certificates(struct snp_vcpu *vcpu, uint64_t gpa, uint64_t pages)
{
    struct uapi_exit_snp_req_certs *ask = uapi_exit_snp_req_certs(vcpu->emu.run);
    *ask = (struct uapi_exit_snp_req_certs){.gpa = gpa, .npages = pages};
    return emu_vcpu_exit(&vcpu->emu, KVM_EXIT_SNP_REQ_CERTS, certificates_complete);
}

static int extended(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    static const uint8_t empty_table[CERT_TABLE_END];
    struct snp_vm *vm = snp_vm_of(vcpu);
    uint8_t type;
    uint64_t at = ghcb->exit_info_1 + offsetof(struct snp_guest_msg_header, msg_type);
    if (memory_read_shared(&vm->emu.memory, at, &type, 1) != 0)
        return -EIO;
    if (type != SNP_MSG_REPORT_REQ)
        return ask_firmware(vcpu);
    if (!GHCB_IS_VALID(ghcb, rax) || !GHCB_IS_VALID(ghcb, rbx) || ghcb->rax % EMU_PAGE_SIZE)
        return event_refuse(vcpu, GHCB_INVALID_INPUT);
    vcpu->request.pages = ghcb->rbx;
    if (vm->request_certificates)
        return exit_for_certificates(vcpu, ghcb->rax, ghcb->rbx);
    if (ghcb->rbx && memory_write_shared(&vm->emu.memory, ghcb->rax, empty_table, sizeof(empty_table)) != 0)
        return -EIO;
    return ask_firmware(vcpu);
}

int event_guest_request(struct snp_vcpu *vcpu, const struct ghcb *ghcb)
{
    vcpu->request = (struct snp_guest_request){.request = ghcb->exit_info_1, .response = ghcb->exit_info_2};
    return ghcb->exit_code == GHCB_EXT_GUEST_REQUEST ? extended(vcpu, ghcb) : ask_firmware(vcpu);
}
