/*
 * What Intel's quote generation service (qgsd) speaks over a stream socket: one request, one answer, then it closes.
 * Each is a length (4 bytes, big-endian) and that many bytes of message; the message's own numbers are little-endian.
 * Sources: Intel's DCAP (intel/SGXDataCenterAttestationPrimitives), QuoteGeneration/quote_wrapper:
 * qgs_msg_lib/inc/qgs_msg_lib.h (messages, versions, errors), qgs/qgs_server.cpp (length, one request a connection, its
 * own limit of 30 seconds). Its first releases had protobuf after the same length; these messages replaced it
 * (docs/decisions.md).
 */
#ifndef COFRE_TDX_QGS_H
#define COFRE_TDX_QGS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define QGS_LENGTH_SIZE   4u
#define QGS_MAJOR_VERSION 1u /* another one is another format; minor versions are compatible */
#define QGS_MINOR_VERSION 1u

enum qgs_message_type {
    QGS_GET_QUOTE_REQ = 0,
    QGS_GET_QUOTE_RESP = 1,
};

struct qgs_header {
    uint16_t major_version, minor_version;
    uint32_t type; /* enum qgs_message_type */
    uint32_t size; /* bytes of the message, with this header: the same as the length before it */
    uint32_t
        error_code; /* 0 in requests; in an answer 0 or enum qgs_error, or a code of the quoting library */
};
static_assert(sizeof(struct qgs_header) == 16, "qgs_header");

struct qgs_get_quote_req {
    struct qgs_header header;
    uint32_t report_size; /* TDREPORT, after this structure; not 0 */
    uint32_t
        id_list_size; /* attestation keys to choose from, after the TDREPORT; 0: the service's own choice */
};
static_assert(sizeof(struct qgs_get_quote_req) == 24, "qgs_get_quote_req");

struct qgs_get_quote_resp {
    struct qgs_header header;
    uint32_t selected_id_size; /* the key that was chosen, after this structure; 0 when there was no list */
    uint32_t quote_size;       /* the quote, after it; 0 beside an error */
};
static_assert(sizeof(struct qgs_get_quote_resp) == 24, "qgs_get_quote_resp");
static_assert(offsetof(struct qgs_get_quote_resp, quote_size) == 20, "qgs_get_quote_resp.quote_size");

/* What precedes the quote in an answer, its length included. */
#define QGS_ANSWER_HEAD (QGS_LENGTH_SIZE + sizeof(struct qgs_get_quote_resp))

/* Errors of the message library itself. */
enum qgs_error {
    QGS_SUCCESS = 0,
    QGS_ERROR_UNEXPECTED = 0x12001,
    QGS_ERROR_OUT_OF_MEMORY = 0x12002,
    QGS_ERROR_INVALID_PARAMETER = 0x12003,
    QGS_ERROR_INVALID_VERSION = 0x12004,
    QGS_ERROR_INVALID_TYPE = 0x12005,
    QGS_ERROR_INVALID_SIZE = 0x12006,
    QGS_ERROR_INVALID_CODE = 0x12007,
};

static inline uint32_t qgs_length_get(const uint8_t prefix[QGS_LENGTH_SIZE])
{
    return (uint32_t)prefix[0] << 24 | (uint32_t)prefix[1] << 16 | (uint32_t)prefix[2] << 8 | prefix[3];
}

static inline void qgs_length_put(uint8_t prefix[QGS_LENGTH_SIZE], uint32_t length)
{
    for (unsigned i = 0; i < QGS_LENGTH_SIZE; i++)
        prefix[i] = (uint8_t)(length >> (24 - 8 * i));
}

#endif
