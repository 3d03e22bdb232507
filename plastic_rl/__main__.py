"""All commands: `python -m plastic_rl COMMAND`."""

from plastic_rl.scripts.cli import main

if __name__ == "__main__":
    main()
