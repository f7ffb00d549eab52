/*
 * Which vCPUs run. The first one starts with the launch; every other waits, inside KVM_RUN, until the guest starts it: by INIT and
 * SIPI from the VMSA that was launched, or by AP creation (GHCB specification 4.1.9) from one that the guest gives it. A vCPU is
 * changed by its own thread only: the others leave a note and wake or interrupt it.
 */
#define LOG_ROOM "emu"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/snp/snp.h"

/* Interrupts a vCPU thread of the caller's; chosen where programs rarely have one of their own. */
#define KICK_SIGNAL (SIGRTMAX - 3)

#define LARGE_PAGE (2ull << 20)

enum { REQUEST_CREATE_ON_INIT = 0, REQUEST_CREATE = 1, REQUEST_DESTROY = 2 };

static void do_nothing(int number)
{
    (void)number;
}

static void install_kick(void)
{
    struct sigaction action = {.sa_handler = do_nothing};
    sigaction(KICK_SIGNAL, &action, NULL);
}

void snp_ap_init(struct snp_vcpu *vcpu)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_kick);
    pthread_mutex_init(&vcpu->ap.lock, NULL);
    vcpu->ap.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vcpu->ap.state = vcpu->emu.id == 0 ? AP_RUNNING : AP_OFF;
}

void snp_ap_free(struct snp_vcpu *vcpu)
{
    if (vcpu->ap.event >= 0)
        close(vcpu->ap.event);
    pthread_mutex_destroy(&vcpu->ap.lock);
}

/* Until somebody leaves a note, or a signal comes. Signals are blocked until the wait itself, so that one which only
 * sets immediate_exit is not missed. */
static int wait_for_note(struct snp_vcpu *vcpu)
{
    sigset_t all, before;
    struct pollfd event = {.fd = vcpu->ap.event, .events = POLLIN};
    uint64_t count;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = vcpu->emu.run->immediate_exit ? -1 : ppoll(&event, 1, NULL, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0) {
        vcpu->emu.run->exit_reason = KVM_EXIT_INTR;
        return -EINTR;
    }
    return read(vcpu->ap.event, &count, sizeof(count)) < 0 && errno != EAGAIN ? -errno : EMU_RESUME;
}

static int set_mp_state(struct snp_vcpu *vcpu, uint32_t state)
{
    struct kvm_mp_state mp = {state};
    return host_ioctl(vcpu->emu.fd, KVM_SET_MP_STATE, &mp);
}

/* The local APIC as it is now is what AP creation resets it to. */
static int remember_reset(struct snp_vcpu *vcpu)
{
    struct kvm_sregs sregs;
    sigset_t kick;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &sregs);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_LAPIC, &vcpu->ap.lapic);
    if (rc)
        return rc;
    vcpu->ap.apic_base = sregs.apic_base;
    vcpu->ap.thread = pthread_self();
    vcpu->ap.reset_known = true;
    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    return 0;
}

/* As VMRUN would refuse: KVM_EXIT_FAIL_ENTRY with the exit code VMEXIT_INVALID. */
static int refuse_entry(struct snp_vcpu *vcpu, const char *why)
{
    log_error("the guest is ended: vCPU %u cannot start from the VMSA at %#llx: %s", vcpu->emu.id,
              (unsigned long long)vcpu->ap.vmsa, why);
    vcpu->emu.run->fail_entry.hardware_entry_failure_reason = UINT64_MAX;
    vcpu->emu.run->exit_reason = KVM_EXIT_FAIL_ENTRY;
    return EMU_EXIT;
}

/* The priority in CR8 with it, which is the APIC's. */
static int reset_apic(struct snp_vcpu *vcpu)
{
    struct kvm_sregs sregs;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &sregs);
    sregs.apic_base = vcpu->ap.apic_base;
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_SET_SREGS, &sregs);
    return rc ? rc : host_ioctl(vcpu->emu.fd, KVM_SET_LAPIC, &vcpu->ap.lapic);
}

static int start_from(struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa)
{
    int rc = snp_vmpl_reset(vcpu);
    if (rc)
        return rc;
    rc = snp_vmsa_load(vcpu, vmsa);
    if (!rc)
        rc = reset_apic(vcpu);
    if (!rc)
        rc = set_mp_state(vcpu, KVM_MP_STATE_RUNNABLE);
    if (rc)
        return refuse_entry(vcpu, "its registers are not a state that a processor can have");
    vcpu->ghcb = (struct snp_ghcb_msr){.registered = UINT64_MAX};
    vcpu->ap.state = AP_RUNNING;
    return EMU_RESUME;
}

static int start_created(struct snp_vcpu *vcpu)
{
    struct snp_vmsa vmsa;
    if (snp_read_vmsa(snp_vm_of(vcpu), vcpu->ap.vmsa, &vmsa) != 0)
        return refuse_entry(vcpu, "it is not a validated private page that RMPADJUST made a VMSA");
    if (vmsa.vmpl != 0 || vmsa.sev_features != snp_vm_of(vcpu)->sev_features || !(vmsa.efer & 1ull << 12))
        return refuse_entry(vcpu, "its VMPL, SEV features or EFER are not this guest's");
    log_debug("vCPU %u starts from the VMSA at %#llx", vcpu->emu.id, (unsigned long long)vcpu->ap.vmsa);
    return start_from(vcpu, &vmsa);
}

/*
 * The plain KVM takes INIT itself, and would take the SIPI after it: it would enter the guest at the SIPI's vector. So between the two
 * it is told that there was no INIT. What wakes it then is the SIPI, which starts the vCPU as it was launched, whatever its vector
 * (Linux arch/x86/kvm/svm/sev.c, sev_vcpu_deliver_sipi_vector). One before INIT is lost, as on a processor.
 */
static int on_init_or_sipi(struct snp_vcpu *vcpu)
{
    struct kvm_mp_state mp;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_MP_STATE, &mp);
    if (rc)
        return rc;
    vcpu->ap.initialised |= mp.mp_state != KVM_MP_STATE_UNINITIALIZED;
    if (vcpu->ap.initialised && mp.mp_state != KVM_MP_STATE_INIT_RECEIVED) { /* both may have come at once */
        log_debug("vCPU %u starts as it was launched", vcpu->emu.id);
        return start_from(vcpu, &vcpu->ap.launched);
    }
    rc = set_mp_state(vcpu, KVM_MP_STATE_UNINITIALIZED);
    return rc ? rc : EMU_RESUME;
}

/* Does what the note says, with the lock held. EMU_RESUME: see what state that gave. */
static int take_note(struct snp_vcpu *vcpu)
{
    int rc = EMU_RESUME;
    switch (vcpu->ap.pending) {
    case AP_DESTROY:
        vcpu->ap.state = AP_OFF;
        break;
    case AP_CREATE:
        rc = start_created(vcpu);
        break;
    case AP_CREATE_ON_INIT: /* stays until INIT: the plain KVM waits for that */
        rc = set_mp_state(vcpu, KVM_MP_STATE_UNINITIALIZED);
        return rc ? rc : EMU_RESUME;
    case AP_NOTHING:
        break;
    }
    vcpu->ap.pending = AP_NOTHING;
    return rc;
}

int snp_ap_ready(struct snp_vcpu *vcpu)
{
    for (;;) {
        pthread_mutex_lock(&vcpu->ap.lock);
        int rc = vcpu->ap.reset_known ? EMU_RESUME : remember_reset(vcpu);
        if (rc >= 0)
            rc = take_note(vcpu);
        bool run = rc == EMU_RESUME && (vcpu->ap.state != AP_OFF || vcpu->ap.pending == AP_CREATE_ON_INIT);
        vcpu->ap.in_run = run;
        pthread_mutex_unlock(&vcpu->ap.lock);
        if (run || rc != EMU_RESUME)
            return rc;
        rc = wait_for_note(vcpu);
        if (rc != EMU_RESUME)
            return rc;
    }
}

void snp_ap_left(struct snp_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->ap.lock);
    vcpu->ap.in_run = false;
    if (vcpu->ap.kicked)
        vcpu->emu.run->immediate_exit =
            0; /* set by the kick; the caller gets EINTR and looks for reasons of his own */
    vcpu->ap.kicked = false;
    pthread_mutex_unlock(&vcpu->ap.lock);
}

int snp_ap_on_event(struct snp_vcpu *vcpu)
{
    int rc = -EAGAIN;
    pthread_mutex_lock(&vcpu->ap.lock);
    if (vcpu->ap.pending == AP_CREATE_ON_INIT) {
        vcpu->ap.pending = AP_CREATE;
        rc = EMU_RESUME;
    } else if (vcpu->ap.state == AP_LAUNCHED)
        rc = on_init_or_sipi(vcpu);
    pthread_mutex_unlock(&vcpu->ap.lock);
    return rc;
}

void snp_ap_launched(struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa)
{
    if (vcpu->ap.state == AP_RUNNING)
        return;
    vcpu->ap.launched = *vmsa;
    vcpu->ap.state = AP_LAUNCHED;
}

int snp_ap_hold(struct snp_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->ap.lock);
    vcpu->ap.state = AP_OFF;
    pthread_mutex_unlock(&vcpu->ap.lock);
    return EMU_RESUME;
}

static void leave_note(struct snp_vcpu *target, int note, uint64_t vmsa)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&target->ap.lock);
    target->ap.pending = note;
    target->ap.vmsa = vmsa;
    if (target->ap.in_run && note != AP_CREATE_ON_INIT) {
        target->ap.kicked = true;
        target->emu.run->immediate_exit = 1;
        pthread_kill(target->ap.thread, KICK_SIGNAL);
    }
    if (write(target->ap.event, &one, sizeof(one)) < 0)
        log_error("vCPU %u cannot be woken (%s)", target->emu.id, strerror(errno));
    pthread_mutex_unlock(&target->ap.lock);
}

static struct snp_vcpu *vcpu_by_id(struct snp_vm *vm, uint32_t id)
{
    struct snp_vcpu *found = NULL;
    pthread_mutex_lock(&vm->emu.lock);
    for (unsigned i = 0; i < vm->emu.vcpu_count; i++)
        if (vm->emu.vcpu[i]->id == id)
            found = snp_vcpu(vm->emu.vcpu[i]);
    pthread_mutex_unlock(&vm->emu.lock);
    return found;
}

int snp_ap_creation(struct snp_vcpu *by, uint32_t request, uint32_t apic_id, uint64_t sev_features,
                    uint64_t vmsa)
{
    static const int notes[] = {AP_CREATE_ON_INIT, AP_CREATE, AP_DESTROY};
    struct snp_vm *vm = snp_vm_of(by);
    struct snp_vcpu *target = vcpu_by_id(vm, apic_id);
    const unsigned vmpl = request >> 16; /* of which KVM knows 0 only */
    if (vm->has_vmpls && vmpl) {
        if ((request & 0xffff) == REQUEST_DESTROY)
            return snp_vmpl_destroy(by, apic_id, vmpl);
        return (request & 0xffff) == REQUEST_CREATE ? snp_vmpl_create(by, apic_id, vmpl, sev_features, vmsa)
                                                    : -EINVAL;
    }
    if (!target || request > REQUEST_DESTROY)
        return -EINVAL;
    if (request != REQUEST_DESTROY) {
        /* KVM refuses 2 MiB alignment because of a processor erratum; guests must know it. */
        if (sev_features != vm->sev_features || vmsa % EMU_PAGE_SIZE || vmsa % LARGE_PAGE == 0)
            return -EINVAL;
    }
    log_debug("AP creation: vCPU %u, request %u, VMSA %#llx", apic_id, request, (unsigned long long)vmsa);
    leave_note(target, notes[request], vmsa);
    return 0;
}
