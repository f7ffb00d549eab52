/*
 * Serving the events of the GHCB page. Each service gets our copy of the page, answers in the guest's own, and returns
 * EMU_RESUME, EMU_EXIT (the caller of KVM_RUN must do something; complete() then goes on) or -errno.
 */
#ifndef COFRE_EMU_EVENT_H
#define COFRE_EMU_EVENT_H

#include "vmm/emu/emu.h"
#include "vmm/emu/ghcb.h"

/* Writes one field of the guest's GHCB and marks it valid. 0 or -errno. */
int event_put(struct emu_vcpu *vcpu, size_t offset, uint64_t value);
#define EVENT_PUT(vcpu, field, value) event_put((vcpu), offsetof(struct ghcb, field), (value))

/* SW_EXITINFO1 and 2, then back to the guest. */
int event_answer(struct emu_vcpu *vcpu, uint64_t info_1, uint64_t info_2);
int event_refuse(struct emu_vcpu *vcpu, enum ghcb_refusal why);

/* Out of KVM_RUN with this reason; complete (or NULL) runs when KVM_RUN is called again. */
int event_exit(struct emu_vcpu *vcpu, uint32_t reason, int (*complete)(struct emu_vcpu *));
int event_exit_map_gpa(struct emu_vcpu *vcpu, uint64_t gfn, uint64_t pages, bool private, bool large,
                       int (*complete)(struct emu_vcpu *));
int event_map_gpa_result(struct emu_vcpu *vcpu, bool *converted);

int event_page_state_change(struct emu_vcpu *vcpu, const struct ghcb *ghcb); /* ghcb_psc.c */
int event_guest_request(struct emu_vcpu *vcpu, const struct ghcb *ghcb);     /* ghcb_request.c */
int event_port_io(struct emu_vcpu *vcpu, const struct ghcb *ghcb);           /* ghcb_io.c */
int event_mmio(struct emu_vcpu *vcpu, const struct ghcb *ghcb);
int event_ap_hold(struct emu_vcpu *vcpu); /* ap.c */

#endif
