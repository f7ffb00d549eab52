/* The controllers of control groups by the kernel's names and the protocol's bits. */
#ifndef COFRE_HOST_HANDS_CONTROLLERS_H
#define COFRE_HOST_HANDS_CONTROLLERS_H

#define CONTROLLERS 7

struct controller {
    const char *name;
    unsigned bit; /* of enum hands_controller */
};
extern const struct controller controllers[CONTROLLERS];

#endif
