"""Programs that run inside containers; they import only the standard library and each other."""
