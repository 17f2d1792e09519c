"""Tracked, reproducible training runs for Hydra, Lightning and MLflow."""

__version__ = "0.1.0"
