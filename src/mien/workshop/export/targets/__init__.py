"""Models for programs without Mien: a file and one line in `factory` a target, each checked against the artifact."""
