"""Automatic pain assessment: recordings in, an estimate with honest evidence out.

Public names are imported on first use (PEP 562), so that ``import dolorimeter`` is quick and
pulls in no torch. Research software, not a medical device.
"""

__version__ = "0.1.0"
