/* What the programs that run the payloads have in common: results in TAP, those of the payload among them. */
#ifndef COFRE_TESTS_LAB_EMU_TAP_H
#define COFRE_TESTS_LAB_EMU_TAP_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

void result(bool right, const char *what);
/* rc, or the end of the program where that is negative. */
int must(int rc, const char *what);
/* Bail out: the reason and errno. */
_Noreturn void give_up(const char *what);
/* GUEST_PORT answers what was written to it; the payload's lines on GUEST_LOG_PORT become results. */
void on_io(struct kvm_run *run);
/* The plan, and the end of the program. */
_Noreturn void tap_end(void);

#endif
