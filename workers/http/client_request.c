#include "workers/http/client_internal.h"

#include "common/runtime/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS_MAX = 86400000,
    MS_A_SECOND = 1000,
    /* For each request that is at work; answers are short. */
    READ_BUFFER_BYTES = 4096,
    SEND_BUFFER_BYTES = 16384,
};

/* --- what libcurl asks for --- */

/* Just before it is sent, over a connection that is ready. libcurl comes here a second time when it wants to
 * send once more. */
static int may_send(void *arg, char *to, char *from, int to_port, int from_port)
{
    http_request_t *r = arg;
    (void)to, (void)from, (void)to_port, (void)from_port;
    if (r->state == STATE_SENT)
        return r->once ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
    /* libcurl's own limit runs from when it came to it, and this process may have stood still before. */
    if (r->once && clock_ms() >= r->until_ms) {
        r->refused = "its time was over before it could be sent";
        return CURL_PREREQFUNC_ABORT;
    }
    if (r->state == STATE_CONNECTING)
        r->client->connecting--;
    r->state = STATE_SENT;
    return CURL_PREREQFUNC_OK;
}

static size_t take_head(char *bytes, size_t size, size_t n, void *arg)
{
    static const char begin[] = "HTTP/";
    http_request_t *r = arg;
    /* An interim answer ends with an empty line, too, and another one begins behind it; trailers are none. */
    if (size * n > 0 && (bytes[0] == '\r' || bytes[0] == '\n'))
        r->head_ended = true;
    else if (size * n >= sizeof begin - 1 && memcmp(bytes, begin, sizeof begin - 1) == 0)
        r->head_ended = false;
    r->head_bytes += size * n;
    if (r->head_bytes <= HTTP_HEAD_BYTES_MAX)
        return size * n;
    r->refused = "an answer with more than 64 kB of headers";
    return 0;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *arg)
{
    http_request_t *r = arg;
    const size_t room = r->client->options.body_bytes_max - r->body.len;
    r->cut = size * n > room;
    buffer_append(&r->body, bytes, r->cut ? room : size * n);
    if (r->body.failed)
        r->refused = "an answer that there is no memory for";
    return r->body.failed || r->cut ? 0 : size * n;
}

/* --- before --- */

void request_free(http_request_t *r)
{
    if (r == NULL)
        return;
    curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->headers);
    buffer_done(&r->body);
    free(r);
}

static int set_up(http_request_t *r)
{
    const http_options_t *o = &r->client->options;
    CURL *c = r->easy;
    CURLcode bad = curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, o->socket_path);
    bad |= curl_easy_setopt(c, CURLOPT_PRIVATE, r);
    bad |= curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->error);
    bad |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* no waiting for a server of names */
    bad |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    bad |= curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    /* Whatever the environment says. */
    bad |= curl_easy_setopt(c, CURLOPT_PROXY, "");
    bad |= curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    if (o->ca_file != NULL) {
        bad |= curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
        bad |= curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
    bad |= curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)READ_BUFFER_BYTES);
    bad |= curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER_BYTES);
    bad |= curl_easy_setopt(c, CURLOPT_USERAGENT, "mandrill/" MANDRILL_VERSION);
    bad |= curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, may_send);
    bad |= curl_easy_setopt(c, CURLOPT_PREREQDATA, r);
    bad |= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_head);
    bad |= curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    bad |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    bad |= curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    return bad == CURLE_OK ? 0 : -ENOMEM;
}

http_request_t *request_new(http_client_t *c)
{
    http_request_t *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->client = c;
    buffer_init(&r->body);
    r->easy = curl_easy_init();
    if (r->easy != NULL && set_up(r) == 0)
        return r;
    request_free(r);
    return NULL;
}

static int set_headers(http_request_t *r, const http_ask_t *ask)
{
    /* What libcurl would add of itself: waiting for a "100 Continue", and a body's type. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"), *longer;
    bool typed = false;
    for (size_t i = 0; list != NULL && i <= ask->headers_count; i++) {
        static const char type[] = "Content-Type:";
        const char *header = i < ask->headers_count ? ask->headers[i] : type;
        if (i == ask->headers_count && typed)
            break;
        typed = typed || curl_strnequal(header, type, sizeof type - 1);
        longer = curl_slist_append(list, header);
        if (longer == NULL)
            curl_slist_free_all(list);
        list = longer;
    }
    curl_slist_free_all(r->headers);
    r->headers = list;
    return list != NULL ? 0 : -ENOMEM;
}

int request_fill(http_request_t *r, const http_ask_t *ask)
{
    CURL *c = r->easy;
    const bool get = ask->method == NULL || (strcmp(ask->method, "GET") == 0 && ask->body == NULL);
    buffer_clear(&r->body);
    r->head_bytes = 0;
    r->head_ended = false;
    r->refused = NULL;
    r->cut = false;
    r->error[0] = '\0';
    r->once = ask->once;
    r->connects = ask->method == NULL;
    r->until_ms = ask->until_ms;
    CURLcode bad = set_headers(r, ask) == 0 ? CURLE_OK : CURLE_OUT_OF_MEMORY;
    bad |= curl_easy_setopt(c, CURLOPT_URL, ask->url);
    bad |= curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
    bad |= curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, r->connects ? 1L : 0L);
    bad |= curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, ask->once ? 1L : 0L);
    if (get) {
        bad |= curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
        bad |= curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, NULL);
    } else {
        bad |= curl_easy_setopt(c, CURLOPT_POST, 1L);
        bad |= curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body_len);
        bad |= curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, ask->body != NULL ? ask->body : "");
        bad |= curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, ask->method);
    }
    return bad == CURLE_OK ? 0 : -ENOMEM;
}

int request_set_times(http_request_t *r, int64_t now_ms)
{
    const int64_t connect_ms = r->client->options.connect_ms;
    const int64_t left_ms = r->until_ms - now_ms;
    const long most = left_ms < 1 ? 1L : left_ms > INT32_MAX ? (long)INT32_MAX : (long)left_ms;
    CURLcode bad = curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, most);
    bad |= curl_easy_setopt(r->easy, CURLOPT_CONNECTTIMEOUT_MS,
                            connect_ms > 0 && connect_ms < most ? (long)connect_ms : most);
    return bad == CURLE_OK ? 0 : -ENOMEM;
}

/* --- after --- */

static void read_retry_after(const http_request_t *r, http_answer_t *ret)
{
    curl_off_t seconds = 0; /* of a time of day, what is left until then */
    curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > 0)
        ret->retry_ms = seconds < RETRY_MS_MAX / MS_A_SECOND ? (int64_t)seconds * MS_A_SECOND : RETRY_MS_MAX;
}

void request_read_end(const http_request_t *r, CURLcode code, http_answer_t *ret, char why[static WHY_BYTES])
{
    long status = 0, error = 0;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret = (http_answer_t){.end = HTTP_ANSWERED,
                           .status = (int)status,
                           .cut = r->cut,
                           .body = (const char *)r->body.data,
                           .len = r->body.len,
                           .why = why};
    why[0] = '\0';
    if (r->connects && code == CURLE_OK)
        return;
    if (status != 0 && r->head_ended &&
        (code == CURLE_OK || (code == CURLE_WRITE_ERROR && r->cut && r->refused == NULL))) {
        read_retry_after(r, ret);
        return;
    }
    const char *text = code == CURLE_OK      ? "an answer that ends before its headers do"
                       : r->refused != NULL  ? r->refused
                       : r->error[0] != '\0' ? r->error
                                             : curl_easy_strerror(code);
    /* What only looks may have been sent over an old connection first. */
    const bool again = code == CURLE_COULDNT_CONNECT && !r->once;
    ret->end = r->state == STATE_SENT && !again ? HTTP_LOST : HTTP_NOT_REACHED;
    ret->status = 0;
    ret->len = 0;
    if (code == CURLE_COULDNT_CONNECT) {
        curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &error);
        ret->error = (int)error;
        text = error != 0 ? strerror((int)error) : text;
    }
    text_escape(text, strlen(text), why, WHY_BYTES);
}

int http_url_check(const char *url, char *why)
{
    CURLU *u = curl_url();
    char *scheme = NULL;
    const CURLUcode bad = u != NULL ? curl_url_set(u, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;
    if (bad == CURLUE_OK)
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    const bool good = scheme != NULL && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (bad != CURLUE_OK)
        snprintf(why, WHY_BYTES, "%s", curl_url_strerror(bad));
    else if (!good)
        snprintf(why, WHY_BYTES, "expected http:// or https://");
    curl_free(scheme);
    curl_url_cleanup(u);
    return good ? 0 : -EINVAL;
}
