"""Rendered scenes that a product is placed in: what the bank holds, which scene suits, its picture and its layout."""
