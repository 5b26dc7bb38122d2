/**
 * Scripts by which each shell asks `fairlead __complete`. The answer has one candidate a line, `value<TAB>description`;
 * `:file` and `:dir` leave completion to the shell, which knows the machine's files best.
 */

/** bash splits words at `:` and `=`, and puts the candidate in place of what comes after the last of them. */
const bash = `# fairlead: completion for bash (complete in bash(1))
_fairlead() {
  local line=\${COMP_LINE:0:COMP_POINT} cur prefix= value text
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:blank:]] ]] && words+=('')
  cur=\${words[\${#words[@]}-1]}
  prefix=\${cur%"\${cur##*[:=]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r value text; do
    case $value in
      :file) compopt -o default ;;
      :dir) compopt -o dirnames ;;
      *) COMPREPLY+=("\${value#"$prefix"}") ;;
    esac
  done < <("$1" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _fairlead fairlead
`;

const zsh = `#compdef fairlead
# fairlead: completion for zsh (zshcompsys(1))
_fairlead() {
  local value text
  local -a values
  while IFS=$'\\t' read -r value text; do
    case $value in
      :file) _files ;;
      :dir) _files -/ ;;
      *) values+=("\${value//:/\\\\:}\${text:+:$text}") ;;
    esac
  done < <("\${words[1]}" __complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( \${#values} )) && _describe -V fairlead values -U
}
if [[ \${funcstack[1]} == _fairlead ]]; then
  _fairlead "$@"
else
  compdef _fairlead fairlead
fi
`;

const fish = `# fairlead: completion for fish (complete in fish(1))
function __fairlead_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (command $words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':file'
                __fish_complete_path "$current"
            case ':dir'
                __fish_complete_directories "$current" ''
            case '*'
                echo $line
        end
    end
end
complete -c fairlead -f -k -a '(__fairlead_complete)'
`;

export const SCRIPTS = { bash, zsh, fish };
export type Shell = keyof typeof SCRIPTS;
