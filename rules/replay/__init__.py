"""A month replayed: simulated measurements, put into Prometheus's own blocks, and the rules evaluated over them. `make prove`."""
