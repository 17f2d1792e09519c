"""Tracked, reproducible training runs and sweeps for Hydra, Lightning and MLflow."""

__version__ = "0.1.0"
