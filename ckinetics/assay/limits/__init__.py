"""Limits of detection and quantification, precision, dilutions: how good an assay is."""
