/* An OVMF image made here, small enough to spoil one field at a time. */
#ifndef COFRE_TESTS_SEV_OVMF_IMAGE_H
#define COFRE_TESTS_SEV_OVMF_IMAGE_H

#include "sev/layout.h"

#define SIZE     8192u
#define TABLE    (SIZE - 32)   /* where the GUID table ends */
#define METADATA (SIZE - 2048) /* where the SEV metadata begins */

extern uint8_t image[SIZE];
extern uint8_t *below;    /* where the next entry of the table ends */
extern uint8_t *entry[4]; /* the data of each entry, in the order in which they were added */
extern size_t entries;
extern uint8_t *footer_len;
extern const uint8_t reset[16], hashes[16], metadata[16]; /* GUIDs */

enum { RESET, HASHES, META };
enum { MEM, SECRETS, CPUID, KERNEL };

/* A test's setup: a good image. */
int make_image(void **state);
uint8_t *add_entry(const uint8_t guid[16], const uint32_t *numbers, size_t count);
/* The section of that number in the metadata. */
uint8_t *section(size_t i);
void put_section(size_t i, uint32_t gpa, uint32_t size, uint32_t type);

#endif
