#include "tdx/status.h"

#include <stddef.h>
#include <stdio.h>

static const struct {
    tdx_status code;
    const char *name;
} codes[] = {
    {TDX_SUCCESS, "SUCCESS"},
    {TDX_OPERAND_INVALID, "OPERAND_INVALID"},
    {TDX_OPERAND_BUSY, "OPERAND_BUSY"},
    {TDX_OP_STATE_INCORRECT, "OP_STATE_INCORRECT"},
    {TDX_NO_VCPUS, "NO_VCPUS"},
    {TDX_VCPU_STATE_INCORRECT, "VCPU_STATE_INCORRECT"},
    {TDX_MAX_VCPUS_EXCEEDED, "MAX_VCPUS_EXCEEDED"},
    {TDX_EPT_WALK_FAILED, "EPT_WALK_FAILED"},
    {TDX_EPT_ENTRY_NOT_PRESENT, "EPT_ENTRY_NOT_PRESENT"},
    {TDX_PAGE_ALREADY_ACCEPTED, "PAGE_ALREADY_ACCEPTED"},
    {TDX_PAGE_SIZE_MISMATCH, "PAGE_SIZE_MISMATCH"},
    {TDX_EPT_ENTRY_STATE_INCORRECT, "EPT_ENTRY_STATE_INCORRECT"},
    {TDX_METADATA_FIELD_ID_INCORRECT, "METADATA_FIELD_ID_INCORRECT"},
    {TDX_METADATA_FIELD_NOT_WRITABLE, "METADATA_FIELD_NOT_WRITABLE"},
    {TDX_METADATA_FIELD_NOT_READABLE, "METADATA_FIELD_NOT_READABLE"},
    {TDX_METADATA_FIELD_VALUE_NOT_VALID, "METADATA_FIELD_VALUE_NOT_VALID"},
    {TDX_INVALID_CPUSVN, "INVALID_CPUSVN"},
    {TDX_INVALID_REPORTMACSTRUCT, "INVALID_REPORTMACSTRUCT"},
};

static const struct {
    uint32_t operand;
    const char *name;
} operands[] = {
    {TDX_OPERAND_RAX, "RAX"},
    {TDX_OPERAND_RCX, "RCX"},
    {TDX_OPERAND_RDX, "RDX"},
    {TDX_OPERAND_R8, "R8"},
    {TDX_OPERAND_R9, "R9"},
    {TDX_OPERAND_ATTRIBUTES, "ATTRIBUTES"},
    {TDX_OPERAND_XFAM, "XFAM"},
    {TDX_OPERAND_EXEC_CONTROLS, "CONFIG_FLAGS"},
    {TDX_OPERAND_EPTP_CONTROLS, "EPTP_CONTROLS"},
    {TDX_OPERAND_MAX_VCPUS, "MAX_VCPUS"},
    {TDX_OPERAND_CPUID_CONFIG, "CPUID_CONFIG"},
    {TDX_OPERAND_TSC_FREQUENCY, "TSC_FREQUENCY"},
    {TDX_OPERAND_RTMR, "RTMR"},
};

static const char *code_name(tdx_status status)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == TDX_STATUS_CODE(status))
            return codes[i].name;
    return NULL;
}

static const char *operand_name(tdx_status status)
{
    if (TDX_STATUS_CODE(status) != TDX_OPERAND_INVALID && TDX_STATUS_CODE(status) != TDX_OPERAND_BUSY)
        return NULL;
    for (size_t i = 0; i < sizeof operands / sizeof *operands; i++)
        if (operands[i].operand == TDX_STATUS_DETAILS(status))
            return operands[i].name;
    return NULL;
}

const char *tdx_status_text(char text[TDX_STATUS_TEXT_SIZE], tdx_status status)
{
    const char *code = code_name(status), *operand = operand_name(status);
    if (!code)
        snprintf(text, TDX_STATUS_TEXT_SIZE, "status 0x%016llx", (unsigned long long)status);
    else if (operand)
        snprintf(text, TDX_STATUS_TEXT_SIZE, "%s (%s)", code, operand);
    else if (TDX_STATUS_DETAILS(status))
        snprintf(text, TDX_STATUS_TEXT_SIZE, "%s (details 0x%x)", code, TDX_STATUS_DETAILS(status));
    else
        snprintf(text, TDX_STATUS_TEXT_SIZE, "%s", code);
    return text;
}
