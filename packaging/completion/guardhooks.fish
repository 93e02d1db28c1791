# Completion of guardhooks for fish: /usr/share/fish/vendor_completions.d/guardhooks.fish

function __guardhooks_complete
    set -l found (env _GUARDHOOKS_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) guardhooks 2>/dev/null)
    for line in $found
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories (commandline -t)
            case file
                __fish_complete_path (commandline -t)
            case plain
                printf '%s\n' $parts[2]
        end
    end
end

complete --no-files --command guardhooks --arguments '(__guardhooks_complete)'
