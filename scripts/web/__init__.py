"""`litzoo try`: a local web page with a trained checkpoint."""
