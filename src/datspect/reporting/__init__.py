"""The report: composed from what the stages wrote, nothing computed anew that they have measured."""
