"""The application context and the state it owns: event bus, start queue, secret store, caches."""
