"""Old name of `dolorimeter.audits`, kept for one release."""

from dolorimeter._on_demand import renamed_package

renamed_package(__name__, "dolorimeter.audits", "audit")
