"""Old name of `dolorimeter.reports`, kept for one release."""

from dolorimeter._on_demand import renamed_package

renamed_package(__name__, "dolorimeter.reports", "report")
