/*
 * What a program that is not ours needs to know of the emulated backend, to be put on it (vmm/emulate): descriptors are its
 * own affair, and it may duplicate them, map them or read from them as it likes.
 */
#ifndef COFRE_EMU_OFFER_H
#define COFRE_EMU_OFFER_H

#include <stdbool.h>

/* The host has virtual machines of this type (KVM_X86_SNP_VM, KVM_X86_TDX_VM) and no other beside plain ones. False: there
 * is no such type. Before anything is opened. */
bool emu_offer_only(unsigned vm_type);

enum emu_descriptor { EMU_NOT_OURS, EMU_KVM, EMU_GUEST_MEMFD };
enum emu_descriptor emu_descriptor(int fd);

/* to is another descriptor of what from is one of. 0 or -errno. */
int emu_duplicated(int from, int to);

#endif
