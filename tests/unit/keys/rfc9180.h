/*
 * RFC 9180, appendix A: the setup of each section and its message of sequence number 0. Data, taken from the RFC's text; and, where
 * section names none, from its authors' test-vectors.json, which it says has all suites' (mode 0, KEM 0x0020, KDF 1, AEAD 2).
 */
#ifndef TESTS_UNIT_KEYS_RFC9180_H
#define TESTS_UNIT_KEYS_RFC9180_H

#include "keys/hpke.h"

static const struct rfc9180 {
    const char *section;
    struct hpke_suite suite;
    const char *info, *recipient, *recipient_public, *ephemeral, *enc, *aad, *text, *sealed; /* hexadecimal */
} rfc9180[] = {
    {"A.1.1",
     {HPKE_X25519, HPKE_AES_128_GCM},
     "4f6465206f6e2061204772656369616e2055726e",
     "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
     "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
     "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
     "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
     "436f756e742d30",
     "4265617574792069732074727574682c20747275746820626561757479",
     "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea"
     "87e13c512a"},
    {"A.3.1",
     {HPKE_P256, HPKE_AES_128_GCM},
     "4f6465206f6e2061204772656369616e2055726e",
     "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2",
     "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8"
     "a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
     "4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb",
     "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4"
     "b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
     "436f756e742d30",
     "4265617574792069732074727574682c20747275746820626561757479",
     "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab252"
     "3f39513434"},
    {"",
     {HPKE_X25519, HPKE_AES_256_GCM},
     "4f6465206f6e2061204772656369616e2055726e",
     "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d",
     "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c",
     "179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11",
     "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256",
     "436f756e742d30",
     "4265617574792069732074727574682c20747275746820626561757479",
     "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cd"
     "ad859d5b7a"},
};

#endif
