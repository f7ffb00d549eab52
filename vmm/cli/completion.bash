# bash completion for cofre, cofre-vmm, cofre-agent and cofre-trust. Verbs and options are read from the programs' own --help, so
# that they are never out of step; values are completed as file names.
_cofre()
{
    local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]##*/}
    local -a command=("${COMP_WORDS[0]}")
    if [ "$program" = cofre ]; then
        if [ "$COMP_CWORD" -eq 1 ]; then
            local verbs
            verbs=$("${command[@]}" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p')
            mapfile -t COMPREPLY < <(compgen -W "$verbs --help" -- "$word")
            return
        fi
        command+=("${COMP_WORDS[1]}")
        # Some verbs have actions, which --help lists as verbs are; each has options of its own.
        local actions
        actions=$("${command[@]}" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p')
        if [ "$COMP_CWORD" -eq 2 ] && [ -n "$actions" ] && [[ $word != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$actions" -- "$word")
            return
        fi
        if [ "$COMP_CWORD" -gt 2 ] && grep -qxF -e "${COMP_WORDS[2]}" <<<"$actions"; then
            command+=("${COMP_WORDS[2]}")
        fi
    fi
    if [[ $word == -* ]]; then
        local options
        options=$("${command[@]}" --help 2>/dev/null | sed -n '/^  --help/d; s/^  \(--[a-z][a-z-]*\).*/\1/p' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _cofre cofre cofre-vmm cofre-agent cofre-trust
