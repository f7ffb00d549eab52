/* The interface in OpenAPI's words: openapi.json, as it was when the program was built. */
#include <string.h>

#include "attest/service/handlers.h"
#include "attest/service/route.h"

static const char document[] =
#include "attest/service/openapi.inc"
    ;

void openapi_show(struct call *call)
{
    request_answer(call->request, 200, "application/json",
                   (struct view){(const uint8_t *)document, strlen(document)});
}
