#include "vmm/emu/insn.h"

#include <string.h>

static const struct {
    enum insn insn;
    uint8_t len;
    uint8_t bytes[INSN_LENGTH_MAX];
} insns[] = {
    {INSN_PVALIDATE, 4, {0xf2, 0x0f, 0x01, 0xff}}, {INSN_RMPADJUST, 4, {0xf3, 0x0f, 0x01, 0xfe}},
    {INSN_VMGEXIT, 4, {0xf3, 0x0f, 0x01, 0xd9}},   {INSN_VMGEXIT, 4, {0xf2, 0x0f, 0x01, 0xd9}},
    {INSN_VMMCALL, 3, {0x0f, 0x01, 0xd9}},         {INSN_TDCALL, 4, {0x66, 0x0f, 0x01, 0xcc}},
};

enum insn insn_decode(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < sizeof(insns) / sizeof(insns[0]); i++)
        if (len >= insns[i].len && memcmp(bytes, insns[i].bytes, insns[i].len) == 0)
            return insns[i].insn;
    return INSN_OTHER;
}
