"""`amends demo`: the main job on a made-up marketplace, with faults, people and evidence, in a few minutes."""

from amends.demo.run import Demo, run_demo

__all__ = ["Demo", "run_demo"]
