"""Statistics of times, proportions and levels: arrays in, records out."""
