# bash completion for heaptrace
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

_heaptrace()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i
    local formats='text summary jsonl folded recording'
    local causes='mmap munmap mremap brk mprotect madvise fault kernel-fault kernel fork exec exit'
    COMPREPLY=()

    # After -- comes the command with its own arguments.
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            if declare -F _command_offset >/dev/null; then
                _command_offset $((i + 1))
            else
                mapfile -t COMPREPLY < <(compgen -c -f -- "$cur")
            fi
            return
        fi
    done

    case $prev in
    -f | --format) mapfile -t COMPREPLY < <(compgen -W "$formats" -- "$cur") ;;
    -s | --source) mapfile -t COMPREPLY < <(compgen -W 'auto bpf ptrace' -- "$cur") ;;
    -e | --filter) mapfile -t COMPREPLY < <(compgen -W "$causes" -- "$cur") ;;
    --stacks) mapfile -t COMPREPLY < <(compgen -W 'auto none fp dwarf' -- "$cur") ;;
    --weight) mapfile -t COMPREPLY < <(compgen -W 'virt rss count' -- "$cur") ;;
    --color) mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$cur") ;;
    -u | --user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
    -o | --output) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    -p | --pid) mapfile -t COMPREPLY < <(cd /proc && compgen -G '[0-9]*' | grep "^$cur") ;;
    -d | --duration | --min | --sample | --ring) ;;
    *)
        case $cur in
        -*)
            mapfile -t COMPREPLY < <(compgen -W '--output --format --source --duration --filter --min --stacks
                --no-follow --no-seccomp --sample --ring --user --root --pid --quiet --verbose --weight --color --version --help --' -- "$cur")
            ;;
        *)
            if [[ $COMP_CWORD -eq 1 ]]; then
                mapfile -t COMPREPLY < <(compgen -W 'report doctor' -- "$cur")
            elif [[ ${COMP_WORDS[1]} == report ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            fi
            ;;
        esac
        ;;
    esac
}
complete -F _heaptrace heaptrace
