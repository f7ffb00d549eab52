/* The SVSM's guest: its memory, as far as it is its own, and its only vCPU, at GUEST_VMPL. */
#ifndef TESTS_LAB_SVSM_GUEST_H
#define TESTS_LAB_SVSM_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sev/abi.h"

#define GUEST_VMPL 2

/* Opens its memory to it and makes ready what Linux finds at its start. secrets: the shim's page. */
void guest_make(const uint8_t *boot_params, const struct snp_secrets_page *secrets);

/* Private memory that the guest has: a copy of what it asks with may be taken from it, and answers put there. NULL where it is not,
 * or crosses a page that is not. */
void *guest_memory(uint64_t gpa, size_t len);
/* SVSM_CORE_PVALIDATE's two ways. 0, or what PVALIDATE gave, or one of these. */
enum { GUEST_NO_MEMORY = -1, GUEST_UNCHANGED = -2 };
int guest_validate(uint64_t gpa, bool large);
int guest_rescind(uint64_t gpa, bool large);

/* Its registers while it does not run. */
struct snp_vmsa *guest_vmsa(void);

/* Its calling area (58019, chapter 5). */
struct calling_area {
    uint8_t call_pending, memory_available, reserved[6];
    uint8_t buffer[4088];
};
struct calling_area *guest_calling_area(void);
bool guest_move_calling_area(uint64_t gpa);

#endif
