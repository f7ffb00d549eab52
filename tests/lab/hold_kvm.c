/*
 * Holds one empty virtual machine for as long as the lab runs: tests/lab/init says why. Built without sanitizers: of their shadow
 * memory the kernel makes huge pages after a while, which launches_leave_nothing takes for memory that a launch left.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
        perror("hold-kvm: a virtual machine");
        return 5;
    }
    for (;;)
        pause();
}
