"""Parts of pages and API that concern container images."""
