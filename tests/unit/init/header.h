/* The headers of two images, without integrity and with it, as libcryptsetup 2.6.1 printed them. */
#ifndef COFRE_TESTS_INIT_HEADER_H
#define COFRE_TESTS_INIT_HEADER_H

static const char header_of_an_image[] =
    "{\"keyslots\":{\"0\":{\"type\":\"luks2\",\"key_size\":64,\"af\":{\"type\":\"luks1\",\"stripes\":4000,"
    "\"hash\":\"sha256\"},"
    "\"area\":{\"type\":\"raw\",\"offset\":\"32768\",\"size\":\"258048\",\"encryption\":\"aes-xts-plain64\","
    "\"key_size\":64},"
    "\"kdf\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,"
    "\"salt\":\"eABEEQGhgivsw5a4EKdGIQFfclJ7rZGh2IiApELmMcg=\"}}},"
    "\"tokens\":{},"
    "\"segments\":{\"0\":{\"type\":\"crypt\",\"offset\":\"16777216\",\"size\":\"dynamic\",\"iv_tweak\":\"0\","
    "\"encryption\":\"aes-xts-plain64\",\"sector_size\":4096}},"
    "\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"keyslots\":[\"0\"],\"segments\":[\"0\"],\"hash\":\"sha256\","
    "\"iterations\":1000,"
    "\"salt\":\"sFiCeXOCvt7nR0MlOE5tO95vea/XMnulQ4C8FBPMjOU=\","
    "\"digest\":\"9ONSLxBwNlHPwY80qB17lkNYEJAykRbW2VvAv9kADtc=\"}},"
    "\"config\":{\"json_size\":\"12288\",\"keyslots_size\":\"16744448\"}}";

static const char header_with_integrity[] =
    "{\"keyslots\":{\"0\":{\"type\":\"luks2\",\"key_size\":96,\"af\":{\"type\":\"luks1\",\"stripes\":4000,"
    "\"hash\":\"sha256\"},"
    "\"area\":{\"type\":\"raw\",\"offset\":\"32768\",\"size\":\"385024\",\"encryption\":\"aes-xts-plain64\","
    "\"key_size\":64},"
    "\"kdf\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,"
    "\"salt\":\"PYerV71T/3WnQuJtwMGkpwd9+jhl15t9Ldx5ab92sOI=\"}}},"
    "\"tokens\":{},"
    "\"segments\":{\"0\":{\"type\":\"crypt\",\"offset\":\"16777216\",\"size\":\"dynamic\",\"iv_tweak\":\"0\","
    "\"encryption\":\"aes-xts-random\",\"sector_size\":4096,"
    "\"integrity\":{\"type\":\"hmac(sha256)\",\"journal_encryption\":\"none\",\"journal_integrity\":\"none\"}"
    "}},"
    "\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"keyslots\":[\"0\"],\"segments\":[\"0\"],\"hash\":\"sha256\","
    "\"iterations\":1000,"
    "\"salt\":\"OhB6ijuiDadXNIiarSrO08gKIIWSzjWRjIzbV35Ty6E=\","
    "\"digest\":\"O4IZGxPygkw5iJFl4iDZ9HAihR9tujCQ7HPvWrP2P9Q=\"}},"
    "\"config\":{\"json_size\":\"12288\",\"keyslots_size\":\"16744448\"}}";

#endif
