"""Pictures into files, and reports of what a run did."""
