"""From what people download to a cohort folder: whose scans, from which files, under which pseudonyms."""
