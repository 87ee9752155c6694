# Completion for mandrill and its programs: commands and flags as --help lists them, so this file knows none.
_mandrill()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local -a command=("${COMP_WORDS[0]}")
    local row
    COMPREPLY=()
    if [[ ${COMP_WORDS[0]##*/} == mandrill ]]; then
        if ((COMP_CWORD == 1)) || [[ $COMP_CWORD == 2 && $before == help ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$("${command[@]}" help 2>/dev/null |
                sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$word")
            return
        fi
        command+=("${COMP_WORDS[1]}")
    fi
    local help
    help=$("${command[@]}" --help 2>/dev/null) || return
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(sed -n '/^Options:/,/^Examples:/{
            s/^  --\[no-\]\([a-z-]*\).*/--\1 --no-\1/p
            s/^  \(--[a-z-]*\).*/\1/p
            s/^  -h, --help .*/--help/p
        }' <<<"$help")" -- "$word")
        return
    fi
    if ((COMP_CWORD == 2)); then
        # "Usage: mandrill dead list|show [options] ...": words of its own.
        local words
        words=$(sed -n '1s/^Usage: mandrill [a-z]* \([a-z]*|[a-z|]*\) .*/\1/p' <<<"$help")
        mapfile -t COMPREPLY < <(compgen -W "${words//|/ }" -- "$word")
        [[ -n $words ]] && return
    fi
    row=$(grep -m 1 -e "^  $before [A-Z]" <<<"$help")
    case $row in
    *" DIR "*) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    *" FILE "*) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    esac
}
complete -o filenames -F _mandrill mandrill mandrill-publisher mandrill-consumer mandrill-worker
