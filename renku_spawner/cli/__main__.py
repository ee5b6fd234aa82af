"""Run the command line as `python -m renku_spawner.cli`."""

from .main import main

if __name__ == "__main__":
    main()
