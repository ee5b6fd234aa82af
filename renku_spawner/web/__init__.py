"""Pages and API inside the hub: parse the request, call a use case, render the answer."""
