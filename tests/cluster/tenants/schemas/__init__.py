"""An engine of the page about tenants."""
