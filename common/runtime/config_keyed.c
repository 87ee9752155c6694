/* Options that may have a value of their own by key: "5,restart=3". Each key's value is kept by the strength
 * of its own place, so that one place can say something of a key and leave the rest to others. */
#include "common/core/message.h"
#include "common/runtime/config_values.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 64, ITEM_MAX = 256 };

static config_keyed_t *find(const config_value_t *v, const char *key, size_t len)
{
    for (size_t i = 0; i < v->keyed_count; i++)
        if (strncmp(v->keyed[i].key, key, len) == 0 && !v->keyed[i].key[len])
            return &v->keyed[i];
    return NULL;
}

static config_keyed_t *append(const config_t *c, config_value_t *v, const char *key, size_t len)
{
    config_keyed_t *grown = realloc(v->keyed, (v->keyed_count + 1) * sizeof(*grown));
    char *name = strndup(key, len);
    if (grown)
        v->keyed = grown;
    if (!grown || !name) {
        free(name);
        config_tell_no_memory(c);
        return NULL;
    }
    config_keyed_t *k = &grown[v->keyed_count++];
    *k = (config_keyed_t){.key = name};
    return k;
}

/* `text` is the item, `value` what stands behind its key. */
static int put(config_t *c, const config_option_t *o, config_value_t *v, config_from_t from,
               const char *origin, const char *text, const char *value)
{
    size_t len = value > text ? (size_t)(value - text) - 1 : 0;
    char place[ITEM_MAX + NAME_BYTES_MAX];
    config_scalar_t as;
    if (value > text && name_check(text, len) != 0)
        return config_tell(c,
                           "%s: \"%.*s\" is not the name of a %s (a letter, then at most 31 of a-z, 0-9, -)",
                           origin, (int)len, text, o->key);
    snprintf(place, sizeof(place), "%s%s%.*s", origin, len > 0 ? ": " : "", (int)len, text);
    int r = config_parse_scalar(c, o, place, value, &as);
    if (r < 0)
        return r;
    config_keyed_t *k = find(v, text, len);
    bool in_a_file = from == FROM_FILE || from == FROM_SECTION;
    if (k && k->from == from && in_a_file)
        return config_tell(c, "%s stands here twice", place);
    if (!k && v->keyed_count == KEYS_MAX)
        return config_tell(c, "%s: more than %d of them", origin, KEYS_MAX);
    if (!k && !(k = append(c, v, text, len)))
        return -ENOMEM;
    if (from < k->from)
        return 0;
    char *copy = strdup(text);
    if (!copy)
        return config_tell_no_memory(c);
    free(k->text);
    k->text = copy;
    k->from = from;
    k->as = as;
    return 0;
}

/* "5,restart=3", as it would be given. */
static int write_text(const config_t *c, config_value_t *v)
{
    size_t len = 1;
    for (size_t i = 0; i < v->keyed_count; i++)
        len += strlen(v->keyed[i].text) + 1;
    char *text = malloc(len);
    if (!text)
        return config_tell_no_memory(c);
    text[0] = '\0';
    for (size_t i = 0, at = 0; i < v->keyed_count; i++)
        at += (size_t)snprintf(text + at, len - at, "%s%s", i > 0 ? "," : "", v->keyed[i].text);
    free(v->text);
    v->text = text;
    return 0;
}

static int put_all(config_t *c, const config_option_t *o, config_value_t *v, config_from_t from,
                   const char *origin, const char *text)
{
    const char *at = text;
    for (;;) {
        char item[ITEM_MAX];
        size_t len = strcspn(at, ",");
        if (len == 0)
            return config_tell(c, "%s: \"%s\" has an empty item", origin, text);
        if (len >= sizeof(item))
            return config_tell(c, "%s: \"%.*s...\" is too long", origin, (int)sizeof(item) - 1, at);
        memcpy(item, at, len);
        item[len] = '\0';
        const char *equals = strchr(item, '=');
        int r = put(c, o, v, from, origin, item, equals ? equals + 1 : item);
        if (r < 0)
            return r;
        if (!at[len])
            return 0;
        at += len + 1;
    }
}

int config_set_keyed(config_t *c, size_t i, config_from_t from, const char *origin, const char *text)
{
    config_value_t *v = &c->values[i];
    int r = put_all(c, config_option(c, i), v, from, origin, text);
    if (r == 0)
        r = write_text(c, v);
    if (r < 0)
        return r;
    const config_keyed_t *others = find(v, "", 0);
    if (others)
        v->as = others->as;
    v->seen |= 1U << from;
    if (from < v->from)
        return 0;
    v->from = from;
    char *copy = strdup(origin);
    if (!copy)
        return config_tell_no_memory(c);
    free(v->origin);
    v->origin = copy;
    return 0;
}

const config_scalar_t *config_keyed_value(const config_value_t *v, const char *key)
{
    const config_keyed_t *k = find(v, key, strlen(key));
    return k ? &k->as : &v->as;
}

bool config_keyed_same(const config_value_t *a, const config_value_t *b)
{
    if (a->keyed_count != b->keyed_count)
        return false;
    for (size_t i = 0; i < a->keyed_count; i++) {
        const config_keyed_t *k = &a->keyed[i], *other = find(b, k->key, strlen(k->key));
        if (!other || strcmp(k->text, other->text) != 0)
            return false;
    }
    return true;
}

void config_keyed_done(config_value_t *v)
{
    for (size_t i = 0; i < v->keyed_count; i++) {
        free(v->keyed[i].key);
        free(v->keyed[i].text);
    }
    free(v->keyed);
}
