"""Pages that stand alone: a plate, a model, the library, a comparison."""
