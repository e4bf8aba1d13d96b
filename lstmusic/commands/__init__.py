"""One thin file per command: a checked request in, library calls, report.json out."""
