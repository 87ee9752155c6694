#include "workers/restart/restart_docker_allow.h"

#include "common/core/glob.h"
#include <string.h>

bool allow_label_check(const char *rule)
{
    const size_t key = strcspn(rule, "=");
    return key > 0 && key <= LABEL_KEY_BYTES_MAX;
}

static bool has_label(const container_t *c, const char *rule)
{
    char key[LABEL_KEY_BYTES_MAX + 1];
    const size_t len = strcspn(rule, "=");
    if (!allow_label_check(rule))
        return false;
    memcpy(key, rule, len);
    key[len] = '\0';
    const char *value = container_label(c, key);
    return value != NULL && (rule[len] == '\0' || strcmp(value, rule + len + 1) == 0);
}

bool allow_match(const allow_t *a, const container_t *c)
{
    for (size_t i = 0; i < a->names_count; i++)
        if (glob_match(a->names[i], strlen(a->names[i]), c->name, strlen(c->name)))
            return true;
    for (size_t i = 0; i < a->labels_count; i++)
        if (has_label(c, a->labels[i]))
            return true;
    return false;
}
