#include "workers/http/settings.h"

#include "common/runtime/clock.h"
#include "common/runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 64, TOKEN_BYTES_MAX = 8192, SHOWN_BYTES = 48, LINES_MORE = 3 };

static int refuse(char *why, const config_t *config, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int refuse(char *why, const config_t *config, const char *name, const char *format, ...)
{
    va_list arguments;
    int n = snprintf(why, WHY_BYTES, "%.80s: ", config_origin(config, name));
    va_start(arguments, format);
    vsnprintf(why + n, WHY_BYTES - (size_t)n, format, arguments);
    va_end(arguments);
    return -ERANGE;
}

void http_subject(http_subject_t *ret, message_id_t id, uint32_t try_no, const body_t *body)
{
    message_id_format(id, ret->id);
    snprintf(ret->try_no, sizeof ret->try_no, "%" PRIu32, try_no);
    ret->values = (template_values_t){.host = {body->host, body->host_len},
                                      .instance = {body->instance, body->instance_len},
                                      .id = {ret->id, strlen(ret->id)},
                                      .try_no = {ret->try_no, strlen(ret->try_no)}};
}

/* What a template makes of a task that harms nobody. */
static http_subject_t harmless(void)
{
    static const body_t body = {
        .instance = "host", .instance_len = 4, .host = "host.example", .host_len = 12};
    http_subject_t s;
    http_subject(&s, (message_id_t){1, 1}, 1, &body);
    s.values.boot_id = (template_value_t){"id", 2};
    return s;
}

/* --- a URL --- */

int http_url_option(const config_t *config, const char *name, bool boot_id, char *why)
{
    char told[WHY_BYTES];
    const char *text = config_text(config, name);
    const http_subject_t subject = harmless();
    buffer_t url;
    if (template_check(text, TEMPLATE_URL, boot_id, told) != 0)
        return refuse(why, config, name, "%.150s", told);
    buffer_init(&url);
    template_fill(&url, text, TEMPLATE_URL, &subject.values);
    buffer_append(&url, "", 1);
    const int error = url.failed ? -ENOMEM : http_url_check((const char *)url.data, told);
    buffer_done(&url);
    return error != 0 ? refuse(why, config, name, "is no URL: %.100s", told) : 0;
}

int http_reach_option(http_client_t *client, const config_t *config, const char *name, char *why)
{
    char told[WHY_BYTES];
    http_answer_t answer;
    const http_subject_t subject = harmless();
    buffer_t url;
    buffer_init(&url);
    template_fill(&url, config_text(config, name), TEMPLATE_URL, &subject.values);
    buffer_append(&url, "", 1);
    const http_ask_t ask = {.url = (const char *)url.data, .until_ms = clock_ms() + HTTP_REACH_MS};
    const int error = url.failed ? -ENOMEM : http_ask_and_wait(client, &ask, &answer, told);
    buffer_done(&url);
    if (error == 0 && answer.end == HTTP_ANSWERED)
        return 0;
    refuse(why, config, name, "the server cannot be reached: %.100s", error != 0 ? "no memory" : told);
    return -EIO;
}

/* --- headers --- */

static size_t name_len(const char *line)
{
    return strspn(line, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static bool is_name(const char *line, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(line, name, len) == 0;
}

/* The connection's own: what they say must be so. */
static bool is_reserved(const char *line, size_t len)
{
    static const char *const names[] = {
        "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "TE", "Trailer"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is_name(line, len, names[i]))
            return true;
    return false;
}

/* The value of a header of the configuration; NULL: it is not there. */
static const char *find_header(const config_t *config, const char *headers_name, const char *name)
{
    const char *const *lines;
    const size_t n = config_list(config, headers_name, &lines);
    for (size_t i = 0; i < n; i++)
        if (is_name(lines[i], name_len(lines[i]), name))
            return lines[i] + name_len(lines[i]) + 1 + strspn(lines[i] + name_len(lines[i]) + 1, " \t");
    return NULL;
}

int http_headers_option(const config_t *config, const char *name, bool boot_id, char *why)
{
    const char *const *lines;
    const size_t n = config_list(config, name, &lines);
    if (n > HTTP_HEADERS_MAX)
        return refuse(why, config, name, "%zu headers; at most %d", n, HTTP_HEADERS_MAX);
    for (size_t i = 0; i < n; i++) {
        char told[WHY_BYTES], shown[SHOWN_BYTES];
        const size_t len = name_len(lines[i]);
        text_escape(lines[i], strcspn(lines[i], ":"), shown,
                    sizeof shown); /* not its value: it may be secret */
        if (len == 0 || len > NAME_MAX_BYTES || lines[i][len] != ':' ||
            lines[i][len + 1 + strspn(lines[i] + len + 1, " \t")] == '\0')
            return refuse(why, config, name, "'%s' begins no header; expected 'Name: value'", shown);
        if (is_reserved(lines[i], len))
            return refuse(why, config, name, "'%s' is a header that the connection sets itself", shown);
        if (template_check(lines[i] + len + 1, TEMPLATE_PLAIN, boot_id, told) != 0)
            return refuse(why, config, name, "the value of %.40s: %.100s", shown, told);
    }
    return 0;
}

int http_header_name_option(const config_t *config, const char *name, const char *headers_name, char *why)
{
    const char *text = config_text(config, name);
    const size_t len = strlen(text);
    char shown[SHOWN_BYTES];
    text_escape(text, len, shown, sizeof shown);
    if (len > NAME_MAX_BYTES || name_len(text) != len || is_reserved(text, len))
        return refuse(why, config, name, "'%s' is no name for a header of one's own", shown);
    if (find_header(config, headers_name, text) != NULL)
        return refuse(why, config, name, "'%s' is given by --%s, too", shown, headers_name);
    return 0;
}

/* --- a body --- */

/* Of a media type, "application/problem+json; charset=utf-8". */
static template_form_t form_of(const char *type)
{
    const size_t len = strcspn(type, "; \t");
    if ((len == 16 && strncasecmp(type, "application/json", len) == 0) ||
        (len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0))
        return TEMPLATE_JSON;
    if (len == 33 && strncasecmp(type, "application/x-www-form-urlencoded", len) == 0)
        return TEMPLATE_FORM;
    return TEMPLATE_PLAIN;
}

int http_body_option(const config_t *config, const char *name, const char *headers_name, bool boot_id,
                     template_form_t *ret_form, const char **ret_type, char *why)
{
    char told[WHY_BYTES];
    const char *type = find_header(config, headers_name, "Content-Type");
    *ret_form = type != NULL ? form_of(type) : TEMPLATE_JSON;
    *ret_type = type != NULL ? NULL : "Content-Type: application/json";
    if (template_check(config_text(config, name), *ret_form, boot_id, told) != 0)
        return refuse(why, config, name, "%.150s", told);
    return 0;
}

/* --- a token --- */

static int read_token(const char *path, bool warns, char text[static TOKEN_BYTES_MAX + 1])
{
    struct stat st;
    /* A pipe that nobody writes to is not waited for: at SIGHUP the loop would be. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    const ssize_t n = fstat(fd, &st) == 0 ? read(fd, text, TOKEN_BYTES_MAX + 1) : -1;
    const int error = n < 0 ? -errno : n > TOKEN_BYTES_MAX ? -E2BIG : 0;
    close(fd);
    if (error != 0)
        return error;
    text[n] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (warns && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        char shown[SHOWN_BYTES * 2];
        log_warn("%s holds a token and is open to others (mode %04o); 0600 is better",
                 text_escape(path, strlen(path), shown, sizeof shown), (unsigned)st.st_mode & 07777U);
    }
    return text[0] != '\0' &&
                   strspn(text, "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
                                "abcdefghijklmnopqrstuvwxyz{|}~") == strlen(text)
               ? 0
               : -EBADMSG;
}

int http_token_option(const config_t *config, const char *name, const char *headers_name, bool warns,
                      char **ret_header, char *why)
{
    char text[TOKEN_BYTES_MAX + 1], shown[SHOWN_BYTES];
    static const char begin[] = "Authorization: Bearer ";
    const char *path = config_text(config, name);
    *ret_header = NULL;
    if (path == NULL)
        return 0;
    text_escape(path, strlen(path), shown, sizeof shown);
    if (find_header(config, headers_name, "Authorization") != NULL)
        return refuse(why, config, name, "contradicts the Authorization of --%s", headers_name);
    const int error = read_token(path, warns, text);
    if (error == -EBADMSG || error == -E2BIG)
        return refuse(why, config, name,
                      "%s holds no token; expected a first line of 1 to %d printable characters", shown,
                      TOKEN_BYTES_MAX);
    if (error != 0) {
        refuse(why, config, name, "cannot read %s: %s", shown, strerror(-error));
        return error;
    }
    const size_t len = strlen(text);
    char *header = malloc(sizeof begin + len);
    if (header == NULL) {
        refuse(why, config, name, "no memory");
        return -ENOMEM;
    }
    memcpy(header, begin, sizeof begin - 1);
    memcpy(header + sizeof begin - 1, text, len + 1);
    *ret_header = header;
    return 0;
}

/* --- a request --- */

/* Lines behind each other in one buffer, found again by their offsets, for it moves as it grows. */
typedef struct {
    buffer_t bytes;
    size_t at[HTTP_HEADERS_MAX + LINES_MORE];
    size_t count;
} lines_t;

static void add_line(lines_t *l, const char *line, const char *more)
{
    l->at[l->count++] = l->bytes.len;
    buffer_append(&l->bytes, line, strlen(line));
    buffer_append(&l->bytes, more, strlen(more) + 1);
}

static int fill_headers(lines_t *l, const http_sort_t *sort, const http_headers_t *headers,
                        const http_subject_t *subject)
{
    for (size_t i = 0; i < headers->count; i++) {
        const char *line = headers->lines[i];
        const size_t value = name_len(line) + 1;
        /* What it says of a body is not for requests without one. */
        if (sort->body == NULL && is_name(line, value - 1, "Content-Type"))
            continue;
        l->at[l->count++] = l->bytes.len;
        buffer_append(&l->bytes, line, value);
        if (template_fill(&l->bytes, line + value, TEMPLATE_PLAIN, &subject->values) != 0)
            return -EINVAL;
        buffer_append(&l->bytes, "", 1);
    }
    if (headers->token != NULL)
        add_line(l, headers->token, "");
    if (sort->type != NULL)
        add_line(l, sort->type, "");
    if (sort->key_header != NULL) {
        char line[NAME_MAX_BYTES + 4];
        snprintf(line, sizeof line, "%s: ", sort->key_header);
        add_line(l, line, subject->id);
    }
    return 0;
}

int http_ask_for(http_client_t *client, const http_sort_t *sort, const http_headers_t *headers,
                 const http_subject_t *subject, int64_t until_ms, uint32_t number, http_request_t **ret)
{
    lines_t l = {.count = 0};
    const char *lines[HTTP_HEADERS_MAX + LINES_MORE];
    buffer_t url, body;
    buffer_init(&l.bytes);
    buffer_init(&url);
    buffer_init(&body);
    int error = template_fill(&url, sort->url, TEMPLATE_URL, &subject->values);
    buffer_append(&url, "", 1);
    if (error == 0)
        error = fill_headers(&l, sort, headers, subject);
    if (error == 0 && sort->body != NULL)
        error = template_fill(&body, sort->body, sort->form, &subject->values);
    if (error == 0 && (url.failed || body.failed || l.bytes.failed))
        error = -ENOMEM;
    if (error == 0) {
        for (size_t i = 0; i < l.count; i++)
            lines[i] = (const char *)l.bytes.data + l.at[i];
        const http_ask_t ask = {.method = sort->method,
                                .url = (const char *)url.data,
                                .headers = lines,
                                .headers_count = l.count,
                                .body =
                                    sort->body != NULL ? (body.data != NULL ? (void *)body.data : "") : NULL,
                                .body_len = body.len,
                                .once = sort->once,
                                .until_ms = until_ms};
        *ret = http_ask(client, &ask, number);
        error = *ret != NULL ? 0 : -ENOMEM;
    }
    buffer_done(&l.bytes);
    buffer_done(&url);
    buffer_done(&body);
    return error;
}
