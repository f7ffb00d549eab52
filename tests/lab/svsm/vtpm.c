#include "tests/lab/svsm/vtpm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_nvfilename.h>

#define HEADER 10 /* tag, size of the whole, code: part 1, 18 */

static bool started;
static uint8_t at_locality;

/* What the TPM stores */

static uint8_t *stored;
static uint32_t stored_len;

/* Of three kinds of state the permanent one alone is of use to a TPM that is never stopped. */
static bool is_permanent(const char *name)
{
    return strcmp(name, TPM_PERMANENT_ALL_NAME) == 0;
}

static TPM_RESULT nothing_to_do(void)
{
    return TPM_SUCCESS;
}

/* The library frees what it gets. TPM_RETRY: there is none yet, and a TPM is made. */
static TPM_RESULT load(unsigned char **data, uint32_t *len, uint32_t tpm, const char *name)
{
    (void)tpm;
    if (!is_permanent(name) || !stored)
        return TPM_RETRY;
    *data = malloc(stored_len);
    if (!*data)
        return TPM_FAIL;
    memcpy(*data, stored, stored_len);
    *len = stored_len;
    return TPM_SUCCESS;
}

static TPM_RESULT store(const unsigned char *data, uint32_t len, uint32_t tpm, const char *name)
{
    (void)tpm;
    if (!is_permanent(name))
        return TPM_FAIL;
    uint8_t *const bigger = len > stored_len ? realloc(stored, len) : stored;
    if (!bigger)
        return TPM_FAIL;
    stored = bigger;
    stored_len = len;
    memcpy(stored, data, len);
    return TPM_SUCCESS;
}

static TPM_RESULT forget(uint32_t tpm, const char *name, TPM_BOOL must_exist)
{
    (void)tpm;
    if (is_permanent(name)) {
        free(stored);
        stored = NULL;
        stored_len = 0;
    }
    return must_exist && !is_permanent(name) ? TPM_FAIL : TPM_SUCCESS;
}

static TPM_RESULT locality(TPM_MODIFIER_INDICATOR *out, uint32_t tpm)
{
    (void)tpm;
    *out = at_locality;
    return TPM_SUCCESS;
}

static TPM_RESULT nobody_is_present(TPM_BOOL *out, uint32_t tpm)
{
    (void)tpm;
    *out = false;
    return TPM_SUCCESS;
}

/* Commands */

/* The library writes into what it is given. */
static size_t command(const uint8_t *bytes, size_t len, const uint8_t **response)
{
    static uint8_t mine[VTPM_COMMAND_MAX];
    static unsigned char *theirs;
    static uint32_t theirs_size;
    uint32_t out = 0;

    memcpy(mine, bytes, len);
    if (TPMLIB_Process(&theirs, &out, &theirs_size, mine, (uint32_t)len) != TPM_SUCCESS || out < HEADER)
        return 0;
    *response = theirs;
    return out;
}

size_t vtpm_command(uint8_t at, const uint8_t *bytes, size_t len, uint8_t *response, size_t size)
{
    if (!started || at > VTPM_LOCALITY_MAX || len < HEADER || len > VTPM_COMMAND_MAX)
        return 0;
    const uint8_t *answer;
    at_locality = at;
    const size_t out = command(bytes, len, &answer);
    if (out > size)
        return 0;
    if (out)
        memcpy(response, answer, out);
    return out;
}

/* The endorsement key */

/* TPM2_CreatePrimary of part 3, 24.1, up to the public area that is wanted. */
static const uint8_t create_start[] = {
    0x80, 0x02, 0,    0,    0, 0, /* with sessions; the size comes in here */
    0,    0,    0x01, 0x31,       /* TPM_CC_CreatePrimary */
    0x40, 0,    0,    0x0b,       /* below the endorsement hierarchy */
    0,    0,    0,    9,          /* whose password is empty: */
    0x40, 0,    0,    9,    0, 0, /* TPM_RS_PW, no nonce, */
    0,    0,    0,                /* no attributes, no bytes */
    0,    4,    0,    0,    0, 0, /* the key has no password and is not given */
};
/* Template L-2, without the point at its end. */
static const uint8_t template[] = {
    0x00, 0x23,             /* ECC */
    0x00, 0x0b,             /* its name is a SHA-256 */
    0x00, 0x03, 0x00, 0xb2, /* stays in this TPM and parent, made inside, by policy, restricted, decrypts */
    0x00, 0x20,             /* PolicyA: TPM2_PolicySecret with the endorsement hierarchy */
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46,
    0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1,
    0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa, 0x00, 0x06, 0x00, 0x80, 0x00, 0x43, /* AES-128-CFB for what it wraps */
    0x00, 0x10, 0x00, 0x03, 0x00, 0x10, /* no scheme, NIST P-256, no KDF */
};
#define COORDINATE 32
#define POINT      (2 * (2 + COORDINATE))
#define PUBLIC     (sizeof template + POINT)
#define CREATE     (sizeof create_start + 2 + PUBLIC + 2 + 4)
#define OUT_PUBLIC (HEADER + 4 + 4) /* behind the new key's handle and the parameters' size */

static uint8_t ek[PUBLIC];

static void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static size_t get16(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

static bool succeeded(const uint8_t *response, size_t len)
{
    static const uint8_t success[4];
    return len >= HEADER && memcmp(response + 6, success, sizeof success) == 0;
}

/* The key with this handle leaves the TPM: a guest has all places. */
static int flush(const uint8_t handle[4])
{
    uint8_t flush[14] = {0x80, 0x01, 0, 0, 0, sizeof flush, 0, 0, 0x01, 0x65};
    const uint8_t *response;
    memcpy(flush + HEADER, handle, 4);
    const size_t len = command(flush, sizeof flush, &response);
    return succeeded(response, len) ? 0 : -EIO;
}

/* The point in a public area at p, which is one of the template: each coordinate has its size before it. */
static bool is_ek(const uint8_t *p)
{
    const uint8_t *const x = p + sizeof template, *const y = x + 2 + COORDINATE;
    return memcmp(p, template, sizeof template) == 0 && get16(x) == COORDINATE && get16(y) == COORDINATE;
}

static int make_ek(void)
{
    uint8_t create[CREATE] = {0}; /* the template's point is zero, outside information and PCRs are none */
    uint8_t *const wanted = create + sizeof create_start;
    const uint8_t *response;
    uint8_t handle[4];

    memcpy(create, create_start, sizeof create_start);
    put16(create + 4, sizeof create);
    put16(wanted, PUBLIC);
    memcpy(wanted + 2, template, sizeof template);
    put16(wanted + 2 + sizeof template, COORDINATE);
    put16(wanted + 2 + sizeof template + 2 + COORDINATE, COORDINATE);
    const size_t len = command(create, sizeof create, &response);
    if (!succeeded(response, len) || len < OUT_PUBLIC + 2 + PUBLIC ||
        get16(response + OUT_PUBLIC) != PUBLIC || !is_ek(response + OUT_PUBLIC + 2))
        return -EIO;
    memcpy(ek, response + OUT_PUBLIC + 2, PUBLIC);
    memcpy(handle, response + HEADER, sizeof handle);
    return flush(handle);
}

size_t vtpm_ek_public(uint8_t *out, size_t size)
{
    if (!started || size < sizeof ek)
        return 0;
    memcpy(out, ek, sizeof ek);
    return sizeof ek;
}

/* Start */

static int start_library(void)
{
    struct libtpms_callbacks callbacks = {
        .sizeOfStruct = sizeof callbacks,
        .tpm_nvram_init = nothing_to_do,
        .tpm_nvram_loaddata = load,
        .tpm_nvram_storedata = store,
        .tpm_nvram_deletename = forget,
        .tpm_io_init = nothing_to_do,
        .tpm_io_getlocality = locality,
        .tpm_io_getphysicalpresence = nobody_is_present,
    };
    const bool good = TPMLIB_ChooseTPMVersion(TPMLIB_TPM_VERSION_2) == TPM_SUCCESS &&
                      TPMLIB_RegisterCallbacks(&callbacks) == TPM_SUCCESS && TPMLIB_MainInit() == TPM_SUCCESS;
    return good ? 0 : -EIO;
}

int vtpm_start(void)
{
    static const uint8_t startup[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0}; /* TPM_SU_CLEAR */
    const uint8_t *response;

    if (started)
        TPMLIB_Terminate();
    started = false;
    at_locality = 0;
    (void)forget(0, TPM_PERMANENT_ALL_NAME, false);
    if (start_library() < 0)
        return -EIO;
    const size_t len = command(startup, sizeof startup, &response);
    if (!succeeded(response, len) || make_ek() < 0)
        return -EIO;
    started = true;
    return 0;
}
