/*
 * KVM_IOEVENTFD: writes that signal an eventfd instead of leaving to the caller. The plain KVM serves those that it sees
 * itself; these are for the others: asked for in a GHCB or by TDCALL, or made with TDX's shared bit in the address.
 */
#ifndef COFRE_EMU_IOEVENT_H
#define COFRE_EMU_IOEVENT_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct ioevents {
    pthread_mutex_t lock;
    struct ioevent *event;
    size_t count;
};

void ioevents_init(struct ioevents *events);
void ioevents_free(struct ioevents *events);
/* What the plain KVM has taken: added or removed. 0 or -errno. */
int ioevents_change(struct ioevents *events, const struct kvm_ioeventfd *change);
/* The exit is such a write, and its eventfd has been signalled: the caller need not see it. */
bool ioevents_signal(struct ioevents *events, const struct kvm_run *run);

#endif
