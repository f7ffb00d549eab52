/* A TDVF image made here, small enough to spoil one field at a time. */
#ifndef COFRE_TESTS_TDX_TDVF_IMAGE_H
#define COFRE_TESTS_TDX_TDVF_IMAGE_H

#include "tdx/tdvf.h"

#define SIZE     0x6000u
#define METADATA (SIZE - 2048)
#define BASE     (OVMF_END - SIZE)

extern uint8_t image[SIZE];
extern uint8_t *distance; /* the TDX entry's data */

enum { CODE, VARIABLES, MEM, HOB, SECTIONS };
extern const struct tdx_tdvf_section good[SECTIONS];
extern const uint32_t offsets[SECTIONS];

/* A test's setup: a good image. */
int make_image(void **state);
/* Instead of that section of the metadata, with its data at that offset of the image. */
void put_section(size_t i, const struct tdx_tdvf_section *s, uint32_t offset);

#endif
