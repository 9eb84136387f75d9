"""Words as pixels: fonts, line breaking, drawing."""
