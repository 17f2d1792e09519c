"""What is done with the trials that a sweep found: run again, replicated, promoted, used."""
