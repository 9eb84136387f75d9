"""The product: cut out, matted, placed, lit."""
