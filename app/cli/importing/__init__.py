"""`assay import`: files of the past (CSV, Parquet) into the tracker, resumable, through the HTTP API."""
