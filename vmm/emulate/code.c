#include "vmm/emulate/code.h"

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <string.h>

#define BEFORE 512u /* bytes, from which decoding begins */
#define STARTS 8u

static const uint8_t cpuid[2] = {0x0f, 0xa2};

static bool arrives(const ZydisDecoder *decoder, const uint8_t *from, const uint8_t *at, const uint8_t *end)
{
    ZydisDecodedInstruction instruction;
    while (from < at) {
        if (ZYAN_SUCCESS(
                ZydisDecoderDecodeInstruction(decoder, NULL, from, (size_t)(end - from), &instruction)))
            from += instruction.length;
        else
            from++; /* a place to start from may lie within an instruction */
    }
    return from == at;
}

/* False where an instruction only contains these bytes. */
static bool is_instruction(const ZydisDecoder *decoder, const uint8_t *code, const uint8_t *at,
                           const uint8_t *end)
{
    const size_t before = (size_t)(at - code) < BEFORE ? (size_t)(at - code) : BEFORE;
    bool all = true;
    for (size_t i = 0; all && i < STARTS && i <= before; i++)
        all = arrives(decoder, at - before + i, at, end);
    return all;
}

const uint8_t *code_next_cpuid(const uint8_t *code, size_t len, const uint8_t *from)
{
    ZydisDecoder decoder;
    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
        return NULL;
    for (; (from = memmem(from, len - (size_t)(from - code), cpuid, sizeof cpuid)); from++)
        if (is_instruction(&decoder, code, from, code + len))
            break;
    return from;
}
