/* What cofre doctor looks at: tables of findings, one a vendor, and what their looks share. */
#ifndef COFRE_CLI_DOCTOR_H
#define COFRE_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/kvm/kvm.h"

/* What a line is needed for; each of these can be launched when all of its lines are good. */
enum { NEEDED_PLAIN = 1, NEEDED_SNP = 2, NEEDED_TDX = 4, NEEDED_EMULATED = 8 };

struct finding {
    const char *id;
    unsigned needed_for;                   /* 0: good to know */
    const char *consequence, *remedy;      /* where it is missing */
    bool (*look)(char *what, size_t size); /* writes what was seen; true: good */
};

/* Of a vendor's findings only the first is looked at where the CPU is another vendor's: the rest says nothing there. */
struct findings {
    const char *vendor; /* as CPUID has it; NULL: any */
    const struct finding *finding;
    size_t count;
};

extern const struct findings doctor_snp, doctor_tdx, doctor_cofred;

/* cofred's configuration, of which doctor_cofred looks at what it names; false: there is none, or it is no JSON. */
bool doctor_read_cofred(const char *path, struct cofre_err *err);
void doctor_forget_cofred(void);

bool doctor_open_kvm(struct kvm *kvm, char *what, size_t size);
/* The first line of a small file; empty where it cannot be read. */
void doctor_first_line(const char *path, char *line, size_t size);
bool doctor_kernel(char *what, size_t size, unsigned least_minor); /* Linux 6.least_minor or later */
bool doctor_vm_type(char *what, size_t size, unsigned type);       /* KVM_CAP_VM_TYPES has it */
/* /sys/module/MODULE/parameters/NAME is on. */
bool doctor_parameter(char *what, size_t size, const char *module, const char *name);

#endif
