/* A decider that decides nothing: what it answers shows what it was asked, by whom. */
#ifndef COFRE_TESTS_HOST_MADE_UP_DECIDER_H
#define COFRE_TESTS_HOST_MADE_UP_DECIDER_H

#define MANY_TENANTS 1500 /* of tenant.list: more than one message holds */

/* Until the gate is gone, and then every caller. The result is for _exit. */
int made_up_decider(int gate);

#endif
