"""The assembly: configuration, Django's settings, the ASGI application, the routes."""
