/*
 * The shim run unprivileged in this process, at its own addresses: each privileged instruction traps, and a test's signal
 * handler plays the part of the hardware.
 */
#ifndef COFRE_TEST_SHIM_IN_PROCESS_H
#define COFRE_TEST_SHIM_IN_PROCESS_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "vmm/base/bytes.h"

#define LOWEST 0x10000 /* unprivileged processes map nothing below */

uint64_t guest_symbol(struct view elf, const char *name);
void guest_map(uint64_t from, uint64_t to, int protection);
/* Writes to over each occurrence of from, both of 4 bytes; returns how many there were. */
unsigned guest_replace(uint8_t *image, size_t len, const char *from, const char *to);

/* The guest's page tables from START_PML4 on as the hardware would walk them; *marked is whether mask is in the leaf. */
bool guest_translate(uint64_t va, uint64_t mask, uint64_t *gpa, bool *marked);

typedef void guest_trap(int signal, siginfo_t *info, void *context);
/* Calls the guest's function until a trap jumps to guest_done. */
void guest_run(uint64_t function, guest_trap *trap);
extern sigjmp_buf guest_done;
/* Steps over what every TEE's shim does and needs no hardware: MOV to CR3, LIDT, REP STOSB where nothing is mapped. */
bool guest_step(greg_t *registers, const siginfo_t *info);

#endif
