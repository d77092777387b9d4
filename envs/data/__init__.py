"""Problems that come out of files and hubs."""
