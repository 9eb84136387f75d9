"""How weights are stored that are not written as numbers: the formats, and what is kept of each in memory."""
