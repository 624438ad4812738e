"""The process that runs the commands of one sandbox. Standard library only: it must start fast, and anywhere."""
