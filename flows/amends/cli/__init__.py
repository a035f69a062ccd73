"""The `amends` command. Commands import what they need when they run, so that `amends --help` is quick."""

from amends.cli.app import app, main

__all__ = ["app", "main"]
