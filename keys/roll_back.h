/* Whether a database's keys are the newest, by what a counter outside of it stands at (keys/generation.h). */
#ifndef COFRE_KEYS_ROLL_BACK_H
#define COFRE_KEYS_ROLL_BACK_H

#include "keys/generation.h"

enum roll_back {
    ROLL_BACK_NONE, /* they are */
    ROLL_BACK_COUNT, /* they are, and whoever changed them came no further: the counter is to be advanced by one */
    ROLL_BACK_FIRST, /* neither keys nor counter knows of the other yet: they are to be anchored */
};

/* -COFRE_NEGATIVE: they are older, or nobody can say; the sentence has the way out. */
int roll_back_judge(const struct key_anchor *anchor, const struct seal_counter *counter, uint64_t value,
                    struct cofre_err *err);
/* What they are to be anchored to then, or when somebody takes them as they are: no copy of before fits to that. The counter is to be
 * advanced afterwards. */
struct key_anchor roll_back_anchor(const struct seal_counter *counter, uint64_t value);

#endif
