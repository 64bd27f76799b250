"""The story of a result: whose folds, how they are fitted, what is written and what MLflow hears of it."""
