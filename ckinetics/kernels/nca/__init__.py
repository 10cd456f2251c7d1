"""Parameters of noncompartmental analysis, of one profile and of many."""
