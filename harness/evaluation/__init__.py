"""What a potential is worth: errors, physical properties, stable dynamics."""
