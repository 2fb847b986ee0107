"""Is a site set up right? What `gmf_doctor` and `check --database` ask."""
