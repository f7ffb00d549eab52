/* IGVM files made here, header by header; any of them may then be spoiled. */
#ifndef COFRE_TESTS_IGVM_MADE_IGVM_H
#define COFRE_TESTS_IGVM_MADE_IGVM_H

#include "vmm/igvm/file.h"

struct made_igvm {
    struct bytes file;
    size_t begin, room; /* of headers */
    size_t headers;     /* bytes of them so far */
    size_t data;        /* where the next data goes */
    size_t last;        /* where in the file the last header begins */
};

/* Room for so many bytes of headers and of data; more is a failure of the test. bytes_free(&made->file) afterwards. */
void igvm_made_begin(struct made_igvm *made, unsigned version, size_t header_room, size_t data_room);
/* A header of zeros: its body, which stays where it is. */
uint8_t *igvm_made_header(struct made_igvm *made, uint32_t type, uint32_t len);
/* Data, and where in the file it lies; NULL: zeros. */
uint32_t igvm_made_data(struct made_igvm *made, const void *data, size_t len);
/* Sizes and checksum: the file, which may grow on, be spoiled, and ended again. */
struct view igvm_made_whole(struct made_igvm *made);

uint8_t *igvm_made_platform(struct made_igvm *made, unsigned type, uint32_t mask);
uint8_t *igvm_made_policy(struct made_igvm *made, uint32_t mask, uint64_t policy);
/* offset 0: no data. */
uint8_t *igvm_made_page(struct made_igvm *made, uint32_t mask, uint64_t gpa, uint32_t offset, uint32_t flags,
                        unsigned type);
uint8_t *igvm_made_area(struct made_igvm *made, uint32_t number, uint64_t size, uint32_t offset);
uint8_t *igvm_made_parameter(struct made_igvm *made, uint32_t type, uint32_t area, uint32_t offset);
uint8_t *igvm_made_insert(struct made_igvm *made, uint32_t mask, uint64_t gpa, uint32_t area);
uint8_t *igvm_made_context(struct made_igvm *made, uint32_t mask, uint64_t gpa, uint32_t offset, unsigned vp);
uint8_t *igvm_made_memory(struct made_igvm *made, uint32_t type, uint32_t mask, uint64_t gpa, uint32_t size);

#define MADE_LARGE      1u
#define MADE_UNMEASURED 2u
#define MADE_SHARED     4u

#endif
