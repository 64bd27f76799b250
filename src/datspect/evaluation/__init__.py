"""Judge predictions: measures, intervals, calibration, baselines and checks for leakage."""
