#include "vmm/host/front/problem.h"

#include "vmm/base/json.h"

static const char *title(int status)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {{400, "Bad Request"},
                  {401, "Unauthorized"},
                  {403, "Forbidden"},
                  {404, "Not Found"},
                  {405, "Method Not Allowed"},
                  {408, "Request Timeout"},
                  {409, "Conflict"},
                  {411, "Length Required"},
                  {413, "Content Too Large"},
                  {415, "Unsupported Media Type"},
                  {422, "Unprocessable Content"},
                  {429, "Too Many Requests"},
                  {500, "Internal Server Error"},
                  {503, "Service Unavailable"},
                  {505, "HTTP Version Not Supported"},
                  {507, "Insufficient Storage"}};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

char *problem_text(int status, const char *code, const char *sentence)
{
    CLEAN_JSON *object = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title(status),
                                   "status", status, "code", code);
    json_t *detail = json_string(sentence);
    if (object && detail)
        (void)json_object_set(object, "detail", detail);
    json_decref(detail);
    return object ? json_dumps(object, JSON_COMPACT) : NULL;
}
