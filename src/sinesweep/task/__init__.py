"""The reference task: forecast damped sines with a stacked LSTM."""
