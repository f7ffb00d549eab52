/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/cofre-ud: what user space needs to know of the module cofre_ud.
 *
 * open() it, then give the descriptor of one KVM virtual machine to COFRE_UD_CATCH. From then on, until the descriptor
 * is closed, an undefined-opcode exception (#UD) in any vCPU of that machine makes KVM_RUN return 0 with
 * kvm_run.exit_reason = COFRE_UD_EXIT, RIP at the instruction, and nothing injected. No other machine is changed.
 *
 * COFRE_UD_CATCH fails with EBADF (not a descriptor), EINVAL (not a KVM virtual machine) or EBUSY (this descriptor
 * already serves one).
 */
#ifndef COFRE_UD_H
#define COFRE_UD_H

#include <linux/ioctl.h>

#define COFRE_UD_DEVICE "/dev/cofre-ud"
#define COFRE_UD_EXIT   0xc0f5eu
#define COFRE_UD_CATCH  _IO(0xc0, 0x01) /* argument: the virtual machine's descriptor */

#endif
