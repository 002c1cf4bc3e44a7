"""`python -m bench`."""

import signal
import sys


def main() -> None:
    """Run this process's own command line and leave with its exit code.

    Ctrl-C and a scheduler's SIGTERM end it in a word, from the first import on.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from bench.cli import run_words

        sys.exit(run_words(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
