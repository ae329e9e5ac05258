"""Export of a checkpoint as one file that turns pixels or table rows into answers, without litzoo."""
