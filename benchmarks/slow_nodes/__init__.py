"""Which estimator tells a slow node from a busy one? A simulation; see docs/explanation/slow-replicas.md."""
