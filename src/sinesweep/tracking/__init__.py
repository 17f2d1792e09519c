"""The record of a run, and its way to MLflow: the only package that knows MLflow.

A run writes its own account, ``record.jsonl``, in its folder. A separate writer process sends the
account to MLflow, so that training never waits for the tracker and nothing is lost with it.
"""
