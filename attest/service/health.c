/* Alive: the service answers. Ready: it can do what it is for. Metrics: in Prometheus's text format, version 0.0.4. */
#include <stdio.h>
#include <string.h>

#include "attest/service/handlers.h"
#include "attest/service/route.h"

void health_alive(struct call *call)
{
    request_answer_json(call->request, 200, json_pack("{s:s}", "status", "alive"));
}

void health_ready(struct call *call)
{
    struct cofre_err err;
    int rc = db_run(call->db, "SELECT version FROM schema_version", NULL, 0, NULL, NULL, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, json_pack("{s:s}", "status", "ready"));
}

void health_metrics(struct call *call)
{
    const struct server_counts c = server_count(call->trust->server);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } metrics[] = {
        {"cofre_trust_connections", "gauge", "Connections that are open.", c.connections},
        {"cofre_trust_requests_pending", "gauge", "Requests at work.", c.pending},
        {"cofre_trust_connections_total", "counter", "Connections that were taken.", c.accepted},
        {"cofre_trust_requests_total", "counter", "Requests that came in whole.", c.requests},
        {"cofre_trust_requests_refused_total", "counter", "Requests refused for want of room.", c.refused},
        {"cofre_trust_connections_too_slow_total", "counter",
         "Connections ended because no request became whole in time.", c.too_slow},
        {"cofre_trust_connections_too_much_total", "counter",
         "Connections ended because requests that were not whole held too much memory.", c.too_much},
    };
    char text[4096];
    size_t used = 0;
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n",
                                 metrics[i].name, metrics[i].help, metrics[i].name, metrics[i].type,
                                 metrics[i].name, (unsigned long long)metrics[i].value);
    request_answer(call->request, 200, "text/plain; version=0.0.4; charset=utf-8",
                   (struct view){(uint8_t *)text, used});
}
