"""From a location to an object that a service holds."""
