"""Pages and API inside the hub: requests in, pages and JSON out; nothing is decided here."""
