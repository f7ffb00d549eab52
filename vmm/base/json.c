#include "vmm/base/json.h"

#include "vmm/base/timestamp.h"

/* Before the parser, which recurses: strings are the only place where a bracket is not a level. */
static bool shallow(struct view text)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
            return false;
        else if (!in_string && (c == '}' || c == ']'))
            depth--;
    }
    return true;
}

int json_read(json_t **out, struct view text, enum cofre_error code, struct cofre_err *err)
{
    *out = NULL;
    if (!shallow(text))
        return cofre_fail(err, code, "JSON nested deeper than %d levels", JSON_DEPTH_MAX);
    json_error_t why;
    json_t *read = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &why);
    if (!read)
        return cofre_fail(err, code, "line %d, column %d: not JSON: %s", why.line, why.column, why.text);
    if (!json_is_object(read)) {
        json_decref(read);
        return cofre_fail(err, code, "not a JSON object");
    }
    *out = read;
    return 0;
}

json_t *json_time(int64_t seconds)
{
    char text[TIME_TEXT_SIZE];
    time_format(text, seconds);
    return json_string(text);
}
