/* The configuration file: ZPL (rfc.zeromq.org/spec:4), one level of sections.
 *
 * Read here and not by czmq's zconfig: that tells faults on stdout and without the file's name, reads past
 * the text after a line of more than 1024 bytes, takes "key = # comment" for a value, and keeps no line
 * numbers. */
#include "common/runtime/config_values.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20, LINE_BYTES_MAX = 1024, INDENT = 4, ORIGIN_MAX = 512 };

/* One file may serve all programs, so each knows the others' sections. */
static const char *const sections[] = {"publisher", "consumer", "worker", "mandrill", "up",
                                       "publish",   "status",   "dead",   "bench"};

typedef struct {
    config_t *config;
    const char *path;
    unsigned line;
    enum { SCOPE_TOP, SCOPE_OURS, SCOPE_OTHERS } scope;
    bool in_section; /* indented lines may follow */
} zpl_t;

static int tell_read_error(const config_t *c, const char *path)
{
    config_tell(c, "%s: cannot read the configuration: %s", path, strerror(errno));
    return -EIO;
}

/* The whole file with a NUL behind it, to be freed by the caller. */
static int read_file(const config_t *c, const char *path, char **ret, size_t *ret_len)
{
    int r = 0;
    size_t len = 0;
    char *bytes = malloc(FILE_BYTES_MAX + 1);
    if (!bytes)
        return config_tell_no_memory(c);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        r = tell_read_error(c, path);
        goto out;
    }
    for (;;) {
        ssize_t n = read(fd, bytes + len, FILE_BYTES_MAX + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            r = tell_read_error(c, path);
            goto out;
        }
        len += (size_t)n;
        if (n == 0)
            break;
        if (len > FILE_BYTES_MAX) {
            r = config_tell(c, "%s: longer than %d bytes: not a configuration", path, FILE_BYTES_MAX);
            goto out;
        }
    }
    bytes[len] = '\0';
    *ret = bytes;
    *ret_len = len;
    bytes = NULL;
out:
    if (fd >= 0)
        close(fd);
    free(bytes);
    return r;
}

static int tell_line(const zpl_t *z, const char *what)
{
    return config_tell(z->config, "%s:%u: %s", z->path, z->line, what);
}

static int take_section(zpl_t *z, const char *name)
{
    z->in_section = true;
    z->scope = SCOPE_OTHERS;
    if (strcmp(name, z->config->program->section) == 0) {
        z->scope = SCOPE_OURS;
        return 0;
    }
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (strcmp(name, sections[i]) == 0)
            return 0;
    }
    return config_tell(z->config, "%s:%u: unknown section \"%s\" (a key needs \"= VALUE\")", z->path, z->line,
                       name);
}

static int take_key(zpl_t *z, const char *key, const char *value)
{
    config_t *c = z->config;
    if (z->scope == SCOPE_OTHERS)
        return 0;
    bool ours = z->scope == SCOPE_OURS;
    char origin[ORIGIN_MAX];
    snprintf(origin, sizeof(origin), "%s:%u: %s%s%s", z->path, z->line, ours ? c->program->section : "",
             ours ? "/" : "", key);
    size_t i = config_find(c, key, strlen(key));
    if (i == c->count) {
        const char *near = config_nearest(c, key);
        return config_tell(c, "%s:%u: unknown key \"%s\"%s%s%s", z->path, z->line, key,
                           near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    if (strcmp(key, "config") == 0)
        return tell_line(z, "\"config\" cannot stand in a configuration");
    config_from_t from = ours ? FROM_SECTION : FROM_FILE;
    if (c->values[i].seen & 1U << from && config_option(c, i)->type != CONFIG_LIST &&
        !config_option(c, i)->key)
        return config_tell(c, "%s:%u: \"%s\" stands here twice", z->path, z->line, key);
    return config_set(c, i, from, origin, value);
}

/* True when nothing but a comment follows. */
static bool is_blank(const char *text)
{
    text += strspn(text, " ");
    return !*text || *text == '#';
}

/* What stands behind '='; changes the line. NULL: no value, or a quote without its end. */
static char *cut_value(char *text)
{
    text += strspn(text, " ");
    if (*text == '"' || *text == '\'') {
        char *end = strchr(text + 1, *text);
        if (!end || !is_blank(end + 1))
            return NULL;
        *end = '\0';
        return text + 1;
    }
    text[strcspn(text, "#")] = '\0';
    for (size_t len = strlen(text); len > 0 && text[len - 1] == ' '; len--)
        text[len - 1] = '\0';
    return *text ? text : NULL;
}

static int take_line(zpl_t *z, char *line)
{
    if (is_blank(line))
        return 0;
    size_t indent = strspn(line, " ");
    if (indent != 0 && indent != INDENT)
        return tell_line(z, "indented by something else than 0 or 4 spaces");
    if (indent == 0) {
        z->scope = SCOPE_TOP;
        z->in_section = false;
    } else if (!z->in_section) {
        return tell_line(z, "indented, but it is in no section");
    }
    char *key = line + indent;
    size_t len = strcspn(key, " =#");
    char *rest = key + len + strspn(key + len, " ");
    bool has_value = *rest == '=';
    if (len == 0 || (!has_value && !is_blank(rest)))
        return tell_line(z, "expected \"key = value\" or the name of a section");
    char *value = has_value ? cut_value(rest + 1) : NULL;
    key[len] = '\0';
    if (!has_value && indent == 0)
        return take_section(z, key);
    if (!value)
        return config_tell(z->config, "%s:%u: \"%s\" has no value, or a quote without its end", z->path,
                           z->line, key);
    return take_key(z, key, value);
}

/* Bounds the line and refuses what an editor would not show. */
static int check_line(const zpl_t *z, char *line, size_t len)
{
    if (len > LINE_BYTES_MAX)
        return tell_line(z, "longer than 1024 bytes");
    while (len > 0 && strchr(" \t\r", line[len - 1]))
        line[--len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            return tell_line(z,
                             line[i] == '\t' ? "has a tab; indent by 4 spaces" : "has a control character");
    }
    return 0;
}

int config_file_load(config_t *c, const char *path)
{
    char *bytes = NULL;
    size_t len = 0;
    int r = read_file(c, path, &bytes, &len);
    if (r < 0)
        return r;
    zpl_t z = {.config = c, .path = path};
    for (char *at = bytes; r == 0 && at < bytes + len;) {
        char *end = memchr(at, '\n', (size_t)(bytes + len - at));
        if (!end)
            end = bytes + len;
        *end = '\0';
        z.line++;
        r = check_line(&z, at, (size_t)(end - at));
        if (r == 0)
            r = take_line(&z, at);
        at = end + 1;
    }
    free(bytes);
    return r;
}
