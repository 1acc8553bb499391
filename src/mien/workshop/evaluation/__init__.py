"""How good a model is: metrics, calibration, intervals and the report, in NumPy alone."""
