// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gives the #UD of chosen KVM virtual machines to user space (see cofre_ud.h), so that instructions which this
 * processor lacks (PVALIDATE, RMPADJUST) can be emulated there, and tells it what address a guest touched.
 *
 * KVM's AMD and Intel halves both send an intercepted #UD to handle_ud(). A probe at its entry replaces the call, for
 * the machines that asked, by one that asks KVM_RUN to return. The probe sits on the function's ftrace site, which is
 * what lets its handler choose where execution continues; a probe of another kind would not, and is refused. Both halves
 * send page faults to kvm_mmu_page_fault(), where a second probe looks on.
 */
#include <linux/cleanup.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "cofre_ud.h"

/* One open descriptor, and the machine that it serves. */
struct catcher {
	struct list_head link;
	struct kvm *kvm;
	struct rcu_head rcu;
};

static LIST_HEAD(catchers);
static DEFINE_SPINLOCK(catchers_lock);

static bool is_caught(const struct kvm *kvm)
{
	const struct catcher *c;
	bool found = false;

	rcu_read_lock();
	list_for_each_entry_rcu(c, &catchers, link)
		if (c->kvm == kvm) {
			found = true;
			break;
		}
	rcu_read_unlock();
	return found;
}

/* Stands in for handle_ud(): 0 makes KVM_RUN return to user space. */
static int leave_to_user(struct kvm_vcpu *vcpu)
{
	vcpu->run->exit_reason = COFRE_UD_EXIT;
	return 0;
}

static int at_handle_ud(struct kprobe *probe, struct pt_regs *regs)
{
	const struct kvm_vcpu *vcpu = (const void *)regs->di;

	if (!is_caught(vcpu->kvm))
		return 0;
	instruction_pointer_set(regs, (unsigned long)leave_to_user);
	return 1;
}
NOKPROBE_SYMBOL(at_handle_ud);

static int at_page_fault(struct kprobe *probe, struct pt_regs *regs)
{
	const struct kvm_vcpu *vcpu = (const void *)regs->di;
	struct cofre_ud_fault *fault = (void *)vcpu->run + COFRE_UD_FAULT_OFFSET;

	if (is_caught(vcpu->kvm))
		*fault = (struct cofre_ud_fault){ .error_code = regs->dx, .gpa = regs->si };
	return 0;
}
NOKPROBE_SYMBOL(at_page_fault);

static struct kprobe on_ud = {
	.symbol_name = "handle_ud",
	.pre_handler = at_handle_ud,
};
static struct kprobe on_page_fault = {
	.symbol_name = "kvm_mmu_page_fault",
	.pre_handler = at_page_fault,
};
static struct kprobe *probes[] = { &on_ud, &on_page_fault };

static int ud_open(struct inode *inode, struct file *file)
{
	struct catcher *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);

	if (!c)
		return -ENOMEM;
	file->private_data = c;
	return nonseekable_open(inode, file);
}

static int catch_vm(struct catcher *c, struct kvm *kvm)
{
	spin_lock(&catchers_lock);
	if (c->kvm || !kvm_get_kvm_safe(kvm)) {
		spin_unlock(&catchers_lock);
		return -EBUSY;
	}
	c->kvm = kvm;
	list_add_rcu(&c->link, &catchers);
	spin_unlock(&catchers_lock);
	return 0;
}

static long ud_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct file *vm;
	long rc;

	if (request != COFRE_UD_CATCH)
		return -ENOTTY;
	vm = fget(argument);
	if (!vm)
		return -EBADF;
	rc = file_is_kvm(vm) ? catch_vm(file->private_data, vm->private_data) : -EINVAL;
	fput(vm);
	return rc;
}

static int ud_release(struct inode *inode, struct file *file)
{
	struct catcher *c = file->private_data;

	if (c->kvm) {
		spin_lock(&catchers_lock);
		list_del_rcu(&c->link);
		spin_unlock(&catchers_lock);
		kvm_put_kvm(c->kvm);
	}
	kfree_rcu(c, rcu);
	return 0;
}

static const struct file_operations ud_fops = {
	.owner = THIS_MODULE,
	.open = ud_open,
	.release = ud_release,
	.unlocked_ioctl = ud_ioctl,
};

static struct miscdevice ud_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "cofre-ud",
	.fops = &ud_fops,
	.mode = 0666, /* as /dev/kvm: it changes nothing but the opener's own machine */
};

static int __init ud_init(void)
{
	int rc;

	BUILD_BUG_ON(offsetof(struct kvm_run, padding) + sizeof_field(struct kvm_run, padding) !=
		     COFRE_UD_FAULT_OFFSET + sizeof(struct cofre_ud_fault));
	rc = register_kprobes(probes, ARRAY_SIZE(probes));
	if (rc) {
		pr_err("cofre_ud: no probes on KVM's handle_ud and kvm_mmu_page_fault (%d); is kvm loaded, with CONFIG_KPROBES?\n",
		       rc);
		return rc;
	}
	if (!kprobe_ftrace(&on_ud)) {
		pr_err("cofre_ud: the probe on handle_ud is not ftrace-based; CONFIG_KPROBES_ON_FTRACE is needed\n");
		rc = -EOPNOTSUPP;
	}
	if (!rc)
		rc = misc_register(&ud_device);
	if (rc)
		unregister_kprobes(probes, ARRAY_SIZE(probes));
	return rc;
}

static void __exit ud_exit(void)
{
	misc_deregister(&ud_device);
	unregister_kprobes(probes, ARRAY_SIZE(probes));
}

module_init(ud_init);
module_exit(ud_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Leaves KVM guests' undefined opcodes to user space (Cofre's emulated platform)");
