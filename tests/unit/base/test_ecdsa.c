#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/ec.h>

#include "vmm/base/ecdsa.h"

static const struct ecdsa_curve *const curves[] = {&ecdsa_p256, &ecdsa_p384};

static void a_curve_s_order_is_openssl_s(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t order[ECDSA_SIZE_MAX];
        EC_GROUP *group = EC_GROUP_new_by_curve_name(curves[i]->nid);
        assert_int_equal(BN_bn2binpad(EC_GROUP_get0_order(group), order, (int)curves[i]->size),
                         curves[i]->size);
        EC_GROUP_free(group);
        assert_memory_equal(curves[i]->order, order, curves[i]->size);
    }
}

static void a_scalar_lies_between_zero_and_the_order(void **state)
{
    (void)state;
    struct cofre_err err;
    for (size_t i = 0; i < 2; i++) {
        uint8_t number[ECDSA_SIZE_MAX] = {0};
        size_t last = curves[i]->size - 1;
        assert_int_equal(ecdsa_check_scalar(curves[i], number, "R", &err), -COFRE_NEGATIVE);
        assert_non_null(strstr(err.text, "R is zero"));
        number[last] = 1;
        assert_int_equal(ecdsa_check_scalar(curves[i], number, "R", &err), 0);
        memcpy(number, curves[i]->order, last + 1);
        assert_int_equal(ecdsa_check_scalar(curves[i], number, "R", &err), -COFRE_NEGATIVE);
        assert_non_null(strstr(err.text, curves[i]->name));
        number[last]--;
        assert_int_equal(ecdsa_check_scalar(curves[i], number, "R", &err), 0);
        number[last] += 2;
        assert_int_equal(ecdsa_check_scalar(curves[i], number, "R", &err), -COFRE_NEGATIVE);
        memset(number, 0xff, last + 1);
        assert_int_equal(ecdsa_check_scalar(curves[i], number, "R", &err), -COFRE_NEGATIVE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_curve_s_order_is_openssl_s),
        cmocka_unit_test(a_scalar_lies_between_zero_and_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
