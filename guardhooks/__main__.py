"""`python -m guardhooks` is the `guardhooks` command."""

from guardhooks.cli import main

if __name__ == "__main__":
    main()
