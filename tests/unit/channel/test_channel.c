/* What a channel accepts, and each attack on it, with evidence of an emulated SNP guest. */
#include "tests/unit/channel/ends.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "attest/channel/carry.h"
#include "attest/channel/judge.h"
#include "tests/unit/model/fixture.h"

#define NOT_BOUND                                                                                            \
    "the other end's evidence is not accepted: the evidence is not bound to this channel: it was made for "  \
    "another one, or for another key"
#define NOT_ACCEPTED                                                                                         \
    "the other end does not accept this one's evidence: the evidence does not satisfy this verifier"

static struct psp *psp;
static struct x509_certs roots;
static struct policy policy;
static struct channel_identity guest_key, other_key;

static int setup_all(void **state)
{
    CLEAN_BYTES root = {0};
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    psp = open_platform((struct psp_options){.product = SNP_PRODUCT_MILAN});
    assert_int_equal(psp_root(psp, &root, NULL), 0);
    assert_int_equal(x509_certs_add(&roots, bytes_view(&root), NULL), 0);
    policy_init(&policy);
    assert_int_equal(channel_identity_new(&guest_key, NULL), 0);
    assert_int_equal(channel_identity_new(&other_key, NULL), 0);
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    channel_identity_free(&guest_key);
    channel_identity_free(&other_key);
    policy_free(&policy);
    x509_certs_free(&roots);
    psp_close(psp);
    return 0;
}

/* The guest: genuine evidence over whatever it is asked for. */
static int guest_evidence(void *context, struct bytes *file, const uint8_t report_data[CHANNEL_REPORT_DATA],
                          struct cofre_err *err)
{
    (void)context;
    struct snp_report_req request = {0};
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    memcpy(request.report_data, report_data, CHANNEL_REPORT_DATA);
    struct snp_secrets_page secrets;
    struct psp_guest *guest = launch_guest(psp, &secrets, NULL);
    struct snp_report_rsp response = ask_report(guest, &secrets, 0, 1, &request);
    psp_guest_free(guest);
    const struct view report = {(const uint8_t *)&response.report, sizeof response.report};
    int rc = bytes_copy(&evidence.report, report, err);
    rc = rc < 0 ? rc : psp_cert_table(psp, &evidence.certificates, err);
    return rc < 0 ? rc : evidence_write(file, &evidence, err);
}

static struct channel_judge judge_of(const struct policy *by)
{
    return (struct channel_judge){.by = {.policy = by, .roots = &roots, .at = time(NULL)}};
}

static struct side guest_side(enum channel_end end)
{
    return (struct side){
        .options = {.end = end, .identity = &guest_key, .acts = {.evidence = guest_evidence}}};
}

static struct side verifier_side(enum channel_end end, struct channel_judge *judge)
{
    return (struct side){.options = {.end = end,
                                     .identity = end == CHANNEL_SERVER ? &other_key : NULL,
                                     .acts = {.context = judge, .judge = channel_judge}}};
}

/* Both, to the end of the exchange. */
static void meet(struct side *a, struct side *b)
{
    int fd[2];
    two_sockets(fd);
    side_open(a, fd[0]);
    side_open(b, fd[1]);
    side_join(a);
    side_join(b);
}

static void succeeded(const struct side *s)
{
    if (s->rc < 0)
        fail_msg("%s", s->err.text);
}

static void failed(const struct side *s, int code, const char *sentence)
{
    assert_string_equal(s->err.text, sentence);
    assert_int_equal(s->rc, -code);
    assert_null(s->channel);
}

static void digest_of(uint8_t out[32], const struct channel_identity *identity)
{
    CLEAN_BYTES key = {0};
    assert_int_equal(channel_key_of(&key, identity->certificate, NULL), 0);
    assert_int_equal(EVP_Digest(key.data, key.len, out, NULL, EVP_sha256(), NULL), 1);
}

static void says(struct channel *from, struct channel *to, const char *words)
{
    char heard[64] = "";
    assert_int_equal(channel_write(from, words, strlen(words), 5000, NULL), 0);
    for (size_t len = 0; len < strlen(words);) {
        ssize_t n = channel_read(to, heard + len, sizeof heard - 1 - len, 5000, NULL);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_string_equal(heard, words);
}

static void an_attested_server_is_known_by_its_key(void **state)
{
    (void)state;
    uint8_t digest[32], zeros[32] = {0};
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_CLIENT, &judge), guest = guest_side(CHANNEL_SERVER);
    meet(&verifier, &guest);
    succeeded(&verifier);
    succeeded(&guest);
    assert_int_equal(verdict_outcome(&judge.verdict), CHECK_PASSED);
    assert_string_equal(verdict_check(&judge.verdict, "snp.report_data")->why,
                        "the evidence is bound to this channel and its key");
    digest_of(digest, &guest_key);
    assert_memory_equal(channel_peer(verifier.channel), digest, 32);
    assert_memory_equal(channel_peer(guest.channel), zeros, 32);
    says(verifier.channel, guest.channel, "a question");
    says(guest.channel, verifier.channel, "an answer");
    side_free(&guest);
    char byte;
    assert_int_equal(channel_read(verifier.channel, &byte, 1, 5000, NULL), 0); /* it ended in order */
    side_free(&verifier);
    verdict_free(&judge.verdict);
}

static void an_attested_client_is_known_by_its_key(void **state)
{
    (void)state;
    uint8_t digest[32];
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_SERVER, &judge), guest = guest_side(CHANNEL_CLIENT);
    meet(&verifier, &guest);
    succeeded(&verifier);
    succeeded(&guest);
    digest_of(digest, &guest_key);
    assert_memory_equal(channel_peer(verifier.channel), digest, 32);
    says(guest.channel, verifier.channel, "I am attested");
    side_free(&verifier);
    side_free(&guest);
    verdict_free(&judge.verdict);
}

/* Two guests: each asks, each answers, one procedure. */
static void both_ends_can_be_attested(void **state)
{
    (void)state;
    struct channel_judge one = judge_of(&policy), two = judge_of(&policy);
    struct side client = guest_side(CHANNEL_CLIENT), server = guest_side(CHANNEL_SERVER);
    client.options.acts.judge = server.options.acts.judge = channel_judge;
    client.options.acts.context = &one;
    server.options.acts.context = &two;
    server.options.identity = &other_key;
    meet(&client, &server);
    succeeded(&client);
    succeeded(&server);
    assert_true(one.judged && two.judged);
    side_free(&client);
    side_free(&server);
    verdict_free(&one.verdict);
    verdict_free(&two.verdict);
}

/* The middleman: a TLS connection of its own to each, and everything passed on as it comes. */
struct middle {
    int guest_fd;
    struct raw to_guest;
    SSL *to_verifier;
};

static void pass_everything_on(struct raw *raw, const struct channel_stream *stream)
{
    struct middle *m = raw->context;
    (void)stream;
    relay_between(m->to_verifier, raw->tls);
}

static void be_the_middle(struct raw *raw, const struct channel_stream *stream)
{
    struct middle *m = raw->context;
    (void)stream;
    m->to_verifier = raw->tls;
    raw_start(&m->to_guest, m->guest_fd);
    raw_join(&m->to_guest);
}

static void relay(enum channel_end verifiers_end)
{
    int front[2], back[2];
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(verifiers_end, &judge),
                guest = guest_side(channel_other(verifiers_end));
    const bool server = verifiers_end == CHANNEL_CLIENT; /* towards the verifier */
    two_sockets(front);
    two_sockets(back);
    struct middle m = {.guest_fd = back[0]};
    struct raw towards = {
        .server = server, .alpn = RAW_ALPN, .identity = &other_key, .script = be_the_middle, .context = &m};
    m.to_guest = (struct raw){.server = !server,
                              .alpn = RAW_ALPN,
                              .identity = server ? NULL : &other_key,
                              .script = pass_everything_on,
                              .context = &m};
    side_open(&guest, back[1]);
    raw_start(&towards, front[1]);
    side_open(&verifier, front[0]);
    side_join(&verifier);
    side_join(&guest);
    raw_join(&towards);
    failed(&verifier, COFRE_NEGATIVE, NOT_BOUND);
    failed(&guest, COFRE_NEGATIVE, NOT_ACCEPTED);
    /* All else about the evidence is good: it is the genuine guest's. */
    for (size_t i = 0; i < judge.verdict.count; i++)
        if (strcmp(judge.verdict.check[i].id, "snp.report_data") != 0)
            assert_int_not_equal(judge.verdict.check[i].outcome, CHECK_FAILED);
    verdict_free(&judge.verdict);
}

static void relayed_evidence_of_an_attested_server_fails(void **state)
{
    (void)state;
    relay(CHANNEL_CLIENT);
}

static void relayed_evidence_of_an_attested_client_fails(void **state)
{
    (void)state;
    relay(CHANNEL_SERVER);
}

/* A server that answers with evidence of its own making: what is changed of the right binding is the test's. */
struct forger {
    void (*change)(struct channel_binding *binding);
    const char *label; /* NULL: the right computation */
    bool empty;        /* report data of zeros */
    struct bytes *old; /* evidence from an earlier channel */
    bool none;
};

static struct bytes other_key_bytes;

static void forge(struct raw *raw, const struct channel_stream *stream)
{
    const struct forger *f = raw->context;
    uint8_t hello[33] = {0}, report_data[64] = {0};
    CLEAN_BYTES theirs = {0}, key = {0}, file = {0}, verdict = {0};
    (void)channel_send(stream, CHANNEL_HELLO, (struct view){hello, sizeof hello}, NULL);
    if (channel_receive(&theirs, stream, "h", NULL) < 0)
        return;
    (void)channel_key_of(&key, raw->identity->certificate, NULL);
    struct channel_binding b = {
        .end = CHANNEL_SERVER, .nonce = {theirs.data + 1, 32}, .key = bytes_view(&key)};
    (void)channel_exporter(b.exporter, raw->tls, NULL);
    if (f->change)
        f->change(&b);
    if (!f->empty)
        (void)channel_report_data(report_data, &b, NULL);
    if (f->label)
        memcpy(report_data, f->label, strlen(f->label));
    if (f->none)
        (void)channel_send(stream, CHANNEL_NONE, (struct view){(const uint8_t *)"I have none", 11}, NULL);
    else if (f->old || guest_evidence(NULL, &file, report_data, NULL) == 0)
        (void)channel_send(stream, CHANNEL_EVIDENCE, bytes_view(f->old ? f->old : &file), NULL);
    (void)channel_receive(&verdict, stream, "v", NULL);
}

static void forged(const struct forger *forger, const char *sentence)
{
    int fd[2];
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_CLIENT, &judge);
    struct raw raw = {.server = true,
                      .alpn = RAW_ALPN,
                      .identity = &guest_key,
                      .script = forge,
                      .context = (void *)(uintptr_t)forger};
    two_sockets(fd);
    raw_start(&raw, fd[1]);
    side_open(&verifier, fd[0]);
    side_join(&verifier);
    raw_join(&raw);
    if (sentence)
        failed(&verifier, COFRE_NEGATIVE, sentence);
    else
        succeeded(&verifier);
    side_free(&verifier);
    verdict_free(&judge.verdict);
}

static void name_another_key(struct channel_binding *b)
{
    b->key = bytes_view(&other_key_bytes);
}

static void name_the_other_end(struct channel_binding *b)
{
    b->end = CHANNEL_CLIENT;
}

static void change_the_exporter(struct channel_binding *b)
{
    b->exporter[31] ^= 1;
}

static void change_the_nonce(struct channel_binding *b)
{
    static uint8_t nonce[32];
    b->nonce = (struct view){nonce, 32};
}

static void evidence_over_anything_else_fails(void **state)
{
    (void)state;
    assert_int_equal(channel_key_of(&other_key_bytes, other_key.certificate, NULL), 0);
    forged(&(struct forger){0}, NULL); /* the forger does it right where it changes nothing */
    forged(&(struct forger){.label = CHANNEL_LABEL}, NULL);
    forged(&(struct forger){.change = name_another_key}, NOT_BOUND);   /* diverted: another guest's key */
    forged(&(struct forger){.change = name_the_other_end}, NOT_BOUND); /* reflected: a client's evidence */
    forged(&(struct forger){.change = change_the_exporter}, NOT_BOUND);
    forged(&(struct forger){.change = change_the_nonce}, NOT_BOUND);
    forged(&(struct forger){.label = "cofre channel 0"}, NOT_BOUND);
    forged(&(struct forger){.empty = true}, NOT_BOUND);
    bytes_free(&other_key_bytes);
}

static void replayed_evidence_fails(void **state)
{
    (void)state;
    CLEAN_BYTES old = {0};
    const uint8_t of_then[64] = {1, 2, 3};
    assert_int_equal(guest_evidence(NULL, &old, of_then, NULL), 0);
    forged(&(struct forger){.old = &old}, NOT_BOUND);
}

static void evidence_that_is_none_is_malformed(void **state)
{
    (void)state;
    struct bytes junk = {(uint8_t *)(uintptr_t) "{}", 2};
    int fd[2];
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_CLIENT, &judge);
    const struct forger forger = {.old = &junk};
    struct raw raw = {.server = true,
                      .alpn = RAW_ALPN,
                      .identity = &guest_key,
                      .script = forge,
                      .context = (void *)(uintptr_t)&forger};
    two_sockets(fd);
    raw_start(&raw, fd[1]);
    side_open(&verifier, fd[0]);
    side_join(&verifier);
    raw_join(&raw);
    failed(&verifier, COFRE_MALFORMED,
           "the other end's evidence: \"cofre_evidence\" is not 1, the version known here");
}

static void an_end_without_evidence_fails(void **state)
{
    (void)state;
    forged(&(struct forger){.none = true}, "the other end gives no evidence: I have none");
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_CLIENT, &judge), plain = guest_side(CHANNEL_SERVER);
    plain.options.acts.evidence = NULL;
    meet(&verifier, &plain);
    failed(&verifier, COFRE_NEGATIVE, "the other end gives no evidence: this end is not attested");
    failed(&plain, COFRE_NEGATIVE, "this end was asked for evidence, and has none to give");
}

static void an_end_without_a_key_fails(void **state)
{
    (void)state;
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_SERVER, &judge), guest = guest_side(CHANNEL_CLIENT);
    guest.options.identity = NULL;
    meet(&verifier, &guest);
    failed(&verifier, COFRE_NEGATIVE, "the other end has shown no key to be attested");
    assert_int_equal(guest.rc, -COFRE_USAGE); /* nothing to bind its evidence to */
}

/* A genuine guest of that measurement on a machine of the attacker's. Only the list of chips tells it from the right one. */
static void diversion_to_another_machine_is_for_the_policy_to_see(void **state)
{
    (void)state;
    struct cofre_err err = {""};
    char text[256];
    struct policy chips;
    snprintf(text, sizeof text, "{\"snp\": {\"chip_id\": [\"%0128d\"]}}", 7);
    if (policy_parse(&chips, (struct view){(const uint8_t *)text, strlen(text)}, &err) < 0)
        fail_msg("%s", err.text);
    struct channel_judge judge = judge_of(&chips);
    struct side verifier = verifier_side(CHANNEL_CLIENT, &judge), guest = guest_side(CHANNEL_SERVER);
    meet(&verifier, &guest);
    assert_int_equal(verifier.rc, -COFRE_NEGATIVE);
    assert_int_equal(verdict_check(&judge.verdict, "snp.allowed_chip")->outcome, CHECK_FAILED);
    assert_int_equal(verdict_check(&judge.verdict, "snp.report_data")->outcome, CHECK_PASSED);
    failed(&guest, COFRE_NEGATIVE, NOT_ACCEPTED);
    verdict_free(&judge.verdict);
    policy_free(&chips);
}

static void echo(struct raw *raw, const struct channel_stream *stream)
{
    char byte;
    (void)stream;
    while (SSL_read(raw->tls, &byte, 1) == 1 && SSL_write(raw->tls, &byte, 1) == 1)
        continue;
}

/* The other end is whatever the script makes of it. */
static void against(struct raw *raw, int code, const char *sentence, unsigned seconds)
{
    int fd[2];
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_CLIENT, &judge);
    verifier.options.seconds = seconds;
    two_sockets(fd);
    raw->server = true;
    raw->identity = &guest_key;
    raw_start(raw, fd[1]);
    side_open(&verifier, fd[0]);
    side_join(&verifier);
    raw_join(raw);
    failed(&verifier, code, sentence);
}

static void reflected_messages_are_recognised(void **state)
{
    (void)state;
    struct raw raw = {.alpn = RAW_ALPN, .script = echo};
    against(&raw, COFRE_NEGATIVE, "the other end sends this end's own hello back", 20);
}

static void nothing_older_than_tls_1_3_is_spoken(void **state)
{
    (void)state;
    struct raw raw = {.highest = TLS1_2_VERSION, .alpn = RAW_ALPN};
    against(&raw, COFRE_FAILED, "the handshake failed: tlsv1 alert protocol version", 20);
    assert_false(raw.shaken);
}

static void a_client_of_tls_1_2_is_refused(void **state)
{
    (void)state;
    int fd[2];
    struct side guest = guest_side(CHANNEL_SERVER);
    struct raw raw = {.highest = TLS1_2_VERSION, .alpn = RAW_ALPN};
    two_sockets(fd);
    side_open(&guest, fd[0]);
    raw_start(&raw, fd[1]);
    side_join(&guest);
    raw_join(&raw);
    failed(&guest, COFRE_FAILED, "the handshake failed: unsupported protocol");
    assert_false(raw.shaken);
}

static void another_protocol_is_not_a_channel(void **state)
{
    (void)state;
    struct raw silent = {.alpn = NULL, .script = echo};
    against(&silent, COFRE_NEGATIVE, "the other end does not speak cofre-channel/1, so it attests nothing",
            20);
    int fd[2];
    struct side guest = guest_side(CHANNEL_SERVER);
    struct raw client = {.alpn = "\x08http/1.1"};
    two_sockets(fd);
    side_open(&guest, fd[0]);
    raw_start(&client, fd[1]);
    side_join(&guest);
    raw_join(&client);
    failed(&guest, COFRE_FAILED, "the handshake failed: no application protocol");
}

static void send_bytes(struct raw *raw, const struct channel_stream *stream)
{
    const struct view *bytes = raw->context;
    char byte;
    (void)stream->write(raw->tls, bytes->data, bytes->len, NULL);
    while (SSL_read(raw->tls, &byte, 1) == 1)
        continue;
}

static void messages_out_of_bounds_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    static const uint8_t large[] = {'h', 0, 0, 0, 33, [5 + 33] = 'e', 0x7f, 0xff, 0xff, 0xff};
    static const uint8_t turn[] = {'v', 0, 0, 0, 1, 1};
    static const uint8_t hello[] = {'h', 0, 0, 0, 33, 2, [5 + 32] = 0};
    struct view bytes = {large, sizeof large};
    struct raw raw = {.alpn = RAW_ALPN, .script = send_bytes, .context = &bytes};
    against(&raw, COFRE_MALFORMED,
            "the other end announced a message \"evidence\" of 2147483647 bytes, and it has 1 to 1048576",
            20);
    bytes = (struct view){turn, sizeof turn};
    against(&raw, COFRE_MALFORMED, "the other end sent a message of kind 118 out of turn", 20);
    bytes = (struct view){hello, sizeof hello};
    against(&raw, COFRE_MALFORMED, "the other end's hello is none", 20);
}

static void wait_for_the_end(struct raw *raw, const struct channel_stream *stream)
{
    char byte;
    (void)stream;
    while (SSL_read(raw->tls, &byte, 1) == 1)
        continue;
}

static void hang_up(struct raw *raw, const struct channel_stream *stream)
{
    (void)raw;
    (void)stream;
}

static void a_peer_that_stalls_or_leaves_is_not_waited_for(void **state)
{
    (void)state;
    struct raw silent = {.alpn = RAW_ALPN, .script = wait_for_the_end},
               gone = {.alpn = RAW_ALPN, .script = hang_up};
    against(&silent, COFRE_FAILED, "the other end was too slow during attestation", 1);
    against(&gone, COFRE_FAILED, "the other end closed the connection during attestation", 20);
    int fd[2];
    struct side guest = guest_side(CHANNEL_SERVER);
    guest.options.seconds = 1;
    two_sockets(fd);
    side_open(&guest, fd[0]); /* to whom nobody says a word */
    side_join(&guest);
    failed(&guest, COFRE_FAILED, "the other end was too slow during the handshake");
    close(fd[1]);
}

/* In from a pipe, out to another; the peer is an echo through a carriage of its own. */
struct carrying {
    struct channel *channel;
    struct channel_carriage way;
    int rc;
    struct cofre_err err;
    pthread_t thread;
};

static void *carry(void *context)
{
    struct carrying *c = context;
    c->rc = channel_carry(c->channel, &c->way, &c->err);
    return NULL;
}

static void a_megabyte_goes_there_and_back(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    int local[2], guest_local[2];
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_CLIENT, &judge), guest = guest_side(CHANNEL_SERVER);
    meet(&verifier, &guest);
    succeeded(&verifier);
    two_sockets(local);
    two_sockets(guest_local);
    struct carrying here = {.channel = verifier.channel, .way = {local[1], local[1], true}},
                    there = {.channel = guest.channel, .way = {guest_local[1], guest_local[1], false}};
    pthread_create(&here.thread, NULL, carry, &here);
    pthread_create(&there.thread, NULL, carry, &there);
    uint8_t *sent = malloc(SIZE), *back = malloc(SIZE), piece[4096];
    for (size_t i = 0; i < SIZE; i++)
        sent[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t done = 0, got = 0; got < SIZE;) { /* piece by piece, so that no buffer is to hold it all */
        if (done < SIZE) {
            assert_int_equal(write(local[0], sent + done, 4096), 4096);
            done += 4096;
            ssize_t n = 0;
            for (size_t len = 0; len < 4096; len += (size_t)n)
                assert_true((n = read(guest_local[0], piece + len, 4096 - len)) > 0);
            assert_int_equal(write(guest_local[0], piece, 4096), 4096);
        }
        ssize_t n = read(local[0], back + got, SIZE - got);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(sent, back, SIZE);
    /* One side ends; the other hears of it, says its last, and ends. */
    assert_int_equal(shutdown(local[0], SHUT_WR), 0);
    assert_int_equal(read(guest_local[0], piece, 1), 0);
    assert_int_equal(write(guest_local[0], "bye", 3), 3);
    close(guest_local[0]);
    assert_int_equal(read(local[0], piece, 8), 3);
    assert_int_equal(read(local[0], piece, 8), 0);
    pthread_join(here.thread, NULL);
    pthread_join(there.thread, NULL);
    assert_int_equal(here.rc, 0);
    assert_int_equal(there.rc, 0);
    close(local[0]);
    close(local[1]);
    close(guest_local[1]);
    free(sent);
    free(back);
    side_free(&verifier);
    side_free(&guest);
    verdict_free(&judge.verdict);
}

static void be_cut_off(struct raw *raw, const struct channel_stream *stream)
{
    const struct forger right = {0};
    raw->context = (void *)(uintptr_t)&right;
    forge(raw, stream);
    (void)SSL_write(raw->tls, "half of", 7);
}

static void a_channel_that_is_cut_off_does_not_look_like_one_that_ended(void **state)
{
    (void)state;
    int fd[2], out[2];
    char data[16];
    struct cofre_err err;
    struct channel_judge judge = judge_of(&policy);
    struct side verifier = verifier_side(CHANNEL_CLIENT, &judge);
    struct raw raw = {.server = true, .alpn = RAW_ALPN, .identity = &guest_key, .script = be_cut_off};
    two_sockets(fd);
    two_sockets(out);
    raw_start(&raw, fd[1]);
    side_open(&verifier, fd[0]);
    side_join(&verifier);
    raw_join(&raw);
    succeeded(&verifier);
    assert_int_equal(channel_carry(verifier.channel, &(struct channel_carriage){out[1], out[1], true}, &err),
                     -COFRE_FAILED);
    assert_string_equal(err.text, "the other end closed the connection during reading");
    assert_int_equal(read(out[0], data, sizeof data), 7); /* what came before is not lost */
    close(out[0]);
    close(out[1]);
    side_free(&verifier);
    verdict_free(&judge.verdict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attested_server_is_known_by_its_key),
        cmocka_unit_test(an_attested_client_is_known_by_its_key),
        cmocka_unit_test(both_ends_can_be_attested),
        cmocka_unit_test(relayed_evidence_of_an_attested_server_fails),
        cmocka_unit_test(relayed_evidence_of_an_attested_client_fails),
        cmocka_unit_test(evidence_over_anything_else_fails),
        cmocka_unit_test(replayed_evidence_fails),
        cmocka_unit_test(evidence_that_is_none_is_malformed),
        cmocka_unit_test(an_end_without_evidence_fails),
        cmocka_unit_test(an_end_without_a_key_fails),
        cmocka_unit_test(diversion_to_another_machine_is_for_the_policy_to_see),
        cmocka_unit_test(reflected_messages_are_recognised),
        cmocka_unit_test(nothing_older_than_tls_1_3_is_spoken),
        cmocka_unit_test(a_client_of_tls_1_2_is_refused),
        cmocka_unit_test(another_protocol_is_not_a_channel),
        cmocka_unit_test(messages_out_of_bounds_are_refused_before_memory_is_taken),
        cmocka_unit_test(a_peer_that_stalls_or_leaves_is_not_waited_for),
        cmocka_unit_test(a_megabyte_goes_there_and_back),
        cmocka_unit_test(a_channel_that_is_cut_off_does_not_look_like_one_that_ended),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
