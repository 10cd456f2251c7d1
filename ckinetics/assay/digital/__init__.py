"""Digital PCR: copies from counts of partitions."""
