#include "attest/service/keys/counter.h"

#include "vmm/base/log.h"

#define LOG_ROOM "keys"

/* By one, to what the keys in the database count to by now. */
static int advance(struct key_counter *c, uint64_t to, struct cofre_err *err)
{
    uint64_t value;
    int rc = seal_counter_advance(&value, &c->tpm, &c->counter, c->root, err);
    if (rc < 0)
        return rc;
    c->value = value;
    return value == to
               ? 0
               : cofre_fail(err, COFRE_FAILED,
                            "the TPM's counter went to %llu, and the keys in the database count to %llu",
                            (unsigned long long)value, (unsigned long long)to);
}

struct look {
    struct key_counter *c;
    struct key_anchor before, anchor;
    enum roll_back found;
    key_counter_log log; /* NULL: nothing is accepted that does not fit */
    void *context;
};

static int look(struct db *db, void *context, struct cofre_err *err)
{
    struct look *l = context;
    int64_t generation;
    struct cofre_err why;
    int rc = key_generation_check_anchor(db, l->c->root, &generation, &l->before, err);
    if (rc < 0)
        return rc;
    l->anchor = l->before;
    rc = roll_back_judge(&l->before, &l->c->counter, l->c->value, l->log ? &why : err);
    if (rc < 0 && !l->log)
        return rc;
    if (rc >= 0 && l->log)
        return cofre_fail(err, COFRE_USAGE,
                          "the keys in the database are the newest: there is nothing to accept");
    l->found = rc < 0 ? ROLL_BACK_FIRST : (enum roll_back)rc;
    if (l->found != ROLL_BACK_FIRST)
        return 0;
    l->anchor = roll_back_anchor(&l->c->counter, l->c->value);
    rc = key_generation_anchor(db, l->c->root, generation, &l->anchor, err);
    return rc == 0 && l->log ? l->log(db, l->context, &l->before, l->c->value, err) : rc;
}

static int look_and_count(struct look *l, struct db *db, struct cofre_err *err)
{
    struct key_counter *c = l->c;
    int rc = seal_counter_read(&c->value, &c->tpm, &c->counter, c->root, err);
    if (rc == 0)
        rc = db_atomically(db, look, l, err);
    return rc == 0 && l->found != ROLL_BACK_NONE ? advance(c, l->anchor.value, err) : rc;
}

int key_counter_start(struct key_counter *c, struct db *db, struct cofre_err *err)
{
    struct look l = {.c = c};
    return c->counter.index ? look_and_count(&l, db, err) : 0;
}

int key_counter_accept(struct key_counter *c, struct db *db, key_counter_log log, void *context,
                       struct cofre_err *err)
{
    struct look l = {.c = c, .log = log, .context = context};
    return look_and_count(&l, db, err);
}

/* The TPM is asked only where it is not known to stand where it should. */
static int settle(struct key_counter *c, struct db *db, struct cofre_err *err)
{
    struct key_anchor anchor;
    int rc = key_generation_read_anchor(db, &anchor, err);
    if (rc < 0 || (anchor.there && anchor.value == c->value))
        return rc;
    rc = seal_counter_read(&c->value, &c->tpm, &c->counter, c->root, err);
    if (rc == 0)
        rc = roll_back_judge(&anchor, &c->counter, c->value, err);
    if (rc == ROLL_BACK_COUNT)
        rc = advance(c, anchor.value, err);
    else if (rc == ROLL_BACK_FIRST)
        rc = cofre_fail(err, COFRE_FAILED, "the keys in the database go by no counter any more");
    return rc == -COFRE_NEGATIVE ? -COFRE_FAILED : rc;
}

int key_counter_begin(struct key_counter *c, struct db *db, struct cofre_err *err)
{
    if (!c->counter.index)
        return 0;
    pthread_mutex_lock(&c->lock);
    int rc = settle(c, db, err);
    if (rc < 0)
        pthread_mutex_unlock(&c->lock);
    return rc < 0 ? cofre_within(err, rc, "no key is changed") : 0;
}

void key_counter_end(struct key_counter *c, struct db *db)
{
    struct cofre_err err;
    if (!c->counter.index)
        return;
    if (settle(c, db, &err) < 0)
        log_error("a change of keys is kept, and not counted yet: %s", err.text);
    pthread_mutex_unlock(&c->lock);
}
