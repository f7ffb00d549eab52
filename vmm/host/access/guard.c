#include "vmm/host/access/guard.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bytes.h"

#define PLACE_SIZE 9

bool guard_begin(struct guard *guard)
{
    memset(guard, 0, sizeof *guard);
    return RAND_bytes(guard->seed, sizeof guard->seed) == 1;
}

/* "192.0.2.7:40312" and "[2001:db8::1]:443" without what is not the address. */
static void without_port(char out[IDENTITY_ADDRESS_MAX], const char *address)
{
    const bool six = *address == '[';
    const char *end = strrchr(address, six ? ']' : ':');
    (void)snprintf(out, IDENTITY_ADDRESS_MAX, "%.*s",
                   end ? (int)(end - address) - six : IDENTITY_ADDRESS_MAX - 1, address + six);
}

/* A kind, then what tells places of that kind apart. What is no address has a place all the same. */
static void name_place(uint8_t out[static PLACE_SIZE], const struct identity *identity)
{
    struct in6_addr six;
    char address[IDENTITY_ADDRESS_MAX];
    memset(out, 0, PLACE_SIZE);
    without_port(address, identity->address);
    if (identity->kind == IDENTITY_UNIX) {
        out[0] = 'u';
        put_le32(out + 1, identity->uid);
    } else if (inet_pton(AF_INET, address, out + 1) == 1) {
        out[0] = '4';
    } else if (inet_pton(AF_INET6, address, &six) == 1) {
        const bool is_four = IN6_IS_ADDR_V4MAPPED(&six);
        out[0] = is_four ? '4' : '6';
        memcpy(out + 1, six.s6_addr + (is_four ? 12 : 0), is_four ? 4 : 8);
    }
}

static uint64_t place_of(const struct guard *guard, const struct identity *identity)
{
    uint8_t text[sizeof guard->seed + PLACE_SIZE], digest[32];
    memcpy(text, guard->seed, sizeof guard->seed);
    name_place(text + sizeof guard->seed, identity);
    if (EVP_Digest(text, sizeof text, digest, NULL, EVP_sha256(), NULL) != 1)
        return 1;
    return le64(digest) | 1;
}

/* A clock that was set back gives nothing. */
static unsigned left_of(const struct guard_place *place, int64_t now)
{
    const int64_t passed = now > place->since ? (now - place->since) / GUARD_INTERVAL : 0;
    return passed >= GUARD_BURST - (int64_t)place->left ? GUARD_BURST : place->left + (unsigned)passed;
}

static const struct guard_place *row_of(const struct guard *guard, uint64_t place)
{
    return guard->row[(place >> 1) % GUARD_ROWS];
}

bool guard_lets(const struct guard *guard, const struct identity *identity, int64_t now)
{
    const uint64_t place = place_of(guard, identity);
    const struct guard_place *row = row_of(guard, place);
    for (size_t i = 0; i < GUARD_WAYS; i++)
        if (row[i].place == place)
            return left_of(&row[i], now) > 0;
    return true;
}

static struct guard_place *choose(struct guard_place *row, uint64_t place, int64_t now)
{
    struct guard_place *best = &row[0];
    for (size_t i = 0; i < GUARD_WAYS; i++) {
        if (row[i].place == place)
            return &row[i];
        if (best->place && (!row[i].place || left_of(&row[i], now) > left_of(best, now)))
            best = &row[i];
    }
    *best = (struct guard_place){.place = place, .since = now, .left = GUARD_BURST};
    return best;
}

void guard_failed(struct guard *guard, const struct identity *identity, int64_t now)
{
    const uint64_t id = place_of(guard, identity);
    struct guard_place *place = choose(guard->row[(id >> 1) % GUARD_ROWS], id, now);
    const unsigned left = left_of(place, now);
    /* What has passed of an interval counts on, unless the place was full. */
    place->since = left == GUARD_BURST ? now : place->since + (int64_t)(left - place->left) * GUARD_INTERVAL;
    place->left = left ? left - 1 : 0;
}
