"""From a package to a folder or the Hub, and the index that services look names up in."""
