"""Make downloads into a cohort folder: whose scans, from which files, under which pseudonyms."""
