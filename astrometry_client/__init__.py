"""A caching, rate-limited client for the Astrometry.net web service."""
