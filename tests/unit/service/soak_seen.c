#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/service/soak.h"

static void *grow(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    *room = *room ? 2 * *room : 1024;
    list = realloc(list, *room * size);
    SOAK_CHECK(list, "out of memory");
    return list;
}

void soak_note_result(struct soak *s, const struct acknowledged *told)
{
    pthread_mutex_lock(&s->lock);
    s->told = grow(s->told, s->count, &s->room, sizeof *s->told);
    s->told[s->count++] = *told;
    pthread_mutex_unlock(&s->lock);
}

bool soak_any_result(struct soak *s, struct acknowledged *out, uint64_t number)
{
    pthread_mutex_lock(&s->lock);
    const bool some = s->count > 0;
    if (some)
        *out = s->told[number % s->count];
    pthread_mutex_unlock(&s->lock);
    return some;
}

void soak_note_head(struct soak *s, const struct log_head *head)
{
    pthread_mutex_lock(&s->lock);
    bool known = false;
    for (size_t i = 0; i < s->heads; i++) {
        if (s->head[i].state.size != head->state.size)
            continue;
        known = true;
        SOAK_CHECK(memcmp(&s->head[i].state, &head->state, sizeof head->state) == 0,
                   "two logs of %llu entries", (unsigned long long)head->state.size);
    }
    if (!known) {
        s->head = grow(s->head, s->heads, &s->head_room, sizeof *s->head);
        s->head[s->heads++] = *head;
    }
    pthread_mutex_unlock(&s->lock);
}

bool soak_any_head(struct soak *s, struct log_head *out, uint64_t number)
{
    pthread_mutex_lock(&s->lock);
    const bool some = s->heads > 0;
    if (some)
        *out = s->head[number % s->heads];
    pthread_mutex_unlock(&s->lock);
    return some;
}
