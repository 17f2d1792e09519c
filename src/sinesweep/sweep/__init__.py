"""A sweep: search space, study, controller, workers, results."""
