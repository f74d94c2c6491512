"""One module for each wire format, in a package for each provider."""
