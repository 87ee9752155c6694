/* Endpoints: their syntax, and the addresses that a name stands for. Names are resolved here and not by
 * libzmq, which would block the thread of all I/O and take the first address only. IPv4 only. */
#include "common/core/message.h"
#include "common/runtime/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TCP "tcp://"
#define IPC "ipc://"

enum { ENDPOINT_TEXT = 128 };

typedef struct {
    char host[HOST_BYTES_MAX + 1]; /* "*" for all */
    char port[8];                  /* "0" for any free one */
} tcp_endpoint_t;

static int refuse(char *why, const char *endpoint, const char *what)
{
    char shown[96];
    snprintf(why, WHY_BYTES, "'%s' %s", text_escape(endpoint, strlen(endpoint), shown, sizeof shown), what);
    return -EINVAL;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_port(const char *text)
{
    const size_t len = strspn(text, "0123456789");
    return len >= 1 && len <= 5 && text[len] == '\0' && atoi(text) <= 65535;
}

static bool is_host(const char *text, size_t len)
{
    if (len == 1 && text[0] == '*')
        return true;
    return len > 0 && len <= HOST_BYTES_MAX && text[0] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") >= len;
}

static int parse_tcp(const char *endpoint, tcp_endpoint_t *ret, char *why)
{
    const char *host = endpoint + strlen(TCP);
    if (host[0] == '[')
        return refuse(why, endpoint, "is an IPv6 address; only IPv4 is supported");
    const char *colon = strrchr(host, ':');
    if (colon == NULL)
        return refuse(why, endpoint, "has no port; expected tcp://ADDRESS:PORT");
    const char *port = strcmp(colon + 1, "*") == 0 ? "0" : colon + 1;
    if (!is_port(port))
        return refuse(why, endpoint, "has no port of 0 to 65535 (0: any free one)");
    const size_t len = (size_t)(colon - host);
    if (!is_host(host, len))
        return refuse(why, endpoint, "has no valid address; expected tcp://ADDRESS:PORT");
    snprintf(ret->host, sizeof ret->host, "%.*s", (int)len, host);
    snprintf(ret->port, sizeof ret->port, "%s", port);
    return 0;
}

static int check_ipc(const char *endpoint, char *why)
{
    const char *path = endpoint + strlen(IPC);
    /* "*" and "@name" mean something else to libzmq, and have no file mode that guards them. */
    if (path[0] == '\0' || path[0] == '*' || path[0] == '@')
        return refuse(why, endpoint, "has no path; expected ipc://PATH");
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return refuse(why, endpoint, "has a path of more than 107 bytes, which Unix sockets cannot take");
    return 0;
}

int endpoint_check(const char *endpoint, char *why)
{
    tcp_endpoint_t tcp;
    if (starts_with(endpoint, TCP))
        return parse_tcp(endpoint, &tcp, why);
    if (starts_with(endpoint, IPC))
        return check_ipc(endpoint, why);
    return refuse(why, endpoint, "is no endpoint; expected tcp://ADDRESS:PORT or ipc://PATH");
}

static bool listed(char (*list)[ENDPOINT_TEXT], int count, const char *text)
{
    for (int i = 0; i < count; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

static int lookup_error(int error, const char *host, char *why)
{
    snprintf(why, WHY_BYTES, "cannot resolve '%.100s': %s", host, gai_strerror(error));
    switch (error) {
    case EAI_NONAME:
        return -ENOENT;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_AGAIN:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

int endpoint_resolve(const char *endpoint, char (*ret)[ENDPOINT_TEXT], int max, char *why)
{
    int error = endpoint_check(endpoint, why);
    if (error != 0 || max < 1)
        return error;
    tcp_endpoint_t tcp;
    if (starts_with(endpoint, TCP))
        parse_tcp(endpoint, &tcp, why);
    if (starts_with(endpoint, IPC) || strcmp(tcp.host, "*") == 0) {
        snprintf(ret[0], ENDPOINT_TEXT, "%s", endpoint);
        return 1;
    }

    /* RFC 6761 section 6.3: this name always means this machine, also where no /etc/hosts says so. */
    if (strcmp(tcp.host, "localhost") == 0) {
        snprintf(ret[0], ENDPOINT_TEXT, TCP "127.0.0.1:%s", tcp.port);
        return 1;
    }

    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    error = getaddrinfo(tcp.host, NULL, &hints, &found);
    if (error != 0)
        return lookup_error(error, tcp.host, why);
    int count = 0;
    for (const struct addrinfo *a = found; a != NULL && count < max; a = a->ai_next) {
        char number[INET_ADDRSTRLEN];
        char text[ENDPOINT_TEXT];
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr, number,
                  sizeof number);
        snprintf(text, sizeof text, TCP "%s:%s", number, tcp.port);
        if (!listed(ret, count, text))
            memcpy(ret[count++], text, sizeof text);
    }
    freeaddrinfo(found);
    return count;
}
