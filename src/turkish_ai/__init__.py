"""Türk AI Agent: a self-hosted Turkish assistant that answers with the adapter of the question's business sector."""

from importlib.metadata import version

__version__ = version("turkish-ai-agent")
