/* The instructions that confidential guests execute and plain KVM does not know, by their bytes (APM volume 3, SDM
 * volume 2). */
#ifndef COFRE_EMU_INSN_H
#define COFRE_EMU_INSN_H

#include <stddef.h>
#include <stdint.h>

enum insn {
    INSN_OTHER,
    INSN_PVALIDATE, /* F2 0F 01 FF */
    INSN_RMPADJUST, /* F3 0F 01 FE */
    INSN_VMGEXIT,   /* F3 0F 01 D9, or F2: VMMCALL with a repeat prefix */
    INSN_VMMCALL,   /* 0F 01 D9 */
    INSN_TDCALL,    /* 66 0F 01 CC */
};

#define INSN_LENGTH_MAX 4

enum insn insn_decode(const uint8_t *bytes, size_t len);

#endif
