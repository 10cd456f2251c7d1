"""The likelihood of a profile, its maximum, and how far around it the data allow."""
