# bash completion for cofre, cofre-vmm, cofre-agent, cofre-trust and cofred. Verbs and options are read from the programs' own --help, so
# that they are never out of step; values are completed as file names.
_cofre()
{
    local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]##*/} help
    local -a command=("${COMP_WORDS[0]}")
    [ "$program" != cofre ] || [ "$COMP_CWORD" -eq 1 ] || command+=("${COMP_WORDS[1]}")
    help=$("${command[@]}" --help 2>/dev/null)
    if [ "$program" = cofre ] && [ "$COMP_CWORD" -eq 1 ]; then
        local verbs
        verbs=$(sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' <<<"$help")
        mapfile -t COMPREPLY < <(compgen -W "$verbs --help" -- "$word")
        return
    fi
    if [ "$program" = cofre ]; then
        # Some verbs have actions, which --help lists as verbs are; each has options of its own.
        local actions
        actions=$(sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p' <<<"$help")
        if [ "$COMP_CWORD" -eq 2 ] && [ -n "$actions" ] && [[ $word != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$actions" -- "$word")
            return
        fi
        if [ "$COMP_CWORD" -gt 2 ] && grep -qxF -e "${COMP_WORDS[2]}" <<<"$actions"; then
            help=$("${command[@]}" "${COMP_WORDS[2]}" --help 2>/dev/null)
        fi
    fi
    if [[ $word == -* ]]; then
        local options
        options=$(sed -n '/^  --help/d; s/^  \(--[a-z][a-z-]*\).*/\1/p' <<<"$help" | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _cofre cofre cofre-vmm cofre-agent cofre-trust cofred
