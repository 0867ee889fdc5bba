"""What a person starts: `python -m multimix` (cli, options), its commands, and the panel."""
