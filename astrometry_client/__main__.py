"""The command from its first moment, also as `python -m astrometry_client`."""

import sys


def main() -> None:
    """Run the command. To import it takes a moment, in which Ctrl-C ends it in one line as well."""
    try:
        from astrometry_client.cli import main as command

        command(prog_name="astrometry-client")
    except KeyboardInterrupt:
        sys.stderr.write("astrometry-client: Interrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
