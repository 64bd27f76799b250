"""Say where the project stands: cohort, recipe, study, versions, and what `dvc repro` would do."""
