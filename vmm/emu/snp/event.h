/*
 * Serving the events of the GHCB page. Each service gets our copy of the page, answers in the guest's own, and returns
 * EMU_RESUME, EMU_EXIT (the caller of KVM_RUN must do something; complete() then goes on) or -errno.
 */
#ifndef COFRE_EMU_SNP_EVENT_H
#define COFRE_EMU_SNP_EVENT_H

#include "vmm/emu/snp/ghcb.h"
#include "vmm/emu/snp/snp.h"

/* Writes one field of the guest's GHCB and marks it valid. 0 or -errno. */
int event_put(struct snp_vcpu *vcpu, size_t offset, uint64_t value);
#define EVENT_PUT(vcpu, field, value) event_put((vcpu), offsetof(struct ghcb, field), (value))

/* SW_EXITINFO1 and 2, then back to the guest. */
int event_answer(struct snp_vcpu *vcpu, uint64_t info_1, uint64_t info_2);
int event_refuse(struct snp_vcpu *vcpu, enum ghcb_refusal why);

int event_exit_map_gpa(struct snp_vcpu *vcpu, uint64_t gfn, uint64_t pages, bool private, bool large,
                       int (*complete)(struct emu_vcpu *));
int event_map_gpa_result(struct snp_vcpu *vcpu, bool *converted);

int event_page_state_change(struct snp_vcpu *vcpu, const struct ghcb *ghcb); /* ghcb_psc.c */
int event_guest_request(struct snp_vcpu *vcpu, const struct ghcb *ghcb);     /* ghcb_request.c */
int event_port_io(struct snp_vcpu *vcpu, const struct ghcb *ghcb);           /* ghcb_io.c */
int event_mmio(struct snp_vcpu *vcpu, const struct ghcb *ghcb);

#endif
