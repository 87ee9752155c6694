/* What a kind that speaks HTTP asks for, as its options say: templates of a URL, of headers, of a body, and a
 * token. Kinds have options of their own names; what they mean is here.
 *
 * Ownership: settings point into the configuration's texts. Errors: -ERANGE for what the user has mistaken,
 * else -errno, with `why` (WHY_BYTES), which names the option. */
#ifndef MANDRILL_HTTP_SETTINGS_H
#define MANDRILL_HTTP_SETTINGS_H

#include "common/runtime/config.h"
#include "workers/http/client.h"
#include "workers/http/template.h"

enum { HTTP_HEADERS_MAX = 64, HTTP_REACH_MS = 5000 };

/* With every request. */
typedef struct {
    const char *const *lines; /* "Name: template" */
    size_t count;
    char *token; /* its own: "Authorization: Bearer ..."; NULL: none */
} http_headers_t;

/* One sort of request. */
typedef struct {
    const char *method, *url;
    const char *body;       /* NULL: none */
    template_form_t form;   /* of the body */
    const char *type;       /* a line more, "Content-Type: ..."; NULL: none, or it stands in the headers */
    const char *key_header; /* "Idempotency-Key": it has the message's id there; NULL: none */
    bool once;              /* as http_ask_t has it */
} http_sort_t;

/* What templates may say of a task. */
typedef struct {
    char id[MESSAGE_ID_TEXT], try_no[12];
    template_values_t values;
} http_subject_t;
void http_subject(http_subject_t *ret, message_id_t id, uint32_t try_no, const body_t *body);

/* Each looks at one option. `boot_id`: whether templates may have {boot_id}. */
int http_url_option(const config_t *config, const char *name, bool boot_id, char *why);
int http_headers_option(const config_t *config, const char *name, bool boot_id, char *why);
/* The form of a body: as its Content-Type says. Without one it is JSON, and `ret_type` the line that says so.
 */
int http_body_option(const config_t *config, const char *name, const char *headers_name, bool boot_id,
                     template_form_t *ret_form, const char **ret_type, char *why);
int http_header_name_option(const config_t *config, const char *name, const char *headers_name, char *why);
/* Its first line, as a header. With `warns` the log says when others may read the file. */
int http_token_option(const config_t *config, const char *name, const char *headers_name, bool warns,
                      char **ret_header, char *why);
/* Whether there is somebody at the server of a template, with a certificate that holds. */
int http_reach_option(http_client_t *client, const config_t *config, const char *name, char *why);

/* Begins a request: 0, -EINVAL when the task's words make no URL, -ENOMEM. */
int http_ask_for(http_client_t *client, const http_sort_t *sort, const http_headers_t *headers,
                 const http_subject_t *subject, int64_t until_ms, uint32_t number, http_request_t **ret);

#endif
