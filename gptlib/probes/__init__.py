"""What the notebooks measure on the real model: a module a question."""

from gptlib.probes.claims import claim

__all__ = ["claim"]
