#include "vmm/host/front/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

int peer_of_unix(struct identity *out, int fd, struct cofre_err *err)
{
    struct ucred who;
    socklen_t len = sizeof who;
    *out = (struct identity){.version = IDENTITY_VERSION, .kind = IDENTITY_UNIX, .address = "unix"};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || len != sizeof who || who.uid == (uid_t)-1)
        return cofre_fail(err, COFRE_FAILED, "whose a connection is cannot be told: %s", strerror(errno));
    out->uid = who.uid;
    out->gid = who.gid;
    out->pid = who.pid;
    return 0;
}

void peer_of_tcp(struct identity *out, const struct sockaddr *address, socklen_t len)
{
    char text[INET6_ADDRSTRLEN] = "";
    (void)len;
    *out = (struct identity){.version = IDENTITY_VERSION, .kind = IDENTITY_ANYBODY, .address = "?"};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        (void)snprintf(out->address, sizeof out->address, "%s:%u", text, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
        (void)inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
        (void)snprintf(out->address, sizeof out->address, "[%s]:%u", text, ntohs(in->sin6_port));
    }
}

/* RFC 2253, escaped where it must be, so that no part of a name looks like another. */
static int write_subject(struct identity *identity, X509 *certificate, struct cofre_err *err)
{
    BIO *text = BIO_new(BIO_s_mem());
    char *data = NULL;
    const int wrote = text ? X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0,
                                                XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB)
                           : -1;
    const long len = text ? BIO_get_mem_data(text, &data) : 0;
    const bool good = wrote > 0 && len > 0 && len < IDENTITY_SUBJECT_MAX && !memchr(data, 0, (size_t)len);
    if (good) {
        memcpy(identity->subject, data, (size_t)len);
        identity->subject[len] = 0;
    }
    BIO_free(text);
    return good ? 0
                : cofre_fail(err, COFRE_MALFORMED, "a client's certificate has no subject that can be kept");
}

static int digest_key(uint8_t out[32], X509 *certificate)
{
    unsigned char *der = NULL;
    const int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    const bool good = len > 0 && EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return good ? 0 : -COFRE_FAILED;
}

int peer_of_tls(struct identity *identity, const SSL *ssl, struct cofre_err *err)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    unsigned len = 0;
    if (!certificate)
        return 0;
    if (SSL_get_verify_result(ssl) != X509_V_OK)
        return cofre_fail(err, COFRE_MALFORMED, "nobody vouches for a client's certificate");
    identity->kind = IDENTITY_CERTIFICATE;
    if (X509_digest(certificate, EVP_sha256(), identity->fingerprint, &len) != 1 ||
        digest_key(identity->key, certificate) < 0)
        return cofre_fail(err, COFRE_FAILED, "a client's certificate cannot be digested");
    return write_subject(identity, certificate, err);
}

/* The address without the port. */
static size_t host_len(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? (size_t)(colon - address) : strlen(address);
}

bool peer_is_same(const struct identity *a, const struct identity *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == IDENTITY_UNIX)
        return a->uid == b->uid;
    if (a->kind == IDENTITY_CERTIFICATE)
        return memcmp(a->key, b->key, sizeof a->key) == 0;
    return host_len(a->address) == host_len(b->address) &&
           memcmp(a->address, b->address, host_len(a->address)) == 0;
}
