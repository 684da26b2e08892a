"""The `quorate` command: takes the compiled build of `trusted/` where there is one, then runs the command line."""

from quorate import compiled


def main() -> None:
    """Run the command line of this process."""
    compiled.prefer()
    from quorate.cli import main as run  # after `prefer`: importing the command line imports trusted/

    run()


if __name__ == "__main__":
    main()
