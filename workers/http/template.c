#include "workers/http/template.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 32 };
#define PLACES "{host}, {instance}, {id}, {try}"

/* --- reading --- */

typedef enum { PIECE_END, PIECE_TEXT, PIECE_PLACE, PIECE_BAD } piece_kind_t;

/* Plain bytes, or what stands between two braces. */
typedef struct {
    piece_kind_t kind;
    const char *at;
    size_t len;
} piece_t;

/* The next one, from `*at`, which moves behind it. A brace that is written twice is a text of one. */
static piece_t next_piece(const char **at, template_form_t form)
{
    const char *t = *at;
    const bool twice = form != TEMPLATE_URL && (t[0] == '{' || t[0] == '}') && t[1] == t[0];
    piece_t p = {PIECE_TEXT, t, 1};
    if (t[0] == '\0')
        return (piece_t){PIECE_END, t, 0};
    if (twice) {
        *at = t + 2;
        return p;
    }
    if (t[0] != '{' && t[0] != '}') {
        p.len = strcspn(t, "{}");
        *at = t + p.len;
        return p;
    }
    const size_t inside = t[0] == '{' ? strcspn(t + 1, "{}") : 0;
    if (t[0] == '}' || t[1 + inside] != '}')
        return (piece_t){PIECE_BAD, t, 0};
    *at = t + inside + 2;
    return (piece_t){PIECE_PLACE, t + 1, inside};
}

/* NULL: there is none of this name. */
static const template_value_t *find_value(const template_values_t *v, const char *name, size_t len)
{
    const struct {
        const char *name;
        const template_value_t *value;
    } places[] = {{"host", &v->host},
                  {"instance", &v->instance},
                  {"id", &v->id},
                  {"try", &v->try_no},
                  {"boot_id", &v->boot_id}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strlen(places[i].name) == len && memcmp(places[i].name, name, len) == 0)
            return places[i].value;
    return NULL;
}

/* --- checking --- */

static int refuse_place(const char *text, const piece_t *p, template_form_t form, bool boot_id, char *why)
{
    char shown[SHOWN_BYTES];
    snprintf(why, WHY_BYTES, "'{%s}' at %td is no placeholder; expected one of " PLACES "%s%s",
             text_escape(p->at, p->len, shown, sizeof shown), p->at - text, boot_id ? ", {boot_id}" : "",
             form != TEMPLATE_URL ? "; a brace itself is written {{" : "");
    return -EINVAL;
}

static int refuse_brace(const char *text, const piece_t *p, template_form_t form, char *why)
{
    snprintf(why, WHY_BYTES, "the '%c' at %td %s; a brace itself is written %s", p->at[0], p->at - text + 1,
             p->at[0] == '{' ? "is not closed" : "closes nothing",
             form != TEMPLATE_URL ? p->at[0] == '{' ? "{{" : "}}"
             : p->at[0] == '{'    ? "%7B"
                                  : "%7D");
    return -EINVAL;
}

/* Where the path or the query begins: behind "scheme://host:port". NULL: it is no such URL. */
static const char *behind_authority(const char *url)
{
    const char *slashes = strstr(url, "://");
    if (slashes == NULL ||
        slashes != url + strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return NULL;
    /* An empty one would have libcurl take the path's first element for the server. */
    const size_t len = strcspn(slashes + 3, "/?#");
    return len > 0 && slashes[3] != ':' ? slashes + 3 + len : NULL;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* What a URL may not hold, or means something else to some of those who read it. */
static int check_url(const char *url, char *why)
{
    const char *path = behind_authority(url);
    for (const char *t = url; *t != '\0'; t++) {
        if (*t == '%' && (!is_hex(t[1]) || !is_hex(t[2]))) {
            snprintf(why, WHY_BYTES, "the '%%' at %td has no two digits behind it; it is written %%25",
                     t - url + 1);
            return -EINVAL;
        }
        if (*t <= ' ' || *t > '~' || strchr("\"<>\\^`|", *t) != NULL) {
            char shown[8];
            snprintf(why, WHY_BYTES, "'%s' at %td has no place in a URL; it is written %%%02X",
                     text_escape(t, 1, shown, sizeof shown), t - url + 1, (unsigned)(unsigned char)*t);
            return -EINVAL;
        }
    }
    if (path == NULL) {
        snprintf(why, WHY_BYTES, "expected a whole URL, as in https://api.example.org/hosts/{host}");
        return -EINVAL;
    }
    const char *brace = strpbrk(url, "{}"), *at = strchr(url, '@'), *fragment = strchr(url, '#');
    if (brace != NULL && brace < path)
        snprintf(why, WHY_BYTES,
                 "the '%c' at %td stands before the path: which server is asked is said here, and never by a"
                 " message",
                 *brace, brace - url + 1);
    else if (at != NULL && at < path)
        snprintf(why, WHY_BYTES, "the '@' at %td: a user or a password has no place in a URL", at - url + 1);
    else if (fragment != NULL)
        snprintf(why, WHY_BYTES, "the '#' at %td: what follows is not sent; it is written %%23",
                 fragment - url + 1);
    else
        return 0;
    return -EINVAL;
}

static int check_text(const char *text, char *why)
{
    for (const char *t = text; *t != '\0'; t++)
        if ((unsigned char)*t < ' ' && *t != '\t') {
            snprintf(why, WHY_BYTES, "a control character (%u) at %td; expected one line of text",
                     (unsigned)(unsigned char)*t, t - text + 1);
            return -EINVAL;
        }
    return 0;
}

static bool is_dots(const char *element, size_t len)
{
    size_t dots = 0;
    for (size_t i = 0; i < len; dots++) {
        const bool encoded = len - i >= 3 && element[i] == '%' && element[i + 1] == '2' &&
                             (element[i + 2] == 'e' || element[i + 2] == 'E');
        if (!encoded && element[i] != '.')
            return false;
        i += encoded ? 3 : 1;
    }
    return dots == 1 || dots == 2;
}

/* Whether an element of a URL's path is "." or "..", which lead elsewhere; `path`: what is behind the host.
 */
static bool has_dots(const char *path, size_t len)
{
    const char *query = memchr(path, '?', len);
    const char *end = query != NULL ? query : path + len;
    for (const char *slash = path; slash != NULL && slash < end;) {
        const char *next = memchr(slash + 1, '/', (size_t)(end - slash - 1));
        if (is_dots(slash + 1, (size_t)((next != NULL ? next : end) - slash - 1)))
            return true;
        slash = next;
    }
    return false;
}

int template_check(const char *text, template_form_t form, bool boot_id, char *why)
{
    const template_values_t none = {0};
    const char *at = text;
    if (text[0] == '\0' && form == TEMPLATE_URL) {
        snprintf(why, WHY_BYTES, "is empty; expected a URL, as in https://api.example.org/hosts/{host}");
        return -EINVAL;
    }
    if (strlen(text) > TEMPLATE_BYTES_MAX) {
        snprintf(why, WHY_BYTES, "is %zu bytes long; at most %d", strlen(text), TEMPLATE_BYTES_MAX);
        return -EINVAL;
    }
    if ((form == TEMPLATE_URL ? check_url(text, why) : check_text(text, why)) != 0)
        return -EINVAL;
    for (piece_t p; (p = next_piece(&at, form)).kind != PIECE_END;) {
        if (p.kind == PIECE_BAD)
            return refuse_brace(text, &p, form, why);
        if (p.kind != PIECE_PLACE)
            continue;
        const template_value_t *value = find_value(&none, p.at, p.len);
        if (value == NULL || (value == &none.boot_id && !boot_id))
            return refuse_place(text, &p, form, boot_id, why);
    }
    if (form == TEMPLATE_URL && has_dots(behind_authority(text), strlen(behind_authority(text)))) {
        snprintf(why, WHY_BYTES, "an element of the path is '.' or '..'");
        return -EINVAL;
    }
    return 0;
}

/* --- filling in --- */

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_.~", c) != NULL);
}

static void append_byte(buffer_t *out, unsigned char c, template_form_t form)
{
    char text[8];
    const bool printable = c >= ' ' && c <= '~';
    if (form == TEMPLATE_PLAIN)
        snprintf(text, sizeof text, "%c", printable ? c : '?');
    else if (form == TEMPLATE_JSON && (!printable || c == '"' || c == '\\'))
        snprintf(text, sizeof text, "\\u%04X", (unsigned)c);
    else if (form == TEMPLATE_JSON || is_unreserved((char)c))
        snprintf(text, sizeof text, "%c", c);
    else
        snprintf(text, sizeof text, "%%%02X", (unsigned)c);
    buffer_append(out, text, strlen(text));
}

int template_fill(buffer_t *out, const char *text, template_form_t form, const template_values_t *values)
{
    const size_t before = out->len;
    const char *at = text;
    for (piece_t p; (p = next_piece(&at, form)).kind != PIECE_END;) {
        const template_value_t *value = p.kind == PIECE_PLACE ? find_value(values, p.at, p.len) : NULL;
        if (p.kind == PIECE_TEXT)
            buffer_append(out, p.at, p.len);
        else if (value == NULL || value->len == 0)
            return -EINVAL;
        for (size_t i = 0; value != NULL && i < value->len; i++)
            append_byte(out, (unsigned char)value->text[i], form);
    }
    if (form != TEMPLATE_URL || out->failed)
        return 0;
    const size_t path = before + (size_t)(behind_authority(text) - text);
    return has_dots((const char *)out->data + path, out->len - path) ? -EINVAL : 0;
}
