/* What a kind of device is asked in a file of its own. */
#ifndef COFRE_TESTS_LAB_HOSTILE_KINDS_H
#define COFRE_TESTS_LAB_HOSTILE_KINDS_H

#include "tests/lab/hostile/device.h"

enum outcome fs_right(struct device *d);

#endif
