/* Prediction of MRTD, beside SHA-384 of the same bytes. A chunk of 256 bytes is hashed with a block of 128, and a page with
 * another: 1.53 times the bytes, so 0.65 is all the speed there is. */
#include <openssl/evp.h>
#include <string.h>

#include "tdx/mrtd.h"
#include "tests/bench/bench.h"
#include "vmm/base/bytes.h"

#define SIZE  (64u << 20)
#define LEAST 0.4

static void predict(void *context)
{
    const struct bytes *pages = context;
    struct tdx_mrtd *mrtd = NULL;
    uint8_t value[TDX_DIGEST_SIZE];
    BENCH_CHECK(tdx_mrtd_new(&mrtd, NULL) == 0 &&
                tdx_mrtd_pages(mrtd, 0x100000, pages->data, pages->len, true, NULL) == 0 &&
                tdx_mrtd_value(mrtd, value, NULL) == 0);
    tdx_mrtd_free(mrtd);
}

static void hash(void *context)
{
    const struct bytes *pages = context;
    uint8_t value[TDX_DIGEST_SIZE];
    BENCH_CHECK(EVP_Digest(pages->data, pages->len, value, NULL, EVP_sha384(), NULL) == 1);
}

int main(void)
{
    CLEAN_BYTES pages = {0};
    BENCH_CHECK(bytes_alloc_pages(&pages, SIZE, NULL) == 0);
    for (size_t i = 0; i < SIZE; i++)
        pages.data[i] = (uint8_t)(i * 2654435761u >> 13);
    const struct bench_times times = bench(predict, hash, &pages, 1);
    double rate = bench_print((struct bench_figure){.figure = "MRTD of 64 MiB",
                                                    .of = "one thread",
                                                    .unit = "MB/s",
                                                    .value = SIZE / times.measured / 1e6,
                                                    .beside = "SHA-384, one thread",
                                                    .beside_value = SIZE / times.beside / 1e6});
    return bench_is_fault("MRTD", rate, LEAST);
}
