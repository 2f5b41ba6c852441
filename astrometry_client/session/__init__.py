"""The session layer: everything that touches the network."""
