"""What do the tests of tenants read? Parcels, each of one tenant."""
