"""Sandboxes in containers, made through the command line of Docker, or of Podman, which takes the same."""
