// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM keeps its intercept of guests' writes to CR8, which it would take off while no interrupt waits for the task priority.
 *
 * For QEMU's software CPU only: where a guest writes CR8 itself while a virtual interrupt is pending, as KVM has one to learn
 * when interrupts are open again, QEMU raises it without its lock, and ends ("assertion failed: (bql_locked())", seen with
 * 10.0). Linux does not write CR8. OVMF does at the end of every interrupt.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

static void do_nothing(void)
{
}

static int at_update(struct kprobe *probe, struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)do_nothing);
	return 1;
}

static struct kprobe probe = {
	.symbol_name = "svm_update_cr8_intercept",
	.pre_handler = at_update,
};

static int __init cr8_init(void)
{
	int rc = register_kprobe(&probe);

	if (rc)
		pr_err("lab_cr8: no probe on KVM's svm_update_cr8_intercept (%d)\n", rc);
	return rc;
}

static void __exit cr8_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(cr8_init);
module_exit(cr8_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Keeps KVM's intercept of CR8 (for QEMU's software CPU)");
