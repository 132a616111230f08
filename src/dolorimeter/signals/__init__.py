"""Signal processing on plain arrays: time is the last axis, nothing here knows a Recording.

A missing sample is NaN everywhere. Functions that look both ways bridge a gap by a straight line,
functions that run in real time hold the last value; both give NaN back where the input was NaN,
so that a gap costs its own samples and no others. Infinite samples raise `SignalError`.
"""
