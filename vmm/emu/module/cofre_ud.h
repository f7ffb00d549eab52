/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/cofre-ud: what user space needs to know of the module cofre_ud.
 *
 * open() it, then give the descriptor of one KVM virtual machine to COFRE_UD_CATCH. From then on, until the descriptor
 * is closed, an undefined-opcode exception (#UD) in any vCPU of that machine makes KVM_RUN return 0 with
 * kvm_run.exit_reason = COFRE_UD_EXIT, RIP at the instruction, and nothing injected. No other machine is changed.
 *
 * In the same machines, a guest's access that its nested page tables do not have leaves its address in a struct cofre_ud_fault
 * before KVM looks at it; KVM itself, where it then cannot serve it, only says EFAULT. It lies in kvm_run at COFRE_UD_FAULT_OFFSET:
 * the end of the area of exits' data, which no exit of KVM's reaches. User space clears it before KVM_RUN.
 *
 * COFRE_UD_CATCH fails with EBADF (not a descriptor), EINVAL (not a KVM virtual machine) or EBUSY (this descriptor
 * already serves one).
 */
#ifndef COFRE_UD_H
#define COFRE_UD_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define COFRE_UD_DEVICE "/dev/cofre-ud"
#define COFRE_UD_EXIT   0xc0f5eu
/* Argument: the virtual machine's descriptor. Another number whenever what the module does changes: an older one says ENOTTY. */
#define COFRE_UD_CATCH _IO(0xc0, 0x02)

#define COFRE_UD_FAULT_OFFSET (32 + 256 - 16)
struct cofre_ud_fault {
	__u64 error_code; /* 0: there was none since it was cleared. Bits as the processor and KVM have them: */
	__u64 gpa;
};
#define COFRE_UD_FAULT_FETCH  (1ull << 4)  /* of an instruction */
#define COFRE_UD_FAULT_TABLES (1ull << 33) /* of the guest's own page tables, by its processor */

#endif
