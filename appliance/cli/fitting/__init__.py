"""The severity of a site's own patients, fitted and shown."""
