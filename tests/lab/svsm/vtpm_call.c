#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "tests/lab/svsm/guest.h"
#include "tests/lab/svsm/host.h"
#include "tests/lab/svsm/protocol.h"
#include "tests/lab/svsm/vtpm.h"

enum { QUERY = 0, COMMAND = 1 };
enum { TPM_SEND_COMMAND = 8 }; /* of the platform commands (table 15) the only one */

struct __attribute__((packed)) send_command {
    uint32_t platform_command; /* of the response: its size */
    uint8_t locality;
    uint32_t size;
    uint8_t bytes[PAGE_SIZE - 9];
};
static_assert(sizeof(struct send_command) == PAGE_SIZE, "table 16");

static uint32_t command(uint64_t gpa)
{
    static struct send_command asked;
    static uint8_t response[PAGE_SIZE - 4];
    uint8_t *page = gpa % PAGE_SIZE ? NULL : guest_memory(gpa, PAGE_SIZE);
    if (!page)
        return SVSM_ERR_INVALID_ADDRESS;
    memcpy(&asked, page, sizeof asked);
    if (asked.platform_command != TPM_SEND_COMMAND || asked.locality != 0 || asked.size > sizeof asked.bytes)
        return SVSM_ERR_INVALID_PARAMETER;
    const uint32_t len =
        (uint32_t)vtpm_command(asked.locality, asked.bytes, asked.size, response, sizeof response);
    if (!len)
        return SVSM_ERR_INVALID_PARAMETER;
    memcpy(page, &len, sizeof len);
    memcpy(page + sizeof len, response, len);
    return SVSM_SUCCESS;
}

uint32_t vtpm_call(uint32_t call, struct snp_vmsa *registers)
{
    switch (call) {
    case QUERY:
        registers->rcx = 1u << TPM_SEND_COMMAND;
        registers->rdx = 0; /* features: none are defined */
        return SVSM_SUCCESS;
    case COMMAND:
        return command(registers->rcx);
    default:
        return SVSM_ERR_UNSUPPORTED_CALL;
    }
}
