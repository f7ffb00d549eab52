/* Where in a file a value stands: jansson forgets it, so yajl reads the file again and is asked where it is. */
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "vmm/host/cofred/config.h"

#define PATH_MAX_HERE 512

struct walk {
    yajl_handle parser;
    const char *wanted;
    struct view text;
    struct level {
        size_t len; /* of the path to this object or list */
        bool list;
        size_t index;
    } level[JSON_DEPTH_MAX + 1];
    size_t depth;
    char path[PATH_MAX_HERE];
    size_t best; /* length of the longest path so far that the wanted one begins with */
    size_t offset;
};

/* path is wanted, or wanted goes on behind it with a member or a place in a list. */
static bool leads_to(const char *path, const char *wanted)
{
    const size_t len = strlen(path);
    return strncmp(path, wanted, len) == 0 && (len == 0 || !wanted[len] || strchr(".[", wanted[len]));
}

/* Something begins at the path; yajl stands behind its first token. */
static void look(struct walk *w)
{
    const size_t len = strlen(w->path);
    if ((len > w->best || !w->offset) && leads_to(w->path, w->wanted)) {
        w->best = len;
        w->offset = yajl_get_bytes_consumed(w->parser);
    }
}

static void next_in_list(struct walk *w)
{
    struct level *at = &w->level[w->depth];
    if (w->depth && at->list)
        (void)snprintf(w->path + at->len, sizeof w->path - at->len, "[%zu]", at->index++);
}

static int on_value(void *context)
{
    next_in_list(context);
    look(context);
    return 1;
}

static int on_boolean(void *context, int value)
{
    (void)value;
    return on_value(context);
}

static int on_text(void *context, const unsigned char *text, size_t len)
{
    (void)text;
    (void)len;
    return on_value(context);
}

static int on_number(void *context, const char *text, size_t len)
{
    (void)text;
    (void)len;
    return on_value(context);
}

static int enter(struct walk *w, bool list)
{
    (void)on_value(w);
    if (w->depth == JSON_DEPTH_MAX)
        return 0;
    w->level[++w->depth] = (struct level){strlen(w->path), list, 0};
    return 1;
}

static int on_map(void *context)
{
    return enter(context, false);
}

static int on_list(void *context)
{
    return enter(context, true);
}

static int on_end(void *context)
{
    struct walk *w = context;
    w->path[w->level[w->depth--].len] = 0;
    return 1;
}

/* A member's line is its name's, so that one whose value is on the next line is found where it is looked for. */
static int on_key(void *context, const unsigned char *key, size_t len)
{
    struct walk *w = context;
    const size_t before = w->level[w->depth].len;
    (void)snprintf(w->path + before, sizeof w->path - before, "%s%.*s", before ? "." : "",
                   (int)(len > 64 ? 64 : len), (const char *)key);
    look(w);
    return 1;
}

unsigned config_line(struct view json, const char *path)
{
    static const yajl_callbacks callbacks = {.yajl_null = on_value,
                                             .yajl_boolean = on_boolean,
                                             .yajl_number = on_number,
                                             .yajl_string = on_text,
                                             .yajl_start_map = on_map,
                                             .yajl_map_key = on_key,
                                             .yajl_end_map = on_end,
                                             .yajl_start_array = on_list,
                                             .yajl_end_array = on_end};
    struct walk w = {.wanted = path, .text = json};
    unsigned line = 1;
    w.parser = yajl_alloc(&callbacks, NULL, &w);
    if (!w.parser)
        return 0;
    (void)yajl_parse(w.parser, json.data, json.len);
    yajl_free(w.parser);
    if (!w.offset)
        return 0;
    for (size_t i = 0; i < w.offset && i < json.len; i++)
        line += json.data[i] == '\n';
    return line;
}
