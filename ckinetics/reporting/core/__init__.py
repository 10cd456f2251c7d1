"""What every report is made of: blocks, numbers as a person reads them, the page."""
