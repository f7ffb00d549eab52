/*
 * What ties evidence to one TLS channel and to the attested end's key in it. Both ends compute it by this one function, and
 * the verifier compares all 64 bytes. docs/channel.md says against what.
 */
#ifndef COFRE_ATTEST_CHANNEL_BINDING_H
#define COFRE_ATTEST_CHANNEL_BINDING_H

#include <openssl/types.h>

#include "vmm/base/bytes.h"

#define CHANNEL_REPORT_DATA   64
#define CHANNEL_LABEL         "cofre channel 1" /* what report data begins with, its final zero included */
#define CHANNEL_RELEASE_LABEL "cofre release 1" /* the same, where a key is asked for (docs/keys.md) */
#define CHANNEL_NONCE_SIZE    32
#define CHANNEL_NONCE_MAX     64 /* of a verifier with nonces of its own */
#define CHANNEL_EXPORTER_SIZE 32
#define CHANNEL_KEY_MAX       4096 /* bytes of a SubjectPublicKeyInfo */

/* Which end of the TLS connection is attested; the value is the octet that goes into the hash. */
enum channel_end { CHANNEL_CLIENT = 'c', CHANNEL_SERVER = 's' };

static inline enum channel_end channel_other(enum channel_end end)
{
    return end == CHANNEL_CLIENT ? CHANNEL_SERVER : CHANNEL_CLIENT;
}

struct channel_binding {
    enum channel_end end;                    /* of the attested */
    struct view nonce;                       /* the verifier's, 1 to CHANNEL_NONCE_MAX bytes */
    uint8_t exporter[CHANNEL_EXPORTER_SIZE]; /* RFC 9266: "EXPORTER-Channel-Binding", no context */
    struct view key;                         /* the attested end's SubjectPublicKeyInfo, DER */
};

/*
 * The label, and SHA-384 of the end, the nonce's length (4 octets, most significant first) and the nonce, the exporter, the
 * key's length and the key. -COFRE_USAGE for a nonce or key out of bounds.
 * The label is there to be seen: who hands out evidence over report data of others' choice (vmm/agent/request.c does, to the host)
 * must refuse it, or anybody has evidence for a channel of his own.
 */
int channel_report_data(uint8_t out[static CHANNEL_REPORT_DATA], const struct channel_binding *binding,
                        struct cofre_err *err);

/*
 * The same with a label of its own, where evidence is for a key's release: besides, the key to which it is to be sealed, as it goes
 * over the wire, and the key's name, each with its length before it. So evidence for a channel gets nobody a key, and evidence
 * for one key, or to one recipient, no other.
 */
int channel_release_report_data(uint8_t out[static CHANNEL_REPORT_DATA],
                                const struct channel_binding *binding, struct view recipient,
                                struct view name, struct cofre_err *err);

/* Report data of some version of these. */
bool channel_label_is_in(const uint8_t report_data[static CHANNEL_REPORT_DATA]);

/* Of a connection whose handshake is done, which must be TLS 1.3. */
int channel_exporter(uint8_t out[static CHANNEL_EXPORTER_SIZE], SSL *tls, struct cofre_err *err);
/* A certificate's key, as SubjectPublicKeyInfo. */
int channel_key_of(struct bytes *out, X509 *certificate, struct cofre_err *err);

#endif
