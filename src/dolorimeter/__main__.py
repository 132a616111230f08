"""``python -m dolorimeter``: the command line, for launchers of several processes."""

from dolorimeter.cli import main

if __name__ == "__main__":
    main()
