"""Where scans come from; every source ends in the same cohort folder."""
