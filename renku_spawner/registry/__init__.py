"""What image registries say of an image, asked only where we may connect."""
