/*
 * The TPM 2.0 (TCG library specification 1.59) of the lab's SVSM, by libtpms. It is made anew at each start: what it stores lies in
 * memory and goes with it, as AMD 58019 (Secure VM Service Module for SEV-SNP guests) has an ephemeral vTPM.
 *
 * It asks the C library for memory, random bytes and the time; it opens no file and starts no thread. One caller at a time.
 */
#ifndef TESTS_LAB_SVSM_VTPM_H
#define TESTS_LAB_SVSM_VTPM_H

#include <stddef.h>
#include <stdint.h>

#define VTPM_COMMAND_MAX  4096 /* bytes of a command, and of a response */
#define VTPM_LOCALITY_MAX 3    /* locality 4 is hardware's, at a dynamic launch, which nobody here can make */

/* A new TPM, after TPM2_Startup(CLEAR), whose endorsement key is known; one of before is gone. -EIO: the library could not. */
int vtpm_start(void);

/* One command, as it came from a guest: of any bytes. Gives the size of the TPM's response, which may be an error of the TPM's; 0 for
 * what is no command (fewer bytes than a header, or more than VTPM_COMMAND_MAX), for a locality above VTPM_LOCALITY_MAX, where the
 * response is longer than size, and where no TPM was started. */
size_t vtpm_command(uint8_t locality, const uint8_t *command, size_t len, uint8_t *response, size_t size);

/* The public area (TPMT_PUBLIC) of the endorsement key: NIST P-256 by template L-2 of the TCG's EK Credential Profile 2.0, of this TPM's
 * endorsement seed, so that a guest who makes it by that template has the same key. It is the vTPM's service manifest of version 0 in
 * AMD 58019. Gives its size; 0 where it is longer than size, or no TPM was started. */
size_t vtpm_ek_public(uint8_t *out, size_t size);

#endif
