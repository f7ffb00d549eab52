#include <ctype.h>
#include <string.h>

#include "vmm/base/timestamp.h"
#include "vmm/host/page/parts.h"

void html_text(FILE *to, const char *text)
{
    for (const char *c = text ? text : ""; *c; c++)
        switch (*c) {
        case '&':
            fputs("&amp;", to);
            break;
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        case '\'':
            fputs("&#39;", to);
            break;
        default:
            *c >= ' ' && *c <= '~' ? (void)fputc(*c, to) : (void)fprintf(to, "\\x%02x", (unsigned char)*c);
        }
}

void html_url(FILE *to, const char *text)
{
    for (const char *c = text; *c; c++)
        isalnum((unsigned char)*c) || strchr("-._~", *c) ? (void)fputc(*c, to)
                                                         : (void)fprintf(to, "%%%02X", (unsigned char)*c);
}

void html_time(FILE *to, int64_t time)
{
    char text[TIME_TEXT_SIZE];
    time_format(text, time);
    fprintf(to, "<time datetime=\"%s\">%.10s <span>%.8s</span></time>", text, text, text + 11);
}

void html_hex(FILE *to, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    fputs("<code class=\"hex\">", to);
    for (size_t i = 0; i < len; i++)
        fprintf(to, "%s%02x", i && i % 8 == 0 ? "<wbr>" : "", bytes[i]);
    fputs("</code>", to);
}
