/* SIGHUP: the file is read again. */
#include "common/core/message.h"
#include "common/runtime/config_values.h"
#include "common/runtime/log.h"
#include <string.h>

enum { SHOWN_BYTES = 256 };

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_value(const config_option_t *o, const config_value_t *a, const config_value_t *b)
{
    if (o->key)
        return config_keyed_same(a, b);
    if (o->type != CONFIG_LIST)
        return same_text(a->text, b->text);
    bool same = a->list_count == b->list_count;
    for (size_t i = 0; same && i < a->list_count; i++)
        same = strcmp(a->list[i], b->list[i]) == 0;
    return same;
}

static const char *show(const config_option_t *o, const config_value_t *v, char text[static SHOWN_BYTES])
{
    if (o->secret && v->text)
        return "a value that is not shown";
    return v->text ? text_escape(v->text, strlen(v->text), text, SHOWN_BYTES) : "not given";
}

/* True when the value was taken over. */
static bool take_value(config_t *c, config_t *fresh, size_t i)
{
    const config_option_t *o = config_option(c, i);
    config_value_t *old = &c->values[i], *new = &fresh->values[i];
    char was[SHOWN_BYTES], is[SHOWN_BYTES], where[SHOWN_BYTES];
    if (same_value(o, old, new))
        return false;
    text_escape(new->origin, strlen(new->origin), where, sizeof(where));
    if (!o->reloads) {
        log_warn("%s: %s instead of %s needs a restart (%s)", o->name, show(o, new, is), show(o, old, was),
                 where);
        return false;
    }
    log_info("%s: %s instead of %s (%s)", o->name, show(o, new, is), show(o, old, was), where);
    config_value_t taken = *new;
    *new = *old;
    *old = taken;
    return true;
}

static void take_log_level(const config_t *c)
{
    log_level_t level;
    if (log_level_parse(config_text(c, "log-level"), &level) == 0)
        log_set_level(level);
}

int config_reload(config_t *c, int (*check)(void *arg, const config_t *fresh), void *arg)
{
    config_t *fresh = NULL;
    int taken = 0;
    if (!config_text(c, "config")) {
        log_info("SIGHUP: there is no file (--config) to be read again");
        return 0;
    }
    int r = config_read(&fresh, c->program, c->argc, c->argv, true);
    if (r >= 0)
        r = check(arg, fresh);
    if (r < 0) {
        log_error("the configuration stays as it was");
    } else {
        for (size_t i = 0; i < c->count; i++)
            taken += take_value(c, fresh, i);
        take_log_level(c);
        log_info("SIGHUP: %d options have another value now", taken);
    }
    config_destroy(&fresh);
    return r < 0 ? r : taken;
}
