"""Live: sources, session, store and page. Research software, not a medical device.

Importing this package pulls in no torch, no database and no web server.
"""
