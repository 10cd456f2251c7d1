"""What a model file says: its tables, expressions and units, checked."""
